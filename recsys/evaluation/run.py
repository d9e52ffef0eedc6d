"""Protocol `next-item`: evaluates every part of a bundle, every baseline, and the fusion as it is served."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from recsys.bundle import Bundle
from recsys.bundle_io import load_evaluation_bundle
from recsys.data.feedback import Signals
from recsys.data.splits import split_by_fold
from recsys.encoders.cache import stored_exits
from recsys.encoders.catalogue_parts import find_text_encoder
from recsys.errors import BundleError, NotReady
from recsys.evaluation.ranking_eval import PartMetrics, measure
from recsys.evaluation.report import Report, report
from recsys.retrieval.registry import TYPES
from recsys.retrieval.serving import ServingModel, serving_model
from recsys.store import Store
from recsys.training.bundling import Trained, default_parts, train_bundle
from recsys.training.inputs import TrainingInputs, check_trained_on, load_inputs
from recsys.training.plan import Plan, Progress

REFERENCE = "simple-blend"


def evaluate(
    store: Store, *, uri: str | None = None, seed: int = 0, device: str = "cpu"
) -> Iterator[Progress | PartMetrics | Report]:
    """Yields the metrics of each part of the bundle (default: the active one) on the test events, and last the report.

    Baselines that the bundle lacks are trained on the same events.

    Raises:
        NotReady: no bundle is active.
        BundleError: the bundle cannot be read, has learned the test events, was trained on other events, or holds a text
            encoder alone.
    """
    record = store.active_bundle()
    if uri is None and record is None:
        raise NotReady("no active bundle: run `recsys train blend` first, or give one with --bundle")
    bundle = load_evaluation_bundle(uri or (record.uri if record else ""))
    if "hash" not in bundle.about["data"]:
        raise BundleError(
            f"{bundle.uri} holds a text encoder alone, and its training has measured it: its figures stand in GET /v1/models; "
            f"to see it recommend, set RECSYS_TEXT_ENCODER={bundle.uri}, then run `recsys train text` and evaluate that"
        )
    settings = {field.name: bundle.about[field.name] for field in fields(Plan) if field.name in bundle.about}
    plan = Plan(**settings | {"device": device, "signals": Signals.of_manifest(bundle.about)})
    inputs = load_inputs(store, plan, encoder=find_text_encoder(bundle), include_seen=plan.include_seen)
    check_trained_on(bundle, inputs.data, bundle.parts.values())
    model = _with_items(serving_model(bundle), store, inputs)
    if REFERENCE not in bundle.parts:
        baselines = [
            name for name in default_parts(include_seen=inputs.plan.include_seen) if TYPES[name].capabilities.baseline
        ]
        for fact in train_bundle(baselines, inputs.data, inputs.text, inputs.plan, default="blend"):
            match fact:
                case Progress():
                    yield fact
                case Trained():
                    model = _with_baselines(model, serving_model(fact.bundle))
    yield from _measured(model, bundle, inputs, seed=seed)


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
    return ServingModel({**baselines.sources, **ours.sources}, {**fusions, **ours.fusions}, ours.default)


def _measured(
    model: ServingModel, bundle: Bundle, inputs: TrainingInputs, *, seed: int
) -> Iterator[PartMetrics | Report]:
    measured = []
    cases, items = split_by_fold(inputs.data).test, inputs.data.items
    for metrics in measure(model, cases, items=items, include_seen=inputs.plan.include_seen):
        measured.append(metrics)
        yield metrics
    protocol = inputs.plan.protocol
    yield report(measured, reference=REFERENCE, protocol=protocol, items=items, seed=seed, bundle=bundle.uri)
