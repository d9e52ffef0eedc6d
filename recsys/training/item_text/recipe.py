"""The recipe `item-text`: from the lists of the store to a trained encoder with figures, or to one more expert in it."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from recsys.bundle import Bundle, Part
from recsys.data.corpus import Corpus
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import checkpoint_part, require_text_encoder
from recsys.errors import InvalidRequest
from recsys.metrics.ranking import Interval
from recsys.retrieval.truncation import MIN_RETAINED
from recsys.training.item_text.config import NAME, ItemTextRecipe, TextData
from recsys.training.item_text.figures import HeldOut, measured, split
from recsys.training.item_text.train import add_domain, train
from recsys.training.loop import Epoch
from recsys.training.overrides import overridden
from recsys.training.plan import Plan, Progress

FREE = frozenset(
    ("loop", "pairs", "texts", "beside", "temperature", "hard_negatives", "align", "stay", "held_out", "half_precision")
)
"""Settings that may change when a domain is added; all others are those of the encoder."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorpusInputs:
    """All lists of the store with the texts of their items; with `domain` the encoder in `start` gets an expert for it."""

    corpus: Corpus
    start: Bundle | None = None
    domain: str | None = None

    @property
    def item_ids(self) -> tuple[str, ...]:
        return self.corpus.item_ids

    @property
    def texts(self) -> tuple[str, ...]:
        return self.corpus.texts

    @property
    def domains(self) -> tuple[str | None, ...]:
        return self.corpus.domains

    def data_window(self, part: Part) -> dict[str, Any]:
        """What the data was."""
        return {"items": len(self.corpus.item_ids), "pairs": part.figures["pairs"]}


def train_item_text(name: str, inputs: CorpusInputs, plan: Plan) -> Iterator[Progress | Part]:
    """Yields progress, and last the encoder with its figures on held-out items; or, with a domain in `inputs`, the encoder given
    there with an expert for it.

    Raises:
        BundleError: there is no text encoder to add a domain to.
        NotReady: the lists give too few pairs.
        InvalidRequest: a setting that does not exist, or that one more domain cannot change.
        ConfigError: the checkpoint to start from cannot be loaded, or does not have what is offered.
    """
    if inputs.start is not None and inputs.domain is not None:
        yield from _train_domain(name, inputs.corpus, plan, inputs.start, domain=inputs.domain)
    else:
        yield from _train_whole(name, inputs.corpus, plan)


def _train_whole(name: str, corpus: Corpus, plan: Plan) -> Iterator[Progress | Part]:
    recipe = _with_epochs(overridden(ItemTextRecipe(), plan.overrides.get(name, {}), where=name), plan)
    data, held_out = split(corpus, recipe, seed=plan.seed)
    yield Progress(
        name,
        f"{len(data.pairs):,} pairs to learn, {len(held_out.pairs):,} pairs of {len(held_out.rows):,} items held out",
    )
    part = yield from _progress(train(recipe, data, context=plan.context(name)))
    yield Progress(name, "measuring every size offered")
    start = None
    if recipe.start != "random":
        untrained = checkpoint_part(recipe.start, max_length=recipe.max_length)
        start = CatalogueTextEncoder.from_part(untrained, device=plan.device)
    figures = measured(CatalogueTextEncoder.from_part(part, device=plan.device), data, held_out, start=start)
    if gain := figures["with_minus_without"]:
        yield Progress(name, f"recall@10 of items held out, minus that of {recipe.start}: {Interval(**gain)}")
    if recipe.compare:
        yield from _compared(figures["settings"], recipe, data, held_out, plan=plan)
    yield replace(part, figures=figures | {"pairs": len(data.pairs)})


def _train_domain(name: str, corpus: Corpus, plan: Plan, start: Bundle, *, domain: str) -> Iterator[Progress | Part]:
    """The encoder in `start` with an added expert for `domain`; other domains keep their vectors.

    Settings are those that the encoder was trained with; the plan may change the `FREE` ones.
    """
    old = require_text_encoder(start)
    recipe = _recipe_for_domain(name, old, plan, start, domain=domain)
    data, held_out = split(corpus, recipe, seed=plan.seed, domain=domain)
    yield Progress(name, f"{len(data.pairs):,} pairs of {domain} to learn, {len(held_out.pairs):,} held out")
    part = yield from _progress(add_domain(recipe, old, data, domain=domain, context=plan.context(name)))
    before, after = (
        measured(CatalogueTextEncoder.from_part(each, device=plan.device), data, held_out)["settings"]
        for each in (old, part)
    )
    if len(held_out.pairs):
        general, expert = before[-1]["recall@10"], after[-1]["recall@10"]
        yield Progress(name, f"recall@10 of {domain} held out: {expert:.4f}, by the general expert {general:.4f}")
    added = old.figures.get("added", {}) | {domain: after}
    yield replace(part, figures=old.figures | {"added": added, "pairs": len(data.pairs)})


def _recipe_for_domain(name: str, old: Part, plan: Plan, start: Bundle, *, domain: str) -> ItemTextRecipe:
    known = old.config["domains"]
    if not known:
        raise InvalidRequest(f"{start.uri} has one expert for all: train `item-text` on items of two or more domains")
    if domain in known:
        raise InvalidRequest(f"{start.uri} has an expert for {domain!r} already; its domains are {', '.join(known)}")
    built = overridden(ItemTextRecipe(), old.config["recipe"], where=name)
    recipe = overridden(built, plan.overrides.get(name, {}), where=name)
    changed = {field for field, value in asdict(recipe).items() if value != asdict(built)[field]}
    if changed - FREE:
        raise InvalidRequest(
            f"[{name}] {', '.join(sorted(changed - FREE))}: {start.uri} is built already; for one more domain you may change "
            f"{', '.join(sorted(FREE))}"
        )
    return _with_epochs(recipe, plan)


def _with_epochs(recipe: ItemTextRecipe, plan: Plan) -> ItemTextRecipe:
    return replace(recipe, loop=replace(recipe.loop, epochs=plan.epochs)) if plan.epochs else recipe


def _progress(facts: Iterator[Epoch | Part]) -> Generator[Progress, None, Part]:
    """Yields the epochs of a training as progress, and returns its part."""
    for fact in facts:
        if isinstance(fact, Part):
            return fact
        yield Progress(NAME, f"epoch {fact.number}, loss {fact.loss:.3f}, {fact.seconds:.1f} s")
    raise AssertionError("a training ends with its part")


def _compared(
    settings: Sequence[dict[str, Any]], recipe: ItemTextRecipe, data: TextData, held_out: HeldOut, *, plan: Plan
) -> Iterator[Progress]:
    """Trains a model for each size but the whole, and notes in `settings` what share of its recall the size reaches."""
    for setting in settings[:-1]:
        layers, dims = setting["layers"], setting["dims"]
        *_, part = train(
            recipe.single_size(layers, dims),
            data,
            context=plan.context(NAME).at(f"{layers}x{dims}"),
        )
        assert isinstance(part, Part)
        separate = measured(CatalogueTextEncoder.from_part(part, device=plan.device), data, held_out)["settings"]
        recall = separate[-1]["recall@10"]
        setting["of_separate"] = share = setting["recall@10"] / recall if recall else 1.0
        fact = f"{layers} layers x {dims} dims reach {share:.3f} of a model of that size trained alone"
        yield Progress(NAME, fact if share >= MIN_RETAINED else f"{fact}: withheld, below {MIN_RETAINED}")
