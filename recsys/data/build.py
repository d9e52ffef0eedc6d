"""The data set of a store."""

from typing import Literal, assert_never

import numpy as np
import polars as pl

from features.sequences import user_sequences
from features.splits import FIT, leave_one_out, temporal, temporal_cuts
from features.text import item_text_from_json
from features.vocabulary import Vocabulary
from recsys.data.dataset import Dataset
from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.frames import events_frame, items_frame, playlists_frame

Holdout = Literal["leave-one-out", "temporal", "none"]
"""The events that are withheld: each user's last two, everything after two moments (the last tenths), or nothing."""


def dataset(store: Store, *, holdout: Holdout) -> Dataset:
    """All active items by number and their events, with folds by `holdout`; events of deleted items are left out.

    A store without events gives every playlist as a history.

    Raises:
        NotReady: the store has neither.
        SchemaError: a temporal holdout of events without times, or all of one moment.
    """
    items = items_frame(store)
    events = (events_frame if store.counts().events else _lists_as_histories)(store).join(
        items.lazy().select("item"), on="item", how="semi"
    )
    histories = user_sequences(folded(events, holdout)).collect() if len(items) else pl.DataFrame()
    if not len(histories):
        raise NotReady("the store holds no events: run `recsys import items FILE` and `recsys import events FILE`")
    vocabulary = Vocabulary(tuple(items["item"]))
    flat = histories.select("items", "at", "folds").explode("items", "at", "folds")
    return Dataset(
        item_ids=vocabulary.items,
        texts=tuple(item_text_from_json(*row) for row in items.select("title", "attributes").iter_rows()),
        users=tuple(histories["user"]),
        starts=np.concatenate([[0], np.cumsum(histories["items"].list.len().to_numpy())]).astype(np.int64),
        rows=vocabulary.encode(flat["items"]).to_numpy().astype(np.int64),
        at=(flat["at"].dt.timestamp("us") / 1e6).fill_null(np.nan).to_numpy().astype(np.float64),
        folds=flat["folds"].to_numpy().astype(np.uint8),
        domains=tuple(items["domain"]),
    )


def _lists_as_histories(store: Store) -> pl.LazyFrame:
    """All entries of all playlists with the columns of `features.schema.EVENTS`, undated."""
    entries = playlists_frame(store).lazy().with_row_index("arrival")
    undated = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    return entries.select(
        pl.col("playlist").alias("user"), "item", undated.alias("at"), "position", pl.col("arrival").cast(pl.Int64)
    )


def folded(events: pl.LazyFrame, holdout: Holdout) -> pl.LazyFrame:
    """The events with a column `fold` by `holdout`.

    Raises:
        SchemaError: a temporal holdout of events without times, or all of one moment.
    """
    match holdout:
        case "leave-one-out":
            return leave_one_out(events)
        case "temporal":
            validation_from, test_from = temporal_cuts(events)
            return temporal(events, validation_from=validation_from, test_from=test_from)
        case "none":
            return events.with_columns(fold=pl.lit(FIT, dtype=pl.UInt8()))
    assert_never(holdout)
