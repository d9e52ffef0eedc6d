"""The data set of a store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.sequences import ORDER, user_sequences
from features.splits import FIT, TEST, leave_one_out, temporal, temporal_cuts
from features.text import item_text_from_json
from features.vocabulary import Vocabulary
from recsys.data.dataset import Dataset
from recsys.data.feedback import Signals, verdicts
from recsys.data.sessions import (
    learned_gap,
    repeats_within_session,
    session_numbers,
    strongest_in_session,
    values_in_session,
)
from recsys.errors import NotReady
from recsys.signals import SignalTable, mean_rating
from recsys.store import Store
from recsys.store.frames import events_frame, items_frame, playlists_frame

Holdout = Literal["leave-one-out", "temporal", "none"]
"""The events that are withheld: each user's last two, everything after two moments (the last tenths), or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """The store as it was: with the catalogue `item_ids`, also of items deleted since, and with events up to number `event` and
    time `until`. If `learned` is set, events after that number are the test fold, and all others the fit fold. Events count by
    `signals` where they are given, and nothing about them is learned anew."""

    item_ids: tuple[str, ...]
    event: int | None
    learned: int | None = None
    until: datetime | None = None
    signals: Signals | None = None


def dataset(store: Store, *, holdout: Holdout, table: SignalTable | None = None, as_of: AsOf | None = None) -> Dataset:
    """All active items by number and their events, with folds by `holdout`; events of deleted items are left out.

    Events count by `table`. A store without events gives every playlist as a history. With `as_of` items and events are those
    of then.

    Raises:
        NotReady: the store has neither, or nothing speaks for an item.
        SchemaError: a temporal holdout of events without times, or all of one moment.
    """
    items = _catalogue(store, as_of.item_ids) if as_of else items_frame(store)
    has_events = bool(store.counts().events)
    stored = _events(store, as_of) if has_events else _lists_as_histories(store)
    vocabulary = Vocabulary(tuple(items["item"]))
    counts = stored.join(items.lazy().select("item"), on="item", how="semi")
    known = as_of.signals if as_of else None
    events, signals = (
        counted(counts, vocabulary, table or SignalTable(), known=known) if len(items) else (pl.LazyFrame(), Signals())
    )
    columns = ("value", "explicit", "session", "target")
    learned = as_of.learned if as_of else None
    if len(items):
        events = folded(events, holdout) if learned is None else _newer(events, than=learned)
    histories = user_sequences(events, columns=columns).collect() if len(items) else pl.DataFrame()
    if not len(histories):
        raise NotReady("the store holds no events: run `recsys import items FILE` and `recsys import events FILE`")
    if not histories["target"].explode().any():
        raise NotReady(
            "no event of the store speaks for its item: all are dislikes and the like, or count for 0; import views or "
            "purchases, or give kinds a weight in RECSYS_SIGNALS"
        )
    flat = histories.select("items", "at", "folds", *columns).explode("items", "at", "folds", *columns)
    return Dataset(
        item_ids=vocabulary.items,
        texts=tuple(item_text_from_json(*row) for row in items.select("title", "attributes").iter_rows()),
        users=tuple(histories["user"]),
        starts=np.concatenate([[0], np.cumsum(histories["items"].list.len().to_numpy())]).astype(np.int64),
        rows=vocabulary.encode(flat["items"]).to_numpy().astype(np.int64),
        at=_seconds(flat["at"]),
        folds=flat["folds"].to_numpy().astype(np.uint8),
        domains=tuple(items["domain"]),
        values=flat["value"].to_numpy().astype(np.float64),
        explicit=flat["explicit"].to_numpy().astype(np.bool_),
        sessions=flat["session"].to_numpy().astype(np.int64),
        targets=flat["target"].to_numpy().astype(np.bool_),
        signals=signals,
        stored_events=counts.select(pl.len()).collect().item(),
        last_event=stored.select(pl.col("arrival").max()).collect().item() if has_events else None,
    )


def _catalogue(store: Store, item_ids: Sequence[str]) -> pl.DataFrame:
    """The items of these ids in their order; one that the store no longer has keeps its row, without a text."""
    rows = pl.DataFrame({"item": item_ids}, schema={"item": pl.String})
    known = rows.join(items_frame(store, deleted=True), on="item", how="left", maintain_order="left")
    return known.with_columns(pl.col("attributes").fill_null("{}"))


def _newer(events: pl.LazyFrame, *, than: int) -> pl.LazyFrame:
    """The events with a column `fold`: `TEST` for numbers above `than`."""
    fold = pl.when(pl.col("arrival") > than).then(TEST).otherwise(FIT)
    return events.with_columns(fold=fold.cast(pl.UInt8()))


def _events(store: Store, as_of: AsOf | None) -> pl.LazyFrame:
    if as_of is None:
        return events_frame(store)
    events = events_frame(store, upto=as_of.event)
    return events.filter(pl.col("at").is_null() | (pl.col("at") <= as_of.until)) if as_of.until else events


def counted(
    stored: pl.LazyFrame, vocabulary: Vocabulary, table: SignalTable, *, known: Signals | None = None
) -> tuple[pl.LazyFrame, Signals]:
    """The one event of each item in each session that counts, with columns `value`, `explicit`, `session` (a number) and
    `target`; and how they were counted: as `known`, or as these events show.

    What speaks against its item is no target, nor what its user rejected.
    """
    frame = stored.sort("user", *ORDER, nulls_last=False).collect()
    rows = vocabulary.encode(frame["item"]).to_numpy().astype(np.int64)
    owners = frame["user"].rle_id().to_numpy().astype(np.int64)
    kinds, weights, at = frame["kind"].to_list(), frame["weight"].to_numpy(), _seconds(frame["at"])
    ratings = known.mean_rating if known else mean_rating(kinds, weights)
    values, explicit = table.values(kinds, weights, owners, mean_rating=ratings)
    gap = known.gap if known else learned_gap(at, owners)
    ids = frame["session"].cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    sessions = session_numbers(at, ids, owners, gap=gap)
    learned = known or Signals(
        table=table,
        mean_rating=ratings,
        gap=gap,
        repeats_in_session=repeats_within_session(rows, sessions, values, table.consumes(kinds, values)),
    )
    values = values_in_session(rows, sessions, values, explicit)
    chosen = strongest_in_session(rows, sessions, values, explicit, repeats=not learned.leave_out_open)
    speaks = verdicts(rows[chosen], values[chosen], explicit[chosen], owners[chosen]).speaks
    if known is None and speaks.any():
        learned = replace(learned, unit=float(values[chosen][speaks].mean()))
    columns = {"value": values / learned.unit, "explicit": explicit, "session": sessions}
    events = frame.with_columns(**{name: pl.Series(column) for name, column in columns.items()}).filter(chosen)
    return events.with_columns(target=pl.Series(speaks)).lazy(), learned


def _seconds(at: pl.Series) -> NDArray[np.float64]:
    return (at.dt.timestamp("us") / 1e6).fill_null(np.nan).to_numpy().astype(np.float64)


def _lists_as_histories(store: Store) -> pl.LazyFrame:
    """All entries of all playlists with the columns of `events_frame`, undated."""
    entries = playlists_frame(store).lazy().with_row_index("arrival")
    undated = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    return entries.select(
        pl.col("playlist").alias("user"),
        "item",
        undated.alias("at"),
        "position",
        pl.col("arrival").cast(pl.Int64),
        kind=pl.lit("view"),
        weight=pl.lit(1.0),
        session=pl.lit(None, dtype=pl.String),
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
