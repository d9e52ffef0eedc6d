"""Protocol `playlist-continuation`: continues held-out lists from their name, or from some of their items.

Source: the RecSys challenge 2018. The serving code ranks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.bundle_io import load_evaluation_bundle
from recsys.data.continuation_cases import SEED_ITEM_COUNTS, continuation_cases
from recsys.data.playlists import playlists, split_playlists, with_name_vectors
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import find_text_encoder
from recsys.encoders.resolve import text_encoder
from recsys.errors import BundleError, NotReady
from recsys.metrics.continuation import CUTOFF, figures
from recsys.metrics.ranking import Interval, bootstrap
from recsys.ranking import pipeline
from recsys.ranking.pipeline import RankingOptions
from recsys.retrieval.lists.continuation import ORDERS
from recsys.retrieval.lists.serving import CONTINUE, list_serving_model
from recsys.store import Store
from recsys.training.lists.fusion import list_queries


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuationRow:
    """Figures of one part that sees `seeds` items of each list: its first ones (`sensitive`) or any of them (`free`).

    `trained` is the R-precision on the targets that occur in a training list, `cold` the recall@`CUTOFF` of the other targets.
    """

    part: str
    seeds: int
    order: str
    lists: int
    r_precision: Interval
    ndcg: Interval
    clicks: Interval
    trained: Interval | None
    cold: Interval | None


def evaluate_continuations(store: Store, *, uri: str | None = None) -> Iterator[ContinuationRow]:
    """Yields a row for the fusion and for each of its sources, by order and seeds, over the test lists. A model that decodes
    lists only scores in the fusion and gets no row of its own: training measures what it adds.

    Raises:
        NotReady: no bundle is active, no list was withheld, or the bundle continues no lists.
        BundleError: the bundle has learned every list, or another catalogue.
    """
    record = store.active_bundle()
    if uri is None and record is None:
        raise NotReady("no active bundle: run `recsys train blend` first, or give one with --bundle")
    bundle = load_evaluation_bundle(uri or (record.uri if record else ""))
    model = list_serving_model(bundle)
    if model.fusion is None:
        raise NotReady(f"{bundle.uri} continues no lists: import playlists, then run `recsys train blend`")
    lists = playlists(store, seed=int(bundle.about["seed"]))
    if lists.data.item_ids[: len(bundle.item_ids)] != bundle.item_ids:
        raise BundleError(f"{bundle.uri} was trained on other items than the store holds now: train again")
    if model.text_encoders:
        part = find_text_encoder(bundle)
        encoder = CatalogueTextEncoder.from_part(part) if part else text_encoder(bundle.about["text_encoder"])
        lists = with_name_vectors(lists, encoder.encode_documents)
    folds = split_playlists(lists)
    if not len(folds.test):
        raise NotReady("no list was withheld: a twentieth of the playlists is, import more of them")
    known = folds.refit.data.counts() > 0
    for order in ORDERS:
        for seeds in SEED_ITEM_COUNTS:
            cases = continuation_cases(folds.test, seeds=seeds, order=order, seed=0)
            if not len(cases):
                continue
            queries = list_queries(cases, items=len(bundle.item_ids))
            for name in (CONTINUE, *(name for name in model.fusion.sources if model.decoder(name) is None)):
                options = RankingOptions(part=name, k=CUTOFF, order=order)
                rows = pipeline.rank(model, queries, options).rows
                yield _row(name, seeds, order, rows, cases.targets, known)


def _row(
    part: str,
    seeds: int,
    order: str,
    rows: NDArray[np.int64],
    targets: Sequence[NDArray[np.int64]],
    known: NDArray[np.bool_],
) -> ContinuationRow:
    of_all = figures(rows, targets)
    cases = list(zip(rows, targets, strict=True))
    trained = [(ranked, items[known[items]]) for ranked, items in cases if known[items].any()]
    cold = [float(np.isin(new, ranked).mean()) for ranked, items in cases if len(new := items[~known[items]])]
    of_trained = None
    if trained:
        of_trained = figures(np.stack([ranked for ranked, _ in trained]), [items for _, items in trained])
    return ContinuationRow(
        part=part,
        seeds=seeds,
        order=order,
        lists=len(of_all.ndcg),
        r_precision=bootstrap(of_all.r_precision),
        ndcg=bootstrap(of_all.ndcg),
        clicks=bootstrap(of_all.clicks),
        trained=None if of_trained is None else bootstrap(of_trained.r_precision),
        cold=bootstrap(np.array(cold)) if cold else None,
    )
