"""The planted world as arrays, and small data sets made by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.splits import leave_one_out
from features.synthetic import planted
from recsys.data.dataset import Dataset
from recsys.data.history import History, Rows
from recsys.encoders.base import Vectors
from recsys.encoders.hashed import HashedNgrams
from recsys.retrieval.source import Allowed, Query

NEW = 2
"""Items at the end of the planted catalogue that have a text but no events."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """`successor` and `cluster` give the planted truth of the first `items` rows; the last `NEW` rows have no events.

    The text of a new item is that of row 0 or 1.
    """

    dataset: Dataset
    text: Vectors
    successor: Rows
    cluster: Rows

    @property
    def items(self) -> int:
        return len(self.successor)


def world(*, users: int = 150, items: int = 40, length: int = 10, clusters: int = 4, seed: int = 0) -> World:
    truth = planted(users=users, items=items, length=length, clusters=clusters, seed=seed)
    tables = truth.items.collect().sort("item")
    ids, row = list(tables["item"]), {item: r for r, item in enumerate(tables["item"])}
    events = leave_one_out(truth.events).collect()
    titles = [f"{title} {brand}" for title, brand in tables.select("title", "attributes").iter_rows()]
    texts = [*titles, *titles[:NEW]]
    data = Dataset(
        item_ids=(*ids, *(f"new-{number}" for number in range(NEW))),
        texts=tuple(texts),
        users=tuple(f"user-{user}" for user in range(users)),
        starts=np.arange(0, users * length + 1, length),
        rows=np.array([row[item] for item in events["item"]], dtype=np.int64),
        at=events["at"].dt.timestamp("ms").to_numpy() / 1000,
        folds=events["fold"].to_numpy().astype(np.uint8),
    )
    successor = np.array([row[truth.successor[item]] for item in ids])
    return World(
        data, HashedNgrams(dim=64).encode_documents(texts), successor, np.array([truth.cluster[item] for item in ids])
    )


def histories(*lists: Sequence[int], items: int, at: NDArray[np.float64] | None = None) -> Dataset:
    """A data set of these histories, all of it to fit on."""
    rows = np.array([row for rows in lists for row in rows], dtype=np.int64)
    return Dataset(
        item_ids=tuple(f"i{row}" for row in range(items)),
        texts=("",) * items,
        users=tuple(f"u{user}" for user in range(len(lists))),
        starts=np.cumsum([0, *(len(rows) for rows in lists)]).astype(np.int64),
        rows=rows,
        at=np.full(len(rows), np.nan) if at is None else at,
        folds=np.zeros(len(rows), dtype=np.uint8),
    )


def drawn(generator: np.random.Generator, *, users: int = 30, items: int = 12, longest: int = 15) -> Dataset:
    """Random histories with repeats, some of them empty; the last item is in none."""
    lengths = generator.integers(0, longest, users)
    return histories(*[generator.integers(0, items - 1, length).tolist() for length in lengths], items=items)


def query(rows: Sequence[int], *, allowed: Allowed | int) -> Query:
    """One question; a number allows that many rows."""
    flags = np.ones(allowed, dtype=np.bool_) if isinstance(allowed, int) else allowed
    return Query(History.undated(np.array(rows, dtype=np.int64)), flags)


def everything(queries: int, *, items: int) -> NDArray[np.int64]:
    """(queries, items): all rows, to be scored."""
    return np.tile(np.arange(items), (queries, 1))
