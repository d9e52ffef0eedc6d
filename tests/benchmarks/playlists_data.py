"""The data sets of the playlist benchmark as lists: playlists as they are, orders and invoices as baskets."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from features.text import item_text
from recsys.data.dataset import Dataset
from recsys.data.playlists import Playlists, with_folds

SOURCES = {
    "mpd_popular": ("playlists.parquet", "playlist_id", ("playlist_id", "position")),
    "instacart_sample": ("interactions.parquet", "basket_id", ("user_id", "order_number", "add_to_cart_order")),
    "online_retail": ("baskets.parquet", "basket_id", ()),
}
"""The file that has the entries, the column that says of which list each is, and the order of the rows."""


def files(data: Path, name: str) -> list[Path]:
    return [data / name / "items.parquet", data / name / SOURCES[name][0]]


@cache
def lists(data: Path, name: str, *, split: int = 0) -> Playlists:
    """All lists of a data set with their folds, drawn by the seed `split`; items in the order of their file."""
    file, owner, order = SOURCES[name]
    items, entries = pl.read_parquet(data / name / "items.parquet"), pl.read_parquet(data / name / file)
    entries = entries.sort(*order) if order else entries
    place = {item_id: row for row, item_id in enumerate(items["item_id"])}
    named = [pl.col("playlist_name").first()] if "playlist_name" in entries.columns else []
    grouped = entries.group_by(owner, maintain_order=True).agg("item_id", *named)
    names = tuple(grouped["playlist_name"]) if named else (None,) * len(grouped)
    rows = [np.array([place[one] for one in ids], dtype=np.int64) for ids in grouped["item_id"]]
    told = list(items.iter_rows(named=True))
    columns = [name for name, kind in items.schema.items() if name not in ("item_id", "title") and kind == pl.String]
    attributes = tuple({column: row[column] for column in columns} for row in told)
    lengths = [len(one) for one in rows]
    found = Dataset(
        item_ids=tuple(items["item_id"]),
        texts=tuple(item_text(row["title"], own) for row, own in zip(told, attributes, strict=True)),
        users=tuple(map(str, grouped[owner])),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rows=np.concatenate(rows),
        at=np.full(sum(lengths), np.nan),
        folds=np.zeros(sum(lengths), dtype=np.uint8),
    )
    return with_folds(Playlists(data=found, names=names, attributes=attributes), seed=split)


def titles(data: Path, name: str) -> list[str]:
    """Of each item."""
    return pl.read_parquet(data / name / "items.parquet")["title"].to_list()
