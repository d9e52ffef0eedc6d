"""How each named part is made, and how parts become a bundle: chosen on validation, refitted with what was chosen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoders.sequence import SequenceConfig
from models.zoo import LIST_MODELS, SEQUENCE_MODELS
from recsys.bundle import Bundle, Part
from recsys.data.build import Holdout
from recsys.data.dataset import Dataset
from recsys.data.splits import Split, split_by_fold
from recsys.encoders.base import text_hash
from recsys.errors import InvalidRequest, TrainingError
from recsys.retrieval.fusion import Fusion
from recsys.retrieval.registry import fit, restore
from recsys.retrieval.source import Source
from recsys.training.blending import DEPTH, choose, collect
from recsys.training.item_text.config import NAME as ITEM_TEXT
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.overrides import overridden
from recsys.training.sequence import VALIDATION_CASES, SequenceRecipe, for_refit, train
from recsys.training.tuning import SIMPLE, choose_source, ndcg_at_10

BLEND = ("popular", "recent", "markov", "item-neighbours", "ease", "als", "text", "sasrec", "sasrec-hybrid")
"""What the default model is blended from, where it helps."""

UNSEEN = {"popular": 0.0, "recent": 0.0} | dict.fromkeys(
    ("markov", "item-neighbours", "ease", "als", "bpr", "sasrec"), float("nan")
)
"""What the sources that know no texts say of an item that they were not trained on: no event yet, or nothing at all."""

FULL_SOFTMAX_ITEMS = 6000
"""Up to this many items the loss runs over all of them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One fact on the way: which part, what happened."""

    part: str
    fact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a training run depends on besides the data. `overrides` has settings by part, as a file gives them."""

    text_encoder: str
    include_seen: bool
    text_encoder_hash: str = ""
    seed: int = 0
    device: str = "cpu"
    epochs: int | None = None
    protocol: Holdout = "leave-one-out"
    deploy: bool = False
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checkpoints: Path | None = None
    resume: bool = False


def recipe(name: str, plan: Plan, *, items: int) -> SequenceRecipe:
    """The settings of a sequence model; larger catalogues sample their negatives."""
    large = items > FULL_SOFTMAX_ITEMS
    kind = SEQUENCE_MODELS[name]
    settings = SequenceRecipe(
        items=kind,
        encoder=SequenceConfig(dropout=0.3),
        loop=LoopConfig(epochs=plan.epochs or (8 if large else 10), learning_rate=4e-3 if large else 7e-3),
        objective="sampled" if large else "softmax",
        negatives=1024,
        temperature=0.07 if large else 0.1,
        tokens=2048 if large else 512,
        text_encoder=None if kind == "id" else plan.text_encoder,
    )
    return overridden(settings, plan.overrides.get(name, {}), where=name)


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """One part fitted twice with the same settings: `early` without the validation events, `final` with them."""

    early: Part
    final: Part


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A bundle, and its parts as they were fitted before they saw validation: what a later fusion is fitted on."""

    bundle: Bundle
    early: Mapping[str, Part]


def train_bundle(
    names: Sequence[str],
    dataset: Dataset,
    text: NDArray[np.float32],
    plan: Plan,
    *,
    default: str,
    given: Mapping[str, Fits] = MappingProxyType({}),
) -> Iterator[Progress | Trained]:
    """Yields progress, and last the bundle with the parts `names` and, when `default` is `blend`, their fusions.

    Parts that are `given` are taken as they are. A simple one that the data do not allow is left out of a blend, and the
    bundle says why. With `plan.deploy` nothing is withheld at the end: the last event of each user chooses settings and is
    then learned too.

    Raises:
        InvalidRequest: a name that no recipe makes.
        TrainingError: a run that cannot go on.
    """
    check_known([name for name in names if name not in given], settings=plan.overrides)
    if plan.deploy:
        dataset = replace(dataset, folds=np.maximum(dataset.folds, 1) - 1)
    folds = split_by_fold(dataset)
    fits, not_fitted = dict[str, Fits](), dict[str, str]()
    for name in names:
        try:
            for made in (given[name],) if name in given else _two_fits(name, folds, text, plan):
                match made:
                    case Progress():
                        yield made
                    case Fits():
                        fits[name] = made
        except TrainingError as error:
            if default != "blend" or name not in SIMPLE:
                raise
            not_fitted[name] = str(error)
            yield Progress(name, f"left out: {error}")
    early = {name: one.early for name, one in fits.items()}
    parts = {name: one.final for name, one in fits.items()}
    about: dict[str, Any] = {k: v for k, v in asdict(plan).items() if k not in ("checkpoints", "resume")} | {
        "data": _window(dataset)
    }
    if default == "blend":
        yield Progress("blend", "fitting the fusion on validation")
        parts |= _fusions({name: restore(part) for name, part in early.items()}, folds, plan)
        about["left_out"] = not_fitted | parts["blend"].config["left_out"]
    read_by = dataset.domains or (None,) * dataset.items
    texts = tuple(text_hash(*read) for read in zip(dataset.texts, read_by, strict=True))
    bundle = Bundle(parts=parts, default=default, item_ids=dataset.item_ids, about=about, texts=texts)
    yield Trained(bundle, early)


def check_known(names: Iterable[str], *, settings: Iterable[str] = ()) -> None:
    """Does nothing while there is a recipe for each of `names`, and a part that each table of `settings` is for.

    Raises:
        InvalidRequest: there is none.
    """
    apart = (*LIST_MODELS, ITEM_TEXT)  # trained by jobs of their own
    known = (*SIMPLE, *SEQUENCE_MODELS, *apart)
    unknown = [name for name in names if name not in known or name in apart]
    unknown += [name for name in settings if name not in known]
    if unknown:
        raise InvalidRequest(f"unknown model {unknown[0]!r}: choose one of {', '.join(['blend', *known])}")


def _two_fits(name: str, folds: Split, text: NDArray[np.float32], plan: Plan) -> Iterator[Progress | Fits]:
    if name in SEQUENCE_MODELS:
        yield from _sequence_fits(name, folds, text, plan)
        return
    config, figure = choose_source(
        name,
        dataset=folds.fit,
        validation=folds.validation,
        text=text,
        text_encoder=plan.text_encoder,
        include_seen=plan.include_seen,
        seed=plan.seed,
        overrides=plan.overrides.get(name, {}),
    )
    yield Progress(name, f"validation NDCG@10 {figure:.4f} with {config}")
    early = fit(config, folds.fit, text=text, seed=plan.seed).part(name)
    final = fit(config, folds.refit, text=text, seed=plan.seed).part(name)
    yield Fits(early, replace(final, figures=final.figures | {"validation_ndcg@10": figure}))


def _sequence_fits(name: str, folds: Split, text: NDArray[np.float32], plan: Plan) -> Iterator[Progress | Fits]:
    settings = recipe(name, plan, items=folds.fit.items)
    made: list[Part] = []
    for stage in ("fit", "refit"):
        first = stage == "fit"
        data = folds.fit if first else folds.refit
        checkpoint = plan.checkpoints / f"{name}-{plan.seed}-{stage}.ckpt" if plan.checkpoints else None
        for fact in train(
            settings if first else for_refit(settings, epochs=int(made[0].config["epochs"])),
            name=name,
            fit=data,
            validation=folds.validation if first else None,
            text=text,
            seed=plan.seed,
            device=plan.device,
            checkpoint=checkpoint,
            resume=plan.resume,
        ):
            match fact:
                case Part():
                    made.append(fact)
                case Epoch():
                    yield Progress(name, _told(fact, stage, events=len(data.rows)))
    source = restore(made[0])
    made[1] = restore(made[1]).part(name)  # with the graph of a large catalogue, which takes long to build
    some = folds.validation.sample(VALIDATION_CASES, seed=plan.seed)
    figure = ndcg_at_10(source, some, items=folds.fit.items, include_seen=plan.include_seen).mean()
    yield Fits(made[0], replace(made[1], figures={"validation_ndcg@10": float(figure)}))


def _told(epoch: Epoch, stage: str, *, events: int) -> str:
    """One line on an epoch: loss, validation figure, rate."""
    figure = "" if epoch.figure is None else f", validation NDCG@10 {epoch.figure:.4f} (best: epoch {epoch.best})"
    rate = f"{epoch.seconds:.1f} s, {events / epoch.seconds:,.0f} events/s"
    return f"{stage} epoch {epoch.number}, loss {epoch.loss:.3f}{figure}, {rate}"


def _fusions(early: Mapping[str, Source], folds: Split, plan: Plan) -> dict[str, Part]:
    """`blend` of all parts that help, `simple-blend` of the simple ones fitted the same way, `plain-blend` of these unfitted."""
    made = {}
    for name, members in {"blend": list(early), "simple-blend": [n for n in early if n in SIMPLE]}.items():
        data = collect(
            {member: early[member] for member in members},
            folds.validation,
            items=folds.fit.items,
            include_seen=plan.include_seen,
            seed=plan.seed,
        )
        optional = [member for member in members if member != "popular"]
        fusion, figures = choose(data, always=["popular"], optional=optional, unseen=UNSEEN, seed=plan.seed)
        made[name] = replace(fusion.part(name), figures=figures)
    simple = tuple(name for name in early if name in SIMPLE)
    equal = np.repeat(np.array([1, 0, 0], dtype=np.float32), len(simple))
    made["plain-blend"] = Fusion(simple, equal, DEPTH, {"fit": "equal weights"}).part("plain-blend")
    return made


def _window(dataset: Dataset) -> dict[str, Any]:
    """What the data was: sizes, and first and last time where there are any."""
    dated = dataset.at[~np.isnan(dataset.at)]
    span = [float(dated.min()), float(dated.max())] if len(dated) else None
    sizes = {"users": len(dataset), "items": dataset.items, "events": len(dataset.rows)}
    return sizes | {"seconds": span, "hash": dataset.hash}
