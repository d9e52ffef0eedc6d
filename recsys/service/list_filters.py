"""Which stored lists a question about similar ones may be answered with."""

import numpy as np

from recsys.retrieval.source import Allowed
from recsys.service.list_questions import SimilarOptions
from recsys.service.stored_lists import ListsNow
from recsys.store import Store


def filtered(store: Store, now: ListsNow, options: SimilarOptions, *, without: str | None) -> Allowed | None:
    """Which lists may be shown; None: all of them."""
    kept = (options.min_length, options.max_length, options.holds, options.name_contains, without)
    if all(one is None for one in kept):
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
    if without is not None and (rows := lists.rows([without])).size:
        flags[rows] = False
    return flags
