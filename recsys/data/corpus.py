"""The training data of text encoders: the texts of all items, and the histories and playlists with them."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.sequences import ORDER
from features.splits import FIT
from features.text import item_text_from_json
from features.vocabulary import Vocabulary
from recsys.data.build import Holdout, counted, folded
from recsys.data.history import Rows
from recsys.errors import NotReady
from recsys.signals import SignalTable
from recsys.store import Store
from recsys.store.frames import events_frame, items_frame, playlists_frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corpus:
    """Catalogue rows end to end, `list_ids` has the list of each entry; `texts` and `domains` have one entry per row."""

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    domains: tuple[str | None, ...]
    rows: Rows
    list_ids: NDArray[np.int64]


def read_corpus(store: Store, *, holdout: Holdout, table: SignalTable | None = None) -> Corpus:
    """Every history without the events that `holdout` withholds, and every playlist; deleted items are left out.

    Events count by `table`: what speaks against its item is left out.

    Raises:
        NotReady: the store holds neither.
        SchemaError: a temporal holdout of events without times.
    """
    items = items_frame(store)
    vocabulary = Vocabulary(tuple(items["item"]))
    stored = events_frame(store).join(items.lazy().select("item"), on="item", how="semi")
    events, _ = counted(stored, vocabulary, table or SignalTable())
    fitted = (
        folded(events, holdout)
        .filter(pl.col("target"), pl.col("fold") == FIT)
        .sort("user", *ORDER, nulls_last=False)
        .select(list=pl.col("user"), item=pl.col("item"))
        .collect()
    )
    played = playlists_frame(store).select(list=pl.col("playlist"), item=pl.col("item"))
    both = pl.concat([fitted.with_columns(kind=pl.lit("history")), played.with_columns(kind=pl.lit("playlist"))])
    both = both.join(items.select("item"), on="item", how="semi", maintain_order="left")
    if not len(both):
        raise NotReady("the store holds no lists: run `recsys import events FILE` or `recsys import playlists FILE`")
    return Corpus(
        item_ids=vocabulary.items,
        texts=tuple(item_text_from_json(*row) for row in items.select("title", "attributes").iter_rows()),
        domains=tuple(items["domain"]),
        rows=vocabulary.encode(both["item"]).to_numpy().astype(np.int64),
        list_ids=both.select(pl.struct("kind", "list").rle_id()).to_series().to_numpy().astype(np.int64),
    )
