"""The stores that the signals benchmark learns from, filled by the importer as a user would fill them; each is kept once made."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl

from features.text import item_text_from_json
from recsys.encoders.cache import stored_vectors
from recsys.encoders.resolve import text_encoder
from recsys.importing.files import import_events, import_items
from recsys.store import Store
from recsys.store.frames import items_frame
from recsys.store.sessions import upgrade
from tests.benchmarks.harness import artifact, say

ENCODER = "packaged"
STORING = ("recsys/importing", "recsys/store", "recsys/encoders", "features", "models", "migrations")
"""The code that a filled store depends on."""
LAST_ORDER = 1_500_000_000
"""The day (epoch seconds) of everyone's last order, where only days between orders are known."""
DAY, HOUR = 86_400, 3600


def items_of(data: Path, name: str) -> Path:
    return data / name / "items.parquet"


def events_of(data: Path, name: str) -> Path:
    """The events as they are. Baskets are sessions to the importer."""
    return data / name / "interactions.parquet"


def dated_orders(data: Path) -> Path:
    """The events of instacart_sample with times: real days between the orders of a user, and everyone's last order on one day.

    The source has no dates. What is withheld by such a time is the end of each user's history.
    """
    events = events_of(data, "instacart_sample")
    days = pl.col("day") - pl.col("day").max().over("user_id")
    at = LAST_ORDER + days.cast(pl.Int64) * DAY + pl.col("order_hour_of_day").cast(pl.Int64) * HOUR
    return _derived("dated orders", events, lambda frame: frame.with_columns(timestamp=at))


def rated(data: Path) -> Path:
    """The events of movielens_100k, each named a rating."""
    return _derived("rated", events_of(data, "movielens_100k"), lambda frame: frame.with_columns(kind=pl.lit("rating")))


def written(name: str, frame: pl.DataFrame, *made_of: object) -> Path:
    """A Parquet file with `frame`; a name and `made_of` stand for one content."""
    folder = artifact("signals file", name, *made_of, code=["tests/benchmarks/signals_stores.py"])
    path = folder / f"{name}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
    return path


def filled(items: Path, events: Path) -> str:
    """URL of a store with the two files, no text of which is encoded."""

    def fill(store: Store) -> None:
        _import(store, items=items)
        _import(store, events=events)

    return _made("signals store", fill, files=[items, events])


def filled_with_texts(items: Path, events: Path) -> str:
    """URL of a store with the two files, all texts encoded: once for all files of events."""
    texts = _made("signals texts", lambda store: _encode(store, items), files=[items])
    return _made("signals encoded", lambda store: _import(store, events=events), files=[items, events], copied=texts)


def _derived(name: str, events: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    path = artifact("signals", name, files=[events], code=["tests/benchmarks/signals_data.py"]) / "events.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        change(pl.read_parquet(events)).write_parquet(path)
    return path


def _made(what: str, fill: Callable[[Store], None], *, files: list[Path], copied: str | None = None) -> str:
    """URL of a store filled by `fill`, from an empty one or a copy of the store at `copied`."""
    folder = artifact(what, ENCODER, files=files, code=STORING)
    url = f"sqlite:///{folder}/recsys.db"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)  # an import or encoding that was ended goes on
        if copied is not None:
            shutil.rmtree(folder)
            folder.mkdir()
            shutil.copy(copied.removeprefix("sqlite:///"), folder)
        upgrade(url)
        store = Store.open(url)
        fill(store)
        store.close()
        (folder / "ready").touch()
        say(f"{what} of {', '.join(map(str, files))}: ready")
    return url


def _import(store: Store, *, items: Path | None = None, events: Path | None = None) -> None:
    for path, import_file in ((items, import_items), (events, import_events)):
        if path is not None:
            *_, report = import_file(store, path)
            assert not report.rejected, (path, report)


def _encode(store: Store, items: Path) -> None:
    _import(store, items=items)
    frame = items_frame(store)
    texts = [item_text_from_json(*row) for row in frame.select("title", "attributes").iter_rows()]
    stored_vectors(store, text_encoder(ENCODER, device="cpu"), list(frame["item"]), texts, list(frame["domain"]))
