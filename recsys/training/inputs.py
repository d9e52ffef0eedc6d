"""What parts for items, and the lists of a blend, learn from; and parts of earlier runs that fit them."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace

from features.splits import TEST, VALIDATION
from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle
from recsys.data.build import dataset
from recsys.data.dataset import Dataset
from recsys.data.playlists import Playlists, playlists
from recsys.data.splits import split_by_fold
from recsys.encoders.base import TextEncoder, Vectors
from recsys.encoders.cache import encode_missing
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import KIND as ITEM_TEXT
from recsys.encoders.resolve import text_encoder
from recsys.errors import BundleError, NotReady
from recsys.pace import result_of
from recsys.retrieval.registry import TYPES
from recsys.store import Store
from recsys.training.plan import Plan
from recsys.training.recipe_types import TwoStageFit
from recsys.training.seen_rule import SeenRule, choose_seen_rule

PRE_VALIDATION = "early"
"""Folder inside a one-part bundle with the part as it was before it saw validation."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingInputs:
    """What parts for items learn from, and the plan that the data decide."""

    data: Dataset
    text: Vectors
    plan: Plan
    text_encoder: TextEncoder
    carried_encoder: Mapping[str, Part] = field(default_factory=dict)
    """A trained text encoder, which goes into every bundle that stands on it."""
    seen_rule: SeenRule | None = None
    """Where it was measured whether items of the history may be answers."""


def load_inputs(
    store: Store, plan: Plan, *, encoder: Part | None = None, include_seen: bool | None = None
) -> TrainingInputs:
    """As `read_inputs`, without its progress."""
    return result_of(read_inputs(store, plan, encoder=encoder, include_seen=include_seen))


def read_inputs(
    store: Store, plan: Plan, *, encoder: Part | None = None, include_seen: bool | None = None
) -> Generator[str, None, TrainingInputs]:
    """Yields facts on the way; returns the data set of the store under `plan.protocol` with its text vectors, events counted by
    the table of `plan.signals`.

    `include_seen=None` follows the data. The texts are read by `encoder` where a bundle carries one, else by that of the plan.

    Raises:
        NotReady: there are no events, or too few in each history.
        ConfigError: the text encoder cannot be loaded.
    """
    data = dataset(store, holdout=plan.protocol, table=plan.signals.table)
    if not (data.folds == VALIDATION).any() or not (data.folds == TEST).any():
        raise NotReady(f"no events to choose settings on under {plan.protocol}: import histories of 3 or more events")
    reader = CatalogueTextEncoder.from_part(encoder, device=plan.device) if encoder else installed_encoder(plan)
    last = reader.exits[-1]
    exits = yield from encode_missing(store, reader, data.item_ids, data.texts, data.domains or None, layers=[last])
    rule = choose_seen_rule(split_by_fold(data), seed=plan.seed) if include_seen is None else None
    plan = replace(
        plan,
        text_encoder_hash=reader.hash,
        include_seen=rule.include_seen if rule else bool(include_seen),
        signals=data.signals,
    )
    carried = {} if reader.bundled_part is None else {reader.name: reader.bundled_part}
    return TrainingInputs(data, exits[last], plan, reader, carried, rule)


def installed_encoder(plan: Plan) -> TextEncoder:
    return text_encoder(plan.text_encoder, device=plan.device)


def lists_over(store: Store, inputs: TrainingInputs) -> Playlists:
    """The playlists of the store over the catalogue of this run."""
    lists = playlists(store, seed=inputs.plan.seed)
    if (lists.data.item_ids, lists.data.texts) != (inputs.data.item_ids, inputs.data.texts):
        raise BundleError("items were written while the run went on: train again")
    return lists


def included_encoder(bundle: Bundle, lists: Playlists | None, inputs: TrainingInputs) -> Part:
    """The list encoder of a one-part bundle, which has learned the catalogue and the lists of this run, without those that
    this run withholds.

    Raises:
        BundleError: it has not.
    """
    uri, about = bundle.uri, bundle.about
    if lists is None:
        raise BundleError(f"{uri} encodes lists, and this run has none: import playlists and train `blend`")
    if about["seed"] != inputs.plan.seed:
        raise BundleError(f"{uri} withheld the lists of seed {about['seed']}, not {inputs.plan.seed}: choose one seed")
    part = bundle.part(bundle.default)
    check_trained_on(bundle, lists.data, [part], events="lists or items")
    if reads_texts(part):
        _check_text_encoder(bundle, inputs)
    return part


def included_fits(bundle: Bundle, inputs: TrainingInputs) -> dict[str, TwoStageFit]:
    """The parts of a one-part bundle with what they were before they saw validation."""
    uri = bundle.uri or ""
    parts = {name: part for name, part in bundle.parts.items() if part.kind != ITEM_TEXT}
    if not parts:
        raise BundleError(
            f"{uri} holds a text encoder alone, not a part to blend: set RECSYS_TEXT_ENCODER={uri} and leave `--with` out"
        )
    selection = load_bundle(f"{uri.rstrip('/')}/{PRE_VALIDATION}")
    check_trained_on(bundle, inputs.data, parts.values())
    if any(map(reads_texts, parts.values())):
        _check_text_encoder(bundle, inputs)
    return {name: TwoStageFit(selection.part(name), part) for name, part in parts.items()}


def check_trained_on(bundle: Bundle, data: Dataset, parts: Iterable[Part], *, events: str = "items or events") -> None:
    """Does nothing if the `parts` of the bundle have learned from `data`. Other texts are other data for parts that read them.

    Raises:
        BundleError: they have not.
    """
    stored = bundle.about["data"]
    again = "than the store holds now: train it again"
    if stored.get("events_hash") != data.events_hash:
        raise BundleError(f"{bundle.uri} was trained on other {events} {again}")
    if stored["hash"] != data.hash and any(map(reads_texts, parts)):
        raise BundleError(f"{bundle.uri} was trained on other texts or domains of items {again}")


def reads_texts(part: Part) -> bool:
    """Whether the part has learned from the texts of items: by its type, or by its settings where they decide."""
    by_type = part.kind in TYPES and TYPES[part.kind].capabilities.cold_score is None
    return by_type or bool(part.config.get("recipe", {}).get("text_encoder"))


def _check_text_encoder(bundle: Bundle, inputs: TrainingInputs) -> None:
    if not inputs.text_encoder.has_weights(bundle.about["text_encoder_hash"]):
        raise BundleError(
            f"{bundle.uri} stands on another text encoder than this run: train it again, or set RECSYS_TEXT_ENCODER"
        )
