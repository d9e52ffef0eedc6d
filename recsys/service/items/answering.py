"""What answers a question: a part of the bundle at one of its sizes, or a live model."""

from dataclasses import dataclass

from recsys.errors import Degraded, InvalidRequest, StoreError
from recsys.ranking.pipeline import RankingOptions
from recsys.retrieval.live_models import LiveChoice, LiveModel
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.truncation import Truncation
from recsys.service.items.questions import Options, Question
from recsys.service.items.texts import choose_truncation, text_part
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Answering:
    """The `part` of `model` that answers, at `truncation`, with warnings of what it does not do as asked. `live` is None unless
    `model` is a live one."""

    part: str
    model: ServingModel | LiveModel
    truncation: Truncation | None
    degraded: list[Degraded]
    live: LiveChoice | None = None

    def ranking_options(self, options: Options, *, text: bool = False) -> RankingOptions:
        """How it ranks. Popular items complete what a part gives, but neither answers to a `text` nor live models."""
        return RankingOptions(
            part=self.part,
            k=options.k,
            truncation=self.truncation,
            fill=not text and self.live is None,
            explain=options.explain,
        )


def answering(state: LiveState, snapshot: Snapshot, question: Question) -> Answering:
    """What answers the question.

    Raises:
        InvalidRequest: there is no such part, model, size or window, or it cannot answer such a question.
    """
    options = question.options
    choice = _live_choice(question)
    if choice is not None:
        return _live(state, snapshot, choice, options)
    if question.text is None:
        part = snapshot.items.part_name(options.encoder)
        truncation, degraded = snapshot.items.choose_truncation(part, layers=options.layers, dims=options.dims)
    else:
        part = text_part(snapshot, options.encoder)
        truncation, degraded = choose_truncation(snapshot, part, options)
    return Answering(part, snapshot.items, truncation, degraded)


def _live(state: LiveState, snapshot: Snapshot, choice: LiveChoice, options: Options) -> Answering:
    """The live model by counts as the store has them now, or had them when it last answered."""
    try:
        if not (state.store_unreachable and state.counts.loaded):  # else each question would wait for it in turn
            state.counts.follow()
    except StoreError:
        if not state.counts.loaded:
            raise
        state.store_unreachable = True
    model = state.counts.model(choice, snapshot.catalogue)
    sizes = {"layers": options.layers, "dims": options.dims}
    degraded = [
        Degraded(name, f"{choice.model} has no text encoder") for name, size in sizes.items() if size is not None
    ]
    if not len(model.rows):
        what = "no item was added" if choice.model == "newest" else "no event speaks for an item"
        period = "" if choice.hours is None else f" in the last {choice.hours} hours: ask for a longer window"
        degraded.append(Degraded("window", f"{what}{period}"))
    return Answering(choice.model, model, None, degraded, choice)


def _live_choice(question: Question) -> LiveChoice | None:
    options = question.options
    if options.model is None:
        if options.window is not None:
            raise InvalidRequest(f"window={options.window!r} goes with model=popular, trending or newest")
        return None
    if options.encoder is not None:
        raise InvalidRequest(
            f"model={options.model!r} counts what is stored now, encoder={options.encoder!r} is a trained part: choose one"
        )
    if question.item_id is not None or question.text is not None:
        raise InvalidRequest(f"model={options.model!r} answers for a user or a history: leave it out")
    return LiveChoice.parse(options.model, options.window)
