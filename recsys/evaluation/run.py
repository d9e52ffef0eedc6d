"""Evaluates a bundle of the store: every part, every baseline, and the fusion as it is served."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle
from recsys.data.splits import split_by_fold
from recsys.encoders.cache import stored_exits
from recsys.encoders.catalogue import CatalogueTextEncoder, find_text_encoder
from recsys.errors import BundleError, NotReady
from recsys.evaluation.ranking_eval import PartMetrics, measure
from recsys.evaluation.report import Report, report
from recsys.retrieval.item_text import over_items
from recsys.retrieval.serving import Deployed, deploy
from recsys.store import Store
from recsys.training.job import Material, material
from recsys.training.recipes import Plan, Progress, Trained, train_bundle

REFERENCE = "simple-blend"
BASELINES = ("popular", "recent", "markov", "item-neighbours", "ease", "als", "text")


def evaluate(
    store: Store, *, uri: str | None = None, seed: int = 0, device: str = "cpu"
) -> Iterator[Progress | PartMetrics | Report]:
    """Yields the figures of each part of the bundle (default: the active one) on the test events, and last the table.

    Baselines that the bundle lacks are trained beside it on the same events.

    Raises:
        NotReady: no bundle is active.
        BundleError: the bundle cannot be read, has learned the test events, was trained on other events, or holds a text
            encoder alone.
    """
    record = store.active_bundle()
    if uri is None and record is None:
        raise NotReady("no active bundle: run `recsys train blend` first")
    bundle = load_bundle(uri or (record.uri if record else ""))
    if "hash" not in bundle.about["data"]:
        raise BundleError(
            f"{bundle.uri} holds a text encoder alone, and its training has measured it: its figures stand in GET /v1/models; "
            f"to see it recommend, set RECSYS_TEXT_ENCODER={bundle.uri}, then run `recsys train text` and evaluate that"
        )
    if bundle.about["deploy"]:
        raise BundleError(
            f"{bundle.uri} has learned every event: nothing is left to measure it on; train without --deploy"
        )
    settings = {field.name: bundle.about[field.name] for field in fields(Plan) if field.name in bundle.about}
    work = material(store, Plan(**settings | {"device": device}), encoder=find_text_encoder(bundle))
    if work.data.hash != bundle.about["data"]["hash"]:
        raise BundleError(f"{bundle.uri} was trained on other events than the store holds now: train again")
    deployed = _filled(deploy(bundle), store, work)
    if REFERENCE not in bundle.parts:
        for fact in train_bundle(BASELINES, work.data, work.text, work.plan, default="blend"):
            match fact:
                case Progress():
                    yield fact
                case Trained():
                    deployed = _beside(deployed, deploy(fact.bundle))
    yield from _measured(deployed, bundle, work, seed=seed)


def _filled(deployed: Deployed, store: Store, work: Material) -> Deployed:
    """`deployed` whose source over the bundle's own text encoder, if any, knows the items."""
    reader, data = work.reader, work.data
    if not isinstance(reader, CatalogueTextEncoder):
        return deployed
    exits = stored_exits(store, reader, data.item_ids, data.texts, data.domains or None, layers=reader.exits)
    known = np.ones(data.items, dtype=np.bool_)
    return deployed.with_source(reader.name, over_items(work.encoder[reader.name], exits, known=known, kind="exact"))


def _beside(ours: Deployed, baselines: Deployed) -> Deployed:
    """Both, ours first; of the baselines' fusions those of simple sources alone."""
    fusions = {name: fusion for name, fusion in baselines.fusions.items() if name != "blend"}
    return Deployed({**baselines.sources, **ours.sources}, {**fusions, **ours.fusions}, ours.default)


def _measured(deployed: Deployed, bundle: Bundle, work: Material, *, seed: int) -> Iterator[PartMetrics | Report]:
    measured = []
    cases, items = split_by_fold(work.data).test, work.data.items
    for one in measure(deployed, cases, items=items, include_seen=work.plan.include_seen):
        measured.append(one)
        yield one
    yield report(measured, reference=REFERENCE, protocol=work.plan.protocol, items=items, seed=seed, bundle=bundle.uri)
