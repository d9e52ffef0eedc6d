"""Protocol `playlist-continuation`: lists that were held out go on from their name, or from some of their items.

Source: the RecSys challenge 2018. The code that answers is the code that serves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.bundle_io import load_bundle
from recsys.data.continuation_cases import SEED_ITEM_COUNTS, Order, continuation_cases
from recsys.data.playlists import playlists, split_playlists, with_names_read
from recsys.encoders.catalogue import CatalogueTextEncoder, find_text_encoder
from recsys.encoders.resolve import text_encoder
from recsys.errors import BundleError, NotReady
from recsys.metrics.continuation import LISTED, figures
from recsys.metrics.ranking import Interval, bootstrap
from recsys.retrieval.lists.continuation import ORDERS
from recsys.retrieval.lists.serving import CONTINUE, DeployedLists, deploy_lists
from recsys.retrieval.source import Query
from recsys.store import Store
from recsys.training.lists.fusion import list_queries


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuationRow:
    """One part at one number of seeds: the first items of a list (`sensitive`) or any of them (`free`).

    `trained` is the R-precision over those withheld items alone that some training list holds, `cold` the share of the others
    that is found among the `LISTED`.
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


def continued(store: Store, *, uri: str | None = None) -> Iterator[ContinuationRow]:
    """A row for the fusion and for each of its sources, by seeds and order, over the lists that were withheld for test. A model
    that writes lists is no row of its own: in the fusion it judges, and what that adds is measured where it is let in.

    Raises:
        NotReady: no bundle is active, no list was withheld, or the bundle continues no lists.
        BundleError: the bundle has learned every list, or another catalogue.
    """
    record = store.active_bundle()
    if uri is None and record is None:
        raise NotReady("no active bundle: run `recsys train blend` first")
    bundle = load_bundle(uri or (record.uri if record else ""))
    if bundle.about.get("deploy"):
        raise BundleError(
            f"{bundle.uri} has learned every list: nothing is left to measure it on; train without --deploy"
        )
    deployed = deploy_lists(bundle)
    if deployed.fusion is None:
        raise NotReady(f"{bundle.uri} continues no lists: import playlists, then run `recsys train blend`")
    found = playlists(store, seed=int(bundle.about["seed"]))
    if found.data.item_ids[: len(bundle.item_ids)] != bundle.item_ids:
        raise BundleError(f"{bundle.uri} was trained on other items than the store holds now: train again")
    if deployed.text_encoders:
        own = find_text_encoder(bundle)
        reader = CatalogueTextEncoder.from_part(own) if own else text_encoder(bundle.about["text_encoder"])
        found = with_names_read(found, reader.encode)
    folds = split_playlists(found)
    if not len(folds.test):
        raise NotReady("no list was withheld: a twentieth of the playlists is, import more of them")
    known = folds.refit.data.counts() > 0
    for order in ORDERS:
        for seeds in SEED_ITEM_COUNTS:
            cases = continuation_cases(folds.test, seeds=seeds, order=order, seed=0)
            if not len(cases):
                continue
            queries = list_queries(cases, items=len(bundle.item_ids))
            for part in (CONTINUE, *(name for name in deployed.fusion.sources if deployed.writer(name) is None)):
                rows = _listed(deployed, part, queries, order)
                yield _row(part, seeds, order, rows, cases.withheld, known)


def _listed(deployed: DeployedLists, part: str, queries: Sequence[Query], order: Order) -> NDArray[np.int64]:
    """The rows that the service would list."""
    return deployed.search(queries, k=LISTED, encoder=part, order=order)[0].rows


def _row(
    part: str,
    seeds: int,
    order: str,
    rows: NDArray[np.int64],
    withheld: Sequence[NDArray[np.int64]],
    known: NDArray[np.bool_],
) -> ContinuationRow:
    found = figures(rows, withheld)
    trained = [(one, wanted[known[wanted]]) for one, wanted in zip(rows, withheld, strict=True) if known[wanted].any()]
    cold = [
        float(np.isin(new, one).mean())
        for one, wanted in zip(rows, withheld, strict=True)
        if len(new := wanted[~known[wanted]])
    ]
    of_trained = figures(np.stack([one for one, _ in trained]), [wanted for _, wanted in trained]) if trained else None
    return ContinuationRow(
        part=part,
        seeds=seeds,
        order=order,
        lists=len(found.ndcg),
        r_precision=bootstrap(found.r_precision),
        ndcg=bootstrap(found.ndcg),
        clicks=bootstrap(found.clicks),
        trained=None if of_trained is None else bootstrap(of_trained.r_precision),
        cold=bootstrap(np.array(cold)) if cold else None,
    )
