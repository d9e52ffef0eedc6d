"""Protocol `search`: is an item found by its own words? Queries are made from the items' texts, and the serving code ranks."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from features.text import title_of
from recsys.data.history import NO_ROWS, History
from recsys.data.search_queries import KINDS, SearchQuery, search_queries
from recsys.errors import NotReady
from recsys.metrics.ranking import Interval, bootstrap
from recsys.ranking.pipeline import RankingOptions
from recsys.retrieval.lists.words import folded
from recsys.retrieval.source import Query
from recsys.retrieval.text_search import LEXICAL, SEARCH
from recsys.service.items.questions import Question
from recsys.service.items.texts import rank_texts
from recsys.service.state.live import LiveState
from recsys.service.state.live_counts import LiveCounts
from recsys.service.state.snapshot import Snapshot
from recsys.service.state.text_service import readable
from recsys.signals import SignalTable
from recsys.store import Store

ITEMS = 500
"""Items that queries are made from, at most."""
CUTOFF = 10
QUERIES_PER_BLOCK = 64
LENGTHS = {"1 word": (1, 1), "2 words": (2, 2), "3 to 4 words": (3, 4), "5 words and more": (5, 10**6)}
ALL = "all"
"""Queries of any length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """Figures of one part on `queries` of a kind and a length: how often an item of the title that the query was made from is
    found first, and its reciprocal rank, 0 beyond `CUTOFF`."""

    part: str
    kind: str
    length: str
    queries: int
    first: Interval
    mrr: Interval


def evaluate_search(store: Store, *, uri: str | None = None, seed: int = 0, device: str = "cpu") -> Iterator[SearchRow]:
    """Yields rows of the search, of words alone and of meaning alone, by kind and length of the query. Nothing that was ever
    searched for is needed, nor a bundle: without one, words alone are measured.

    Raises:
        NotReady: no item has a title.
        BundleError: the bundle named cannot be read.
    """
    counts = LiveCounts(store, SignalTable())
    live = LiveState(store, counts=counts, bundle=uri, device=device, text_index="auto", indexes=None)
    with closing(live):
        snapshot = live.searching_snapshot()
        texts = _texts(store, snapshot)
        queries = search_queries(texts, items=ITEMS, seed=seed)
        if not queries:
            raise NotReady("no item has a title to search for: import items with titles")
        titles = np.array([folded(title_of(text)) or str(row) for row, text in enumerate(texts)])
        for part in (SEARCH, LEXICAL, snapshot.meaning):
            if part is not None:
                yield from _rows(part, queries, _ranks(snapshot, part, queries, titles))


def _texts(store: Store, snapshot: Snapshot) -> list[str]:
    """The texts of the items that can be found, by row; empty for others."""
    texts = [""] * len(snapshot.catalogue)
    for page in store.items():
        for item in page:
            row = snapshot.catalogue.row(item.item_id)
            if row is not None and row < len(texts) and snapshot.catalogue.recommendable[row]:
                texts[row] = item.text
    return texts


def _ranks(snapshot: Snapshot, part: str, queries: Sequence[SearchQuery], titles: np.ndarray) -> np.ndarray:
    """(queries,): the rank of the first item of the title that each was made from; infinite beyond `CUTOFF`."""
    ranks = np.full(len(queries), np.inf)
    empty = Query(History.undated(NO_ROWS), snapshot.catalogue.recommendable)
    for start in range(0, len(queries), QUERIES_PER_BLOCK):
        block = queries[start : start + QUERIES_PER_BLOCK]
        questions = [Question(text=readable(query.text)) for query in block]
        how = RankingOptions(part=part, k=CUTOFF)
        ranked = rank_texts(snapshot, questions, [empty] * len(block), how).rows
        for i, (query, rows) in enumerate(zip(block, ranked, strict=True), start):
            hits = np.flatnonzero((rows >= 0) & (titles[rows] == titles[query.row]))
            ranks[i] = hits[0] + 1 if len(hits) else np.inf
    return ranks


def _rows(part: str, queries: Sequence[SearchQuery], ranks: np.ndarray) -> Iterator[SearchRow]:
    groups = defaultdict[tuple[str, str], list[float]](list)
    for query, rank in zip(queries, ranks.tolist(), strict=True):
        words = len(query.text.split())
        length = next(name for name, (least, most) in LENGTHS.items() if least <= words <= most)
        groups[query.kind, ALL].append(rank)
        groups[query.kind, length].append(rank)
    for (kind, length), of_group in sorted(groups.items(), key=_order):
        reciprocal = 1 / np.array(of_group)
        first = (np.array(of_group) == 1).astype(np.float64)
        yield SearchRow(
            part=part,
            kind=kind,
            length=length,
            queries=len(of_group),
            first=bootstrap(first),
            mrr=bootstrap(reciprocal),
        )


def _order(group: tuple[tuple[str, str], list[float]]) -> tuple[int, int]:
    """As kinds and lengths are listed, the figures of all lengths first."""
    (kind, length), _ = group
    return list(KINDS).index(kind), [ALL, *LENGTHS].index(length)
