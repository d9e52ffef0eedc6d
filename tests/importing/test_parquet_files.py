"""Parquet files: all types of Arrow, rows that cannot be read by number, damaged files in a line, bounded memory."""

import decimal
import random
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import InputFileError
from recsys.importing import columns, parquet_files
from recsys.importing.files import import_events, import_items
from recsys.importing.readers import reader_of
from recsys.store import Store
from recsys.store.records import ItemDraft

AT = datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


def read(path: Path, *needed: str) -> list[Any]:
    """Rows, and errors as text."""
    return [str(row) if isinstance(row, ValueError) else row for row in reader_of(path)(path, needed)]


def write(folder: Path, **arrays: pa.Array) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(arrays), path)
    return path


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        *(
            pa.timestamp(unit, zone)
            for unit in ("ms", "us", "ns")
            for zone in (None, "UTC", "Europe/Berlin", "-03:30", "Moon/Sea")
        ),
        pa.date32(),
        pa.date64(),
    ],
    ids=str,
)
def test_times_are_kept_to_the_microsecond(store: Store, tmp_path: Path, kind: pa.DataType, dictionary: bool) -> None:
    store.put_items([ItemDraft(item_id="1"), ItemDraft(item_id="2")])
    if dictionary and not pa.types.is_timestamp(kind):
        pytest.skip("Arrow has no dictionaries of dates in Parquet")
    times = pa.array([AT.replace(tzinfo=None), None], pa.timestamp("us"))
    times = (
        times.cast(kind, safe=False)
        if not pa.types.is_timestamp(kind)
        else times.cast(pa.timestamp(kind.unit), safe=False)
    )
    times = times.view(kind) if pa.types.is_timestamp(kind) else times
    path = write(tmp_path, user_id=pa.array(["u", "u"]), item_id=pa.array(["1", "2"]), timestamp=times)
    *_, report = import_events(store, path)
    assert (report.accepted, report.rejected) == (2, 0)
    unit = {"us": AT, "ns": AT, "ms": AT.replace(microsecond=123_000)}.get(
        getattr(kind, "unit", ""), AT.replace(microsecond=0)
    )
    expected = unit if pa.types.is_timestamp(kind) else datetime(2024, 1, 1, tzinfo=UTC)
    assert {event.item_id: event.at for event in store.recent_events("u", limit=2)} == {
        "1": pytest.approx(expected.timestamp(), abs=1e-6),
        "2": None,
    }


def test_nanoseconds_are_cut_off(store: Store, tmp_path: Path) -> None:
    store.put_items([ItemDraft(item_id="1")])
    times = pa.array([1_704_067_200_123_456_789], pa.timestamp("ns"))
    *_, report = import_events(
        store, write(tmp_path, user_id=pa.array(["u"]), item_id=pa.array(["1"]), timestamp=times)
    )
    assert report.accepted == 1
    assert [event.at for event in store.recent_events("u", limit=1)] == [pytest.approx(AT.timestamp(), abs=1e-6)]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pa.array([7], pa.int8()), "7"),
        (pa.array([2**63], pa.uint64()), str(2**63)),
        (pa.array([decimal.Decimal("70")], pa.decimal128(10, 0)), "70"),
        (pa.array([decimal.Decimal("70.00")], pa.decimal128(10, 2)), "70"),
        (pa.array(["007"], pa.large_string()), "007"),
        (pa.array(["007"], pa.string_view()), "007"),
        (pa.array([b"007"], pa.binary()), "007"),
        (pa.array(["007"]).dictionary_encode(), "007"),
        (pa.array([7]).dictionary_encode(), "7"),
        (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), str(uuid.UUID(int=7))),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_ids_of_any_type_are_text(tmp_path: Path, array: pa.Array, text: str) -> None:
    assert read(write(tmp_path, item_id=array), "item_id") == [{"item_id": text}]


@pytest.mark.parametrize(
    "array", [pa.array([1.5]), pa.array([True]), pa.array([[1]])], ids=lambda value: str(value.type)
)
def test_an_id_that_is_none_is_a_rejected_row(store: Store, tmp_path: Path, array: pa.Array) -> None:
    *_, report = import_items(store, write(tmp_path, item_id=array))
    assert report.reasons == {"id is no string": 1}


def test_attributes_of_every_type_land(store: Store, tmp_path: Path) -> None:
    arrays = {
        "half": pa.array([1.5], pa.float16()),
        "price": pa.array([decimal.Decimal("4.50")]),
        "released": pa.array([date(2024, 1, 1)]),
        "length": pa.array([timedelta(seconds=61)], pa.duration("ns")),
        "starts": pa.array([3_600_000_000_001], pa.time64("ns")),
        "tags": pa.array([["a", "b"]]).cast(pa.large_list(pa.string())),
        "maker": pa.array(
            [{"name": "x", "since": 1_704_067_200_000_000_001}],
            pa.struct([("name", pa.string()), ("since", pa.timestamp("ns"))]),
        ),
        "names": pa.array([[("de", "Ding")]], pa.map_(pa.string(), pa.string())),
        "blob": pa.array([b"text"], pa.binary()),
        "nothing": pa.nulls(1),
        "kind": pa.array(["big"]).dictionary_encode(),
    }
    *_, report = import_items(store, write(tmp_path, item_id=pa.array(["a"]), **arrays))
    assert (report.accepted, report.rejected) == (1, 0)
    assert store.item("a").attributes == {
        "half": 1.5,
        "price": "4.50",
        "released": "2024-01-01",
        "length": "0:01:01",
        "starts": "01:00:00",
        "tags": ["a", "b"],
        "maker": {"name": "x", "since": "2024-01-01 00:00:00"},
        "names": [["de", "Ding"]],
        "blob": "text",
        "kind": "big",
    }


def not_utf_8() -> pa.Array:
    return pa.Array.from_buffers(pa.string(), 3, [None, *pa.array([b"a", b"\xff", b"c"]).buffers()[1:]])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([0, 2**62, 1], pa.timestamp("us")), "unreadable value: x (timestamp[us])"),
        (pa.array([0, -(2**62), 1], pa.timestamp("ms", "UTC")), "unreadable value: x"),
        (pa.array([0, 2**30, 1], pa.date32()), "unreadable value: x (date32[day])"),
        (not_utf_8(), "unreadable value: x (string)"),
        (pa.array([b"a", b"\xff", b"c"]), "binary value: x is no text"),
        (pa.array(["a", "é" * 1_000_000, "c"]), columns.TOO_LONG),
        (pa.array(["a", "x" * 1_000_001, "c"], pa.string_view()), columns.TOO_LONG),
    ],
)
def test_a_value_that_cannot_be_read_is_a_rejected_row(tmp_path: Path, array: pa.Array, reason: str) -> None:
    first, second, third = read(write(tmp_path, item_id=pa.array(["1", "2", "3"]), x=array), "item_id")
    assert isinstance(second, str)
    assert second.startswith(reason)
    assert (first["item_id"], third["item_id"]) == ("1", "3")


def refusal(path: Path) -> str:
    """What is said of a damaged file; nothing where the damage does not show."""
    try:
        read(path, "item_id")
    except InputFileError as error:
        return str(error)
    return ""


def test_a_damaged_file_is_one_line_wherever_it_is_damaged(tmp_path: Path) -> None:
    numbers = range(5000)
    path = write(tmp_path, item_id=pa.array([str(n) for n in numbers]), title=pa.array([f"Thing {n}" for n in numbers]))
    content, generator = path.read_bytes(), random.Random(0)
    refusals = []
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(generator.randrange(1, 40)):
            damaged[generator.randrange(4, len(damaged) - 8)] = generator.randrange(256)
        path.write_bytes(damaged if generator.random() < 0.7 else damaged[: generator.randrange(1, len(damaged))])
        refusals.append(refusal(path))
    assert sum(map(bool, refusals)) > 50
    assert not any("\n" in message for message in refusals)


def test_names_are_trimmed_and_never_doubled(tmp_path: Path) -> None:
    assert read(write(tmp_path, **{" item_id": pa.array(["1"])}), "item_id") == [{"item_id": "1"}]
    with pytest.raises(InputFileError, match="has two columns 'item_id'"):
        read(write(tmp_path, **{" item_id": pa.array(["1"]), "item_id": pa.array(["1"])}), "item_id")


BOMBS = {
    "dictionary": "pa.DictionaryArray.from_arrays([n % 2 for n in range(700)], ['x' * 900_000, 'y' * 900_000])",
    "plain": "pa.array(['x' * 900_000 + str(n) for n in range(700)])",
    "too long": "pa.DictionaryArray.from_arrays([n % 2 for n in range(700)], ['x' * 5_000_000, 'y' * 5_000_000])",
    "lists": "pa.array([['x' * 900_000]] * 700)",
    "structs": "pa.array([{'a': 'x' * 900_000}] * 700)",
}
WRITING = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq
pq.write_table(pa.table({'x': eval(sys.argv[2])}), sys.argv[1], compression='zstd')
"""
READING = """
import resource, sys
from contextlib import suppress
from pathlib import Path
from recsys.errors import InputFileError
from recsys.importing.readers import reader_of
path, rows = Path(sys.argv[1]), 0
reader = reader_of(path)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with suppress(InputFileError):
    for _ in reader(path, ()):
        rows += 1
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_unpacks_to_much_is_read_or_refused_in_little_memory(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "bomb.parquet"
    subprocess.run([sys.executable, "-c", WRITING, str(path), BOMBS[bomb]], check=True)
    assert path.stat().st_size < 500_000
    reading = subprocess.run([sys.executable, "-c", READING, str(path)], check=True, capture_output=True, text=True)
    rows, mebibytes = map(int, reading.stdout.split())
    assert rows == (0 if bomb == "plain" else 700)
    assert mebibytes < 300


def test_a_list_longer_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "MAX_LIST_VALUES", 10)
    path = write(tmp_path, item_id=pa.array(["a"]), tags=pa.array([[0] * 11]))
    with pytest.raises(InputFileError, match=r"'tags.list.element' has lists of more than 10 values"):
        read(path, "item_id")
