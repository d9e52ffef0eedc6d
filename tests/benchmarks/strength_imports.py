"""Imports against the bulk tool of the database, and their memory at ten times the rows.

The tool writes the very rows that the import made, event ids included, into the same tables with the same indexes and keys.
Import and tool take turns, so that a machine that others use too slows both alike.
"""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import create_engine, make_url

from recsys.importing.files import import_events
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.benchmarks.harness import ARTIFACTS, Row, peak_megabytes, say
from tests.servers import postgresql

ITEMS, USERS = 10_000, 50_000
ROWS, MANY = 1_000_000, 10_000_000
BLOCK = 1_000_000
ROUNDS = 2
SHELL = "sqlite3"
TABLES = ("users", "events")


def speed(_: Path) -> Iterator[Row]:
    """1,000,000 events on both databases."""
    if shutil.which(SHELL) is None:
        what = f"import over {SHELL} .import"
        yield Row(what=what, value="no sqlite3 command: apt-get install sqlite3", must="<= 4", holds=False, seed=0, n=0)
    else:
        yield from _speed("sqlite", f"{SHELL} .import")
    yield from _speed("postgresql", "COPY")


def memory(_: Path) -> Iterator[Row]:
    """10,000,000 rows, the one in the middle broken, against 1,000,000; SQLite."""
    peaks, reports = {}, {}
    for rows in (ROWS, MANY):
        with _scratch() as folder, _database("sqlite", folder) as url:
            done = _imported(url, made(folder / "events.csv", rows, broken=rows // 2))
            peaks[rows] = done["megabytes"]
            reports[rows] = done | {"rejects": _rejected(folder / "events.csv.rejected.jsonl")}
            say(f"import of {rows:,}: {reports[rows]}")
    ratio = peaks[MANY] / peaks[ROWS]
    named = all(reports[rows]["rejects"] == [rows // 2 + 1] for rows in reports)
    complete = all(reports[rows]["accepted"] == rows - 1 for rows in reports)
    yield Row(
        what="peak memory of an import of 10,000,000 over 1,000,000; its broken row named, all others taken",
        value={
            "value": ratio,
            "megabytes": peaks,
            "seconds": {rows: report["seconds"] for rows, report in reports.items()},
        },
        must="<= 1.2",
        holds=ratio <= 1.2 and named and complete,
        seed=0,
        n=MANY,
    )


def made(path: Path, rows: int, *, broken: int | None = None) -> Path:
    """A CSV file of events by time; the time of row number `broken` (from 0) is no time."""
    generator = np.random.default_rng(0)
    start = 0
    with path.open("wb") as file:
        while start < rows:
            count = min(BLOCK, rows - start)
            times = 1_600_000_000 + start + np.sort(generator.integers(0, count, count))
            frame = pl.DataFrame(
                {
                    "user_id": generator.integers(0, USERS, count),
                    "item_id": generator.integers(0, ITEMS, count),
                    "timestamp": times,
                    "rating": generator.integers(1, 6, count),
                }
            ).with_columns(pl.format("u{}", "user_id").alias("user_id"), pl.format("i{}", "item_id").alias("item_id"))
            frame = frame.with_columns(pl.col("timestamp").cast(str))
            if broken is not None and start <= broken < start + count:
                frame[broken - start, "timestamp"] = "yesterday"
            frame.write_csv(file, include_header=start == 0)
            start += count
    return path


def _speed(kind: str, tool: str) -> Iterator[Row]:
    imports, copies = list[float](), list[float]()
    with _scratch() as folder:
        path = made(folder / "given.csv", ROWS)
        for number in range(ROUNDS):
            (import_folder := folder / f"own{number}").mkdir()
            with _database(kind, import_folder) as url:
                imports.append(_imported(url, path)["seconds"])
                _dump(url, folder)
            (copy_folder := folder / f"base{number}").mkdir()
            with _database(kind, copy_folder) as url:
                copies.append(_copied(url, folder))
            say(f"{kind}: import {imports[-1]:.1f} s, {tool} {copies[-1]:.1f} s")
    ratio = float(np.median(imports) / np.median(copies))
    yield Row(
        what=f"import of 1,000,000 events over {tool}",
        value={"value": ratio, "seconds": imports, "tool_seconds": copies},
        must="<= 4",
        holds=ratio <= 4,
        seed=0,
        n=ROWS,
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ARTIFACTS) as folder:
        yield Path(folder)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    """A migrated database that holds the items."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/store.db"
        _prepare(url)
        yield url
        return
    with postgresql(Path(tempfile.mkdtemp(prefix="recsys-"))) as server:  # a socket's path has to be short
        _prepare(server.url)
        yield server.url


def _prepare(url: str) -> None:
    upgrade(url)
    with closing(Store.open(url)) as store:
        for start in range(0, ITEMS, 1000):
            store.put_items([ItemDraft(item_id=f"i{number}") for number in range(start, start + 1000)])


def _imported(url: str, path: Path) -> dict[str, Any]:
    """Imports in a process of its own: seconds, peak memory, counts."""
    command = [sys.executable, "-m", __name__, url, str(path)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _dump(url: str, folder: Path) -> None:
    """What the import wrote, as CSV."""
    engine = create_engine(url)
    with engine.connect() as connection:
        for table in TABLES:
            with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                rows = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1")
                csv.writer(file).writerows(tuple(row) for row in rows)
    engine.dispose()


def _copied(url: str, folder: Path) -> float:
    """Seconds that the bulk tool takes."""
    started = time.monotonic()
    if url.startswith("sqlite"):
        loads = [f".import {folder}/{table}.csv {table}" for table in TABLES]
        command = [SHELL, make_url(url).database or "", ".mode csv", *loads]
        subprocess.run(command, check=True)
        return time.monotonic() - started
    engine = create_engine(url)
    connection = engine.raw_connection()
    with closing(connection.cursor()) as cursor:
        for table in TABLES:
            with (
                cursor.copy(f"COPY {table} FROM STDIN WITH (FORMAT csv)") as copy,
                (folder / f"{table}.csv").open("rb") as file,
            ):
                while block := file.read(1 << 20):
                    copy.write(block)
    connection.commit()
    connection.close()
    engine.dispose()
    return time.monotonic() - started


def _rejected(path: Path) -> list[int]:
    return [json.loads(line)["row"] for line in path.read_text(encoding="utf-8").splitlines()]


def _run(url: str, path: Path) -> None:
    store = Store.open(url)
    started = time.monotonic()
    *_, report = import_events(store, path, rejects=path.with_name(f"{path.name}.rejected.jsonl"))
    done = {
        "seconds": time.monotonic() - started,
        "megabytes": peak_megabytes(),
        "accepted": report.accepted,
    }
    store.close()
    sys.stdout.write(json.dumps(done))


BENCHES = {"import-speed": speed, "import-memory": memory}

if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]))
