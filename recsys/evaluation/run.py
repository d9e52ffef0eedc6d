"""Protocol `next-item`: evaluates every part of a bundle, every baseline, and the fusion as it is served."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, load_evaluation_bundle
from recsys.data.splits import split_by_fold
from recsys.encoders.cache import stored_exits
from recsys.errors import BundleError, NotReady
from recsys.evaluation.as_of import MeasuredData, newer_data, withheld_data
from recsys.evaluation.case_groups import case_groups
from recsys.evaluation.ranking_eval import PartMetrics, measure
from recsys.evaluation.report import Report, report
from recsys.metrics.ranking import bootstrap
from recsys.retrieval.registry import TYPES
from recsys.retrieval.serving import ServingModel, serving_model
from recsys.store import Store
from recsys.training.bundling import Trained, default_parts, train_bundle
from recsys.training.inputs import TrainingInputs
from recsys.training.plan import Progress

REFERENCE = "simple-blend"


def evaluate(
    store: Store, *, uri: str | None = None, seed: int = 0, device: str = "cpu", as_of: str | None = None
) -> Iterator[Progress | PartMetrics | Report]:
    """Yields the metrics of each part of the bundle (default: the active one) on the events withheld, and last the report.

    A deployed bundle is measured by its evaluation bundle; with `as_of` (a time, an event number or `now`) it is measured
    itself, on the events that came after it until then. Baselines that the bundle lacks are trained on the events withheld from.

    Raises:
        NotReady: no bundle is active, or no event came after it.
        BundleError: the bundle cannot be read, has learned the test events, was trained on other events, or holds a text
            encoder alone.
    """
    record = store.active_bundle()
    if uri is None and record is None:
        raise NotReady("no active bundle: run `recsys train blend` first, or give one with --bundle")
    uri = uri or (record.uri if record else "")
    bundle = load_evaluation_bundle(uri) if as_of is None else load_bundle(uri)
    if "hash" not in bundle.about["data"]:
        raise BundleError(
            f"{bundle.uri} holds a text encoder alone, and its training has measured it: its figures stand in GET /v1/models; "
            f"to see it recommend, set RECSYS_TEXT_ENCODER={bundle.uri}, then run `recsys train text` and evaluate that"
        )
    if as_of is None:
        measured = withheld_data(store, bundle, device=device)
    else:
        measured = newer_data(store, bundle, until=as_of, device=device)
    inputs = measured.inputs
    model = _with_items(serving_model(bundle), store, inputs)
    if REFERENCE not in bundle.parts and as_of is None:
        baselines = [
            name for name in default_parts(include_seen=inputs.plan.include_seen) if TYPES[name].capabilities.baseline
        ]
        for fact in train_bundle(baselines, inputs.data, inputs.text, inputs.plan, default="blend"):
            match fact:
                case Progress():
                    yield fact
                case Trained():
                    model = _with_baselines(model, serving_model(fact.bundle))
    yield from _measured(model, bundle, measured, seed=seed)


def _with_items(model: ServingModel, store: Store, inputs: TrainingInputs) -> ServingModel:
    """`model`, its source over the bundle's text encoder (if the bundle has one) filled with the items' vectors."""
    if not inputs.carried_encoder:
        return model
    encoder, data = inputs.text_encoder, inputs.data
    exits = stored_exits(store, encoder, data.item_ids, data.texts, data.domains or None, layers=encoder.exits)
    return model.with_catalogue(exits, known=np.ones(data.items, dtype=np.bool_), index="exact")


def _with_baselines(ours: ServingModel, baselines: ServingModel) -> ServingModel:
    """Joins both models, except the baselines' `blend`; where names clash, ours wins."""
    fusions = {name: fusion for name, fusion in baselines.fusions.items() if name != "blend"}
    sources, fusions = {**baselines.sources, **ours.sources}, {**fusions, **ours.fusions}
    return replace(ours, sources=sources, fusions=fusions)


def _measured(
    model: ServingModel, bundle: Bundle, measured: MeasuredData, *, seed: int
) -> Iterator[PartMetrics | Report]:
    parts, folds = [], split_by_fold(measured.inputs.data)
    items, counts, include_seen = folds.refit.items, folds.refit.counts(), measured.inputs.plan.include_seen
    for metrics in measure(model, folds.test, items=items, include_seen=include_seen, counts=counts):
        parts.append(metrics)
        yield metrics
    notes = list(measured.notes)
    if include_seen and folds.test.open_events.any():
        cases = folds.test.without_sessions()
        (metrics,) = measure(
            model, cases, items=items, include_seen=include_seen, counts=counts, names=[bundle.default]
        )
        figure = bootstrap(metrics.ndcg, seed=seed)
        notes.append(f"{bundle.default} without knowing the session of the target: NDCG@10 {figure}")
    yield report(
        parts,
        reference=REFERENCE,
        headline=bundle.default,
        protocol=measured.protocol,
        items=items,
        seed=seed,
        bundle=bundle.uri,
        groups=case_groups(folds.test, counts),
        notes=tuple(notes),
    )
