"""The data that a bundle is measured on: a living store as it was at the bundle's last event, or what came after it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from features.splits import TEST
from recsys.bundle import Bundle
from recsys.data.build import AsOf, dataset
from recsys.data.dataset import Dataset
from recsys.data.feedback import Signals
from recsys.encoders.cache import stored_vectors
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import find_text_encoder
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.store import Store
from recsys.store.frames import items_frame
from recsys.training.bundling import text_hashes
from recsys.training.inputs import TrainingInputs, check_trained_on, installed_encoder, reads_texts
from recsys.training.plan import Plan

NOW = "now"
NEWER = "newer-events"
"""The protocol of events that came after a bundle."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredData:
    """`inputs` with the events to predict in the test fold; `notes` say what has changed in the store since."""

    inputs: TrainingInputs
    protocol: str
    notes: tuple[str, ...]


def withheld_data(store: Store, bundle: Bundle, *, device: str) -> MeasuredData:
    """The store as of the last event that the bundle was trained on or withholds, whatever came later.

    Raises:
        BundleError: the store no longer holds what the bundle was trained on.
    """
    window = bundle.about["data"]
    as_of = AsOf(item_ids=bundle.item_ids, event=window.get("last_event"))
    inputs = _inputs(store, bundle, as_of, device=device)
    missing = window.get("stored_events", 0) - inputs.data.stored_events
    if as_of.event is None or missing <= 0:  # the same events, or those of other histories
        check_trained_on(bundle, inputs.data, bundle.parts.values())
    _check_texts(bundle, inputs.data)
    return MeasuredData(inputs, inputs.plan.protocol, tuple(_changes(store, bundle, missing)))


def newer_data(store: Store, bundle: Bundle, *, until: str, device: str) -> MeasuredData:
    """Each user's events after the last one that the bundle has learned, up to the time or event number `until`, or `now`.

    Raises:
        BundleError: the bundle does not say which event was its last.
        InvalidRequest: `until` is neither.
        NotReady: there are none.
    """
    if (last := bundle.about["data"].get("last_event")) is None:
        raise BundleError(f"{bundle.uri} does not say which event it has learned last: train again")
    as_of = replace(_parsed(until), item_ids=bundle.item_ids, learned=last)
    inputs = _inputs(store, bundle, as_of, device=device)
    if not (inputs.data.folds == TEST).any():
        raise NotReady(
            f"no event of an item that {bundle.uri} knows came after event {last:,}, the last one it has learned"
            f"{'' if until == NOW else f', up to {until}'}: wait for new events, or choose a later --as-of"
        )
    return MeasuredData(inputs, NEWER, tuple(_changes(store, bundle, 0)))


def _parsed(until: str) -> AsOf:
    if until == NOW:
        return AsOf(item_ids=(), event=None)
    if until.isdecimal():
        return AsOf(item_ids=(), event=int(until))
    try:
        moment = datetime.fromisoformat(until)
    except ValueError as error:
        raise InvalidRequest(
            f"--as-of {until}: write a time such as 2026-03-01T12:00, the number of an event, or {NOW}"
        ) from error
    return AsOf(item_ids=(), event=None, until=moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _inputs(store: Store, bundle: Bundle, as_of: AsOf, *, device: str) -> TrainingInputs:
    settings = {field.name: bundle.about[field.name] for field in fields(Plan) if field.name in bundle.about}
    signals = Signals.of_manifest(bundle.about)
    plan = Plan(**settings | {"device": device, "signals": signals})
    encoder = find_text_encoder(bundle)
    data = dataset(store, holdout=plan.protocol, table=signals.table, as_of=replace(as_of, signals=signals))
    reader = CatalogueTextEncoder.from_part(encoder, device=device) if encoder else installed_encoder(plan)
    text = stored_vectors(store, reader, data.item_ids, data.texts, data.domains or None)
    carried = {} if reader.bundled_part is None else {reader.name: reader.bundled_part}
    plan = replace(plan, text_encoder_hash=reader.hash)
    return TrainingInputs(data, text, plan, reader, carried)


def _check_texts(bundle: Bundle, data: Dataset) -> None:
    if text_hashes(data.texts, data.domains) != bundle.texts and any(map(reads_texts, bundle.parts.values())):
        raise BundleError(
            f"{bundle.uri} was trained on other texts or domains of items than the store holds now: train it again"
        )


def _changes(store: Store, bundle: Bundle, missing: int) -> Iterator[str]:
    """What was deleted or added since the bundle was trained."""
    active = set(items_frame(store)["item"])
    if deleted := len(set(bundle.item_ids) - active):
        yield f"{deleted:,} items were deleted since the training; they are ranked as if they were there"
    if added := len(active - set(bundle.item_ids)):
        yield f"{added:,} items are newer than the bundle; they and their events are left out"
    if missing > 0:
        yield (
            f"{missing:,} of {bundle.about['data']['stored_events']:,} events were deleted since the training; the target of "
            "a user who lost the last one may have been learned"
        )
