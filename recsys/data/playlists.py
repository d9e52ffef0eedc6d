"""All stored lists over one catalogue, each with its fold: the training data of parts for lists."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.splits import FIT, TEST, VALIDATION
from features.text import item_text_from_json
from features.vocabulary import Vocabulary
from recsys.data.build import dataset
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.frames import items_frame, playlist_names_frame, playlists_frame

HOLDOUT_SHARE = 0.05
"""Share of the lists in the validation fold, and the same share in the test fold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Playlists:
    """`data` has each list as the history of one user, undated, so that every source fits on lists as on histories.

    `names` has one entry per list, `attributes` one per catalogue row. All events of a list have one fold. `name_vectors`
    (lists, text_dim) are those of the names where a text encoder reads them.
    """

    data: Dataset
    names: tuple[str | None, ...]
    attributes: tuple[Mapping[str, Any], ...] = ()
    name_vectors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def folds(self) -> NDArray[np.uint8]:
        """The fold of each list; an empty list is in the fit fold."""
        out = np.zeros(len(self), dtype=np.uint8)
        filled = self.data.lengths > 0
        out[filled] = self.data.folds[self.data.starts[:-1][filled]]
        return out

    def rows(self) -> list[Rows]:
        """The items of each list."""
        return [history.rows for history in self.data.histories()]

    def shares(self) -> NDArray[np.float32]:
        """(lists,): one over the number of lists with the same items, copies of one list."""
        same = Counter(contents := [_content(rows) for rows in self.rows()])
        return np.array([1 / same[content] for content in contents], dtype=np.float32)

    def only(self, chosen: NDArray[np.bool_]) -> "Playlists":
        """The marked lists over the same catalogue; `chosen` has one flag per list."""
        data = self.data.keep(np.repeat(chosen, self.data.lengths))
        starts = np.concatenate([[0], np.cumsum(data.lengths[chosen])]).astype(np.int64)
        numbers = np.flatnonzero(chosen)
        data = replace(data, users=tuple(data.users[i] for i in numbers), starts=starts)
        vectors = None if self.name_vectors is None else self.name_vectors[numbers]
        return replace(self, data=data, names=tuple(self.names[i] for i in numbers), name_vectors=vectors)


@dataclass(frozen=True, slots=True, eq=False)
class PlaylistSplit:
    """`fit` and `validation` choose settings; a model refitted on `refit` with those settings is measured on `test`."""

    fit: Playlists
    validation: Playlists
    refit: Playlists
    test: Playlists


def split_playlists(lists: Playlists) -> PlaylistSplit:
    """The lists by their folds."""
    folds = lists.folds
    parts = (folds < VALIDATION, folds == VALIDATION, folds < TEST, folds == TEST)
    return PlaylistSplit(*(lists.only(chosen) for chosen in parts))


def with_name_vectors(lists: Playlists, encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> Playlists:
    """The same lists with the vectors of their names by `encode`; zeros where a list has no name."""
    vectors = encode([name or "" for name in lists.names])
    vectors[[not (name or "").strip() for name in lists.names]] = 0
    return replace(lists, name_vectors=vectors)


def fold_of(rows: Rows, *, seed: int) -> int:
    """The fold of a list, by a hash of its items: lists of the same items share a fold, whatever else is stored."""
    uniform = int.from_bytes(hashlib.sha256(f"{seed}:".encode() + _content(rows)).digest()[:8]) / 2**64
    return TEST if uniform < HOLDOUT_SHARE else VALIDATION if uniform < 2 * HOLDOUT_SHARE else FIT


def _content(rows: Rows) -> bytes:
    """Equal for lists of the same items."""
    return np.unique(rows).astype("<i8").tobytes()


def with_folds(lists: Playlists, *, seed: int) -> Playlists:
    """The same lists, each with its fold."""
    folds = np.array([fold_of(rows, seed=seed) for rows in lists.rows()], dtype=np.uint8)
    return replace(lists, data=replace(lists.data, folds=np.repeat(folds, lists.data.lengths)))


def playlists(store: Store, *, seed: int) -> Playlists:
    """All playlists over the active items by number, each with its fold.

    Items that are deleted are left out of the lists. A store without playlists gives every history as a list.

    Raises:
        NotReady: there are neither playlists nor histories.
    """
    names = playlist_names_frame(store)
    lists = _stored(store, names) if len(names) else _histories(store)
    return with_folds(lists, seed=seed)


def _stored(store: Store, names: pl.DataFrame) -> Playlists:
    items = items_frame(store)
    vocabulary = Vocabulary(tuple(items["item"]))
    entries = playlists_frame(store).join(items.select("item"), on="item", how="semi", maintain_order="left")
    sizes = names.join(entries.group_by("playlist").len(), on="playlist", how="left", maintain_order="left")["len"]
    ordered = names.select("playlist").join(entries, on="playlist", how="inner", maintain_order="left_right")
    rows = vocabulary.encode(ordered["item"]).to_numpy().astype(np.int64)
    data = Dataset(
        item_ids=vocabulary.items,
        texts=tuple(item_text_from_json(*row) for row in items.select("title", "attributes").iter_rows()),
        users=tuple(names["playlist"]),
        starts=np.concatenate([[0], np.cumsum(sizes.fill_null(0).to_numpy())]).astype(np.int64),
        rows=rows,
        at=np.full(len(rows), np.nan),
        folds=np.zeros(len(rows), dtype=np.uint8),
        domains=tuple(items["domain"]),
    )
    attributes = tuple(map(json.loads, items["attributes"]))
    return Playlists(data=data, names=tuple(names["name"]), attributes=attributes)


def _histories(store: Store) -> Playlists:
    try:
        data = dataset(store, holdout="none")
    except NotReady as error:
        raise NotReady("the store holds no lists: run `recsys import playlists FILE` or import events") from error
    attributes = tuple(map(json.loads, items_frame(store)["attributes"]))
    return Playlists(data=data, names=(None,) * len(data), attributes=attributes)
