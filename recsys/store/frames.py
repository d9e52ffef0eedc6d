"""Tables of the store as polars frames: the only place of the store that knows polars."""

import json

import polars as pl
from sqlalchemy import select

from recsys.store.store import Store, read_connection
from recsys.store.tables import events, items, playlist_items, playlists

EVENT_TYPES = {
    "user": pl.String,
    "item": pl.String,
    "at": pl.Float64,
    "position": pl.Int64,
    "arrival": pl.Int64,
    "kind": pl.String,
    "weight": pl.Float64,
    "session": pl.String,
}


def events_frame(store: Store, *, upto: int | None = None) -> pl.LazyFrame:
    """All events, or those to number `upto`, with the columns of `features.schema.EVENTS`, `kind`, `weight` and `session`, by
    arrival."""
    c = events.c
    columns = (c.user_id, c.item_id, c.at, c.position, c.number, c.kind, c.weight, c.session_id)
    query = select(*columns).order_by(c.number)
    if upto is not None:
        query = query.where(c.number <= upto)
    with read_connection(store) as connection:
        rows = connection.execute(query).all()
    frame = pl.DataFrame([tuple(row) for row in rows], schema=EVENT_TYPES, orient="row")
    return frame.lazy().with_columns(
        (pl.col("at") * 1e6).cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )


def items_frame(store: Store, *, deleted: bool = False) -> pl.DataFrame:
    """Active items by number, with the columns of `features.schema.ITEMS`, `domain` and `content_hash`; with `deleted`, all."""
    c = items.c
    query = select(c.item_id, c.title, c.attributes, c.domain, c.content_hash).order_by(c.number)
    query = query if deleted else query.where(c.active)
    with read_connection(store) as connection:
        rows = connection.execute(query).all()
    columns = ("item", "title", "attributes", "domain", "content_hash")
    values = [
        (r.item_id, r.title, json.dumps(r.attributes, ensure_ascii=False), r.domain, r.content_hash) for r in rows
    ]
    return pl.DataFrame(values, schema=dict.fromkeys(columns, pl.String), orient="row")


def playlists_frame(store: Store) -> pl.DataFrame:
    """All entries of all playlists (`playlist`, `position`, `item`), list by list in their order."""
    c = playlist_items.c
    query = select(c.playlist_id, c.position, c.item_id).order_by(c.playlist_id, c.position)
    with read_connection(store) as connection:
        rows = connection.execute(query).all()
    schema = {"playlist": pl.String, "position": pl.Int64, "item": pl.String}
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")


def playlist_names_frame(store: Store) -> pl.DataFrame:
    """All playlists by id (`playlist`, `name`), empty ones too."""
    c = playlists.c
    with read_connection(store) as connection:
        rows = connection.execute(select(c.playlist_id, c.name).order_by(c.playlist_id)).all()
    return pl.DataFrame([tuple(row) for row in rows], schema={"playlist": pl.String, "name": pl.String}, orient="row")
