"""The data set that a store holds."""

from typing import Literal

import numpy as np
import polars as pl

from features.sequences import user_sequences
from features.splits import leave_one_out, temporal, temporal_cuts
from features.text import item_text_from_json
from recsys.data.dataset import Dataset
from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.frames import events_frame, items_frame

Protocol = Literal["leave-one-out", "temporal"]


def dataset(store: Store, *, protocol: Protocol) -> Dataset:
    """All active items and their events, with folds by the protocol; events of deleted items are left out.

    Raises:
        NotReady: there are no events to learn from.
    """
    items = items_frame(store)
    events = events_frame(store).filter(pl.col("item").is_in(items["item"].to_list()))
    if not len(items) or events.head(1).collect().is_empty():
        raise NotReady("the store holds no events: run `recsys import items FILE` and `recsys import events FILE`")
    if protocol == "temporal":
        validation_from, test_from = temporal_cuts(events)
        split = temporal(events, validation_from=validation_from, test_from=test_from)
    else:
        split = leave_one_out(events)
    histories = user_sequences(split).collect()
    row_of = {item_id: row for row, item_id in enumerate(items["item"])}
    flat = histories.explode("items", "at", "folds")
    seconds = flat["at"].dt.timestamp("us").cast(float) / 1e6
    return Dataset(
        item_ids=tuple(items["item"]),
        texts=tuple(item_text_from_json(*row) for row in items.select("title", "attributes").iter_rows()),
        users=tuple(histories["user"]),
        starts=np.concatenate([[0], np.cumsum(histories["items"].list.len().to_numpy())]).astype(np.int64),
        rows=np.array([row_of[item_id] for item_id in flat["items"]], dtype=np.int64),
        at=seconds.fill_null(np.nan).to_numpy().astype(np.float64),
        folds=flat["folds"].to_numpy(),
    )
