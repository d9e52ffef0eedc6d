"""How much of the exact answer the approximate index gives: without a filter, and with filters that keep few."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recsys.bundle_io import load_bundle
from recsys.data.history import History
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.hnsw import HnswIndex
from recsys.retrieval.registry import restore_source as restore
from recsys.retrieval.sequence import SequenceSource
from recsys.service.state.catalogue import Catalogue
from tests.benchmarks.harness import Row, at_least
from tests.benchmarks.strength_world import bodies, copies, world

ITEMS, QUERIES, K = 100_000, 1000, 10


def recall(data: Path) -> Iterator[Row]:
    """Histories of real users, copied as the items are; what is kept is drawn anew for each of them."""
    bundle = load_bundle(world(data, items=ITEMS, users=ITEMS).bundle)
    source = restore(bundle.part("sasrec"))
    assert isinstance(source, SequenceSource)
    assert isinstance(source.index, HnswIndex)
    catalogue = Catalogue(bundle.item_ids)
    sent = bodies(data, count=QUERIES, length=50, copies=copies(data, ITEMS))
    queries = source.encode([History.undated(catalogue.rows(body["history"])) for body in sent])
    exact = ExactIndex(ExactConfig(), source.vectors, known=source.known)
    for share in (1.0, 0.1, 0.01):
        generator = np.random.default_rng(0)
        hits = 0
        for query in queries:
            allowed = generator.random((1, ITEMS)) < share
            found, best = (index.search(query[None], k=K, allowed=allowed).rows[0] for index in (source.index, exact))
            hits += len(np.intersect1d(found, best))
        yield at_least(f"recall@10 against exact, {share:.0%} kept", hits / (QUERIES * K), 0.97, seed=0, n=QUERIES)


BENCHES = {"recall": recall}
