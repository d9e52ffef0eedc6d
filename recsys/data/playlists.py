"""All stored lists over one catalogue, and which of them are withheld: what parts for lists are fitted on."""

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

WITHHELD = 0.05
"""Share of the lists that settings are chosen on, and again as many that are measured on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Playlists:
    """`data` has each list as the history of one user, undated, so that every source fits on lists as on histories.

    `names` has one entry per list, `attributes` one per catalogue row. All events of a list have one fold. `read` (lists,
    text_dim) is what a text encoder reads in the names, where one does.
    """

    data: Dataset
    names: tuple[str | None, ...]
    attributes: tuple[Mapping[str, Any], ...] = ()
    read: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def folds(self) -> NDArray[np.uint8]:
        """The fold of each list; an empty one is to fit on."""
        out = np.zeros(len(self), dtype=np.uint8)
        held = self.data.lengths > 0
        out[held] = self.data.folds[self.data.starts[:-1][held]]
        return out

    def rows(self) -> list[Rows]:
        """The items of each list."""
        return [history.rows for history in self.data.histories()]

    def shares(self) -> NDArray[np.float32]:
        """(lists,): one over the number of lists that hold the same items, copies of one list."""
        same = Counter(contents := [_content(rows) for rows in self.rows()])
        return np.array([1 / same[one] for one in contents], dtype=np.float32)

    def only(self, chosen: NDArray[np.bool_]) -> "Playlists":
        """The marked lists over the same catalogue; `chosen` has one flag per list."""
        kept = self.data.keep(np.repeat(chosen, self.data.lengths))
        lengths = kept.lengths[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.flatnonzero(chosen)
        data = replace(kept, users=tuple(kept.users[i] for i in places), starts=starts)
        read = None if self.read is None else self.read[places]
        return replace(self, data=data, names=tuple(self.names[i] for i in places), read=read)


@dataclass(frozen=True, slots=True, eq=False)
class PlaylistSplit:
    """`fit` and `validation` choose settings; a model refitted on `refit` with those settings is measured on `test`."""

    fit: Playlists
    validation: Playlists
    refit: Playlists
    test: Playlists


def split_playlists(lists: Playlists) -> PlaylistSplit:
    """The lists taken apart along their folds."""
    folds = lists.folds
    parts = (folds < VALIDATION, folds == VALIDATION, folds < TEST, folds == TEST)
    return PlaylistSplit(*(lists.only(chosen) for chosen in parts))


def deployable(lists: Playlists) -> Playlists:
    """The same, with nothing to measure on: the lists that were for that are to choose settings on, all others to fit on."""
    return replace(lists, data=replace(lists.data, folds=np.maximum(lists.data.folds, 1) - 1))


def with_names_read(lists: Playlists, encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> Playlists:
    """The same with the vectors that `encode` gives for the names; zeros where a list has none."""
    vectors = encode([name or "" for name in lists.names])
    vectors[[not (name or "").strip() for name in lists.names]] = 0
    return replace(lists, read=vectors)


def fold_of(rows: Rows, *, seed: int) -> int:
    """What a list is for, by its items: lists of the same items fall on the same side, whatever else is stored."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:".encode() + _content(rows)).digest()[:8]) / 2**64
    return TEST if drawn < WITHHELD else VALIDATION if drawn < 2 * WITHHELD else FIT


def _content(rows: Rows) -> bytes:
    """Equal for lists of the same items."""
    return np.unique(rows).astype("<i8").tobytes()


def with_folds(lists: Playlists, *, seed: int) -> Playlists:
    """The same lists, each with its fold."""
    folds = np.array([fold_of(rows, seed=seed) for rows in lists.rows()], dtype=np.uint8)
    return replace(lists, data=replace(lists.data, folds=np.repeat(folds, lists.data.lengths)))


def playlists(store: Store, *, seed: int, withheld: bool = True) -> Playlists:
    """All playlists over the active items by number, each with its fold (`withheld=False`: all are to fit on).

    Items that are deleted are left out of the lists. A store without playlists gives every history as a list.

    Raises:
        NotReady: there are neither playlists nor histories.
    """
    names = playlist_names_frame(store)
    found = _stored(store, names) if len(names) else _histories(store)
    return with_folds(found, seed=seed) if withheld else found


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
    attributes = tuple(json.loads(one) for one in items["attributes"])
    return Playlists(data=data, names=tuple(names["name"]), attributes=attributes)


def _histories(store: Store) -> Playlists:
    try:
        data = dataset(store, holdout="none")
    except NotReady as error:
        raise NotReady("the store holds no lists: run `recsys import playlists FILE` or import events") from error
    attributes = tuple(json.loads(one) for one in items_frame(store)["attributes"])
    return Playlists(data=data, names=(None,) * len(data), attributes=attributes)
