"""Search over stored playlists with filters (length, name, contained item)."""

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS
from recsys.retrieval.lists.encoder import ListVectors
from recsys.service.playlists.playlist_index import PlaylistSnapshot
from recsys.service.playlists.questions import SimilarOptions
from recsys.store import Store


def nearest(
    store: Store, now: PlaylistSnapshot, key: str, vector: ListVectors, options: SimilarOptions, *, without: str | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(rows, cosines) of the lists most like `vector` (1, dim) in the index `key`, best first.

    The list `without` is searched with the others and left out afterwards: a million flags take longer than the search.
    """
    left_out = NO_ROWS if without is None else now.lists.rows([without])
    k = min(options.k, max(1, len(now.active)))
    flags = _allowed(store, now, options)
    result = now.indexes[key].search(vector, k=k + len(left_out), allowed=None if flags is None else flags[None])
    rows, scores = result.rows[0], result.scores[0]
    stays = (rows >= 0) & ~np.isin(rows, left_out)
    return rows[stays][:k], scores[stays][:k]


def _allowed(store: Store, now: PlaylistSnapshot, options: SimilarOptions) -> NDArray[np.bool_] | None:
    """A flag for each list; None: all of them."""
    filters = (options.min_length, options.max_length, options.holds, options.name_contains)
    if all(value is None for value in filters):
        return None
    lists, lengths = now.lists, now.lengths
    flags = now.active.copy()
    if options.min_length is not None:
        flags &= lengths >= options.min_length
    if options.max_length is not None:
        flags &= lengths <= options.max_length
    if options.holds is not None:
        holding = np.zeros(len(flags), dtype=np.bool_)
        rows = lists.rows(store.playlists_holding(options.holds))
        holding[rows[rows < len(flags)]] = True
        flags &= holding
    if options.name_contains is not None:
        part = options.name_contains.casefold()
        flags &= np.fromiter((part in (name or "").casefold() for name in lists.titles[: len(flags)]), dtype=np.bool_)
    return flags
