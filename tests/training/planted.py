"""A planted world as a data set."""

import numpy as np
import polars as pl

from features.sequences import user_sequences
from features.splits import leave_one_out
from features.synthetic import planted
from features.text import item_text_from_json
from recsys.data.dataset import Dataset


def dataset(*, users: int = 120, items: int = 30, length: int = 12) -> Dataset:
    """Leave-one-out folds over `features.synthetic.planted`."""
    world = planted(users=users, items=items, length=length, clusters=3)
    table = world.items.collect()
    histories = user_sequences(leave_one_out(world.events)).collect()
    flat = histories.select("items", "folds").explode("items", "folds")
    row = {item: number for number, item in enumerate(table["item"])}
    return Dataset(
        item_ids=tuple(table["item"]),
        texts=tuple(item_text_from_json(*one) for one in table.select("title", "attributes").iter_rows()),
        users=tuple(histories["user"]),
        starts=np.concatenate([[0], np.cumsum(histories["items"].list.len().to_numpy())]).astype(np.int64),
        rows=flat["items"].replace_strict(row, return_dtype=pl.Int64).to_numpy(),
        at=np.full(len(flat), np.nan),
        folds=flat["folds"].to_numpy().astype(np.uint8),
    )
