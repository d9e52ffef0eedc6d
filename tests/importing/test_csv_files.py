"""CSV and other text as people have it: any delimiter, encoding and compression, without a value that fills the memory."""

import bz2
import gzip
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recsys.errors import InputFileError
from recsys.importing import columns, text_files
from recsys.importing.readers import ReadOptions, reader_of

ROWS = [{"item_id": "1", "title": "Café, crème"}, {"item_id": "2", "title": "Größe"}]
NEEDED = ("item_id",)


def read(path: Path, needed: Sequence[str] = NEEDED, **options: Any) -> tuple[list[Any], list[str]]:
    """Rows, errors as text, and notes."""
    notes: list[str] = []
    rows = reader_of(path, ReadOptions(note=notes.append, **options))(path, needed)
    return [str(row) if isinstance(row, ValueError) else row for row in rows], notes


def write(folder: Path, content: str | bytes, name: str = "i.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(delimiter: str) -> str:
    """`ROWS` as CSV."""
    lines = (f'{row["item_id"]}{delimiter}"{row["title"]}"\n' for row in ROWS)
    return f"item_id{delimiter}title\n" + "".join(lines)


@pytest.mark.parametrize(
    ("delimiter", "name"),
    [(";", "semicolon"), ("\t", "tab"), ("|", "bar"), (",", None)],
    ids=["semi", "tab", "bar", "comma"],
)
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
def test_the_delimiter_is_detected_and_reported(tmp_path: Path, delimiter: str, name: str | None, ending: str) -> None:
    rows, notes = read(write(tmp_path, table(delimiter), f"i.{ending}"))
    assert rows == ROWS
    assert notes == ([f"delimiter {name}, as detected; --delimiter sets another"] if name else [])


def test_the_delimiter_is_the_one_that_gives_the_needed_columns(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, "item_id;a, b, c, d\n1;x\n"))
    assert rows == [{"item_id": "1", "a, b, c, d": "x"}]
    rows, _ = read(write(tmp_path, "a;id\nx;1\n"), renames={"id": "item_id"})
    assert rows == [{"a": "x", "item_id": "1"}]


def test_excel_states_its_delimiter_in_a_line_of_its_own(tmp_path: Path) -> None:
    assert read(write(tmp_path, 'sep=^\nitem_id^title\n1^"a,b"\n'))[0] == [{"item_id": "1", "title": "a,b"}]


def test_a_delimiter_of_the_caller_is_taken(tmp_path: Path) -> None:
    assert read(write(tmp_path, table("~")), delimiter="~") == (ROWS, [])


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "windows-1252", "latin-1"],
)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_encoding_is_detected_and_reported(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = write(tmp_path, table(delimiter).encode(encoding))
    rows, notes = read(path)
    assert rows == ROWS
    assert any("encoding" in note for note in notes) != encoding.startswith("utf-8")
    assert read(path, encoding=encoding)[0] == ROWS


def test_windows_punctuation_is_read_wherever_it_stands(tmp_path: Path) -> None:
    far = "1,plain\n" * 200_000  # beyond what one look at the beginning of the file would show
    path = write(tmp_path, ("item_id,title\n" + far + "2,“naïve” … 5 €\n").encode("windows-1252"))
    rows, notes = read(path)
    assert rows[-1] == {"item_id": "2", "title": "“naïve” … 5 €"}
    assert notes == ["encoding windows-1252, as detected; --encoding sets another"]


def test_one_damaged_row_does_not_change_the_encoding_of_the_others(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, table(",").encode() + b"3,caf\xe9\n"))
    assert rows == [*ROWS, {"item_id": "3", "title": "caf\udce9"}]  # which the import rejects as broken
    assert notes == []


def test_an_encoding_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "item_id,title\n1,Война и мир\n2,Анна Каренина\n".encode("windows-1251"))
    with pytest.raises(InputFileError, match="is not UTF-8: name its encoding, such as --encoding windows-1251"):
        read(path)
    assert read(path, encoding="windows-1251")[0][1]["title"] == "Анна Каренина"


@pytest.mark.parametrize("encoding", ["latin-one", "base64", "rot13", "undefined"])
def test_an_encoding_that_is_none_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InputFileError, match=f"unknown encoding '{encoding}': give utf-8"):
        read(write(tmp_path, table(",")), encoding=encoding)


def packed(content: bytes, ending: str) -> bytes:
    match ending:
        case "gz":
            return gzip.compress(content[:20]) + gzip.compress(content[20:])  # of two members, as bgzip and pigz write
        case "bz2":
            return bz2.compress(content)
    return pa.compress(content[:20], "zstd", asbytes=True) + pa.compress(content[20:], "zstd", asbytes=True)


@pytest.mark.parametrize("ending", ["gz", "zst", "bz2"])
def test_compressed_text_is_unpacked_whatever_its_ending(tmp_path: Path, ending: str) -> None:
    content = packed(table(";").encode("utf-16"), ending)
    assert read(write(tmp_path, content, f"i.csv.{ending}"))[0] == ROWS
    assert read(write(tmp_path, content))[0] == ROWS
    assert read(write(tmp_path, table(","), f"i.tsv.{ending}"))[0] == ROWS  # unpacked on its way here
    jsonl = packed(b'{"item_id": "1"}\n{"item_id": "2"}\n', ending)
    assert read(write(tmp_path, jsonl, f"i.jsonl.{ending}"))[0] == [{"item_id": "1"}, {"item_id": "2"}]


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_compressed_file_that_is_broken_off_is_one_line(tmp_path: Path, ending: str) -> None:
    content = packed(table(",").encode() * 1000, ending)
    with pytest.raises(InputFileError, match=r"cannot be read to its end: .*fetch it again"):
        read(write(tmp_path, content[: len(content) // 2], f"i.csv.{ending}"))


def test_a_long_value_is_read_up_to_the_bound(tmp_path: Path) -> None:
    text = f'item_id,title\n1,a\n2,{"x" * 140_000}\n3,"{"y" * 1_000_001}"\n4,{"z" * 1_000_001}\n5,c\n'
    for name, content in (("i.csv", text.encode()), ("i.csv.gz", gzip.compress(text.encode()))):
        rows, _ = read(write(tmp_path, content, name))
        assert [row if isinstance(row, str) else (row["item_id"], len(row["title"])) for row in rows] == [
            ("1", 1),
            ("2", 140_000),
            columns.TOO_LONG,
            columns.TOO_LONG,
            ("5", 1),
        ]


@pytest.mark.parametrize("row", ['2,"{}\n', '"2\n",{}\n'])
def test_a_quote_that_swallows_the_file_is_named(tmp_path: Path, row: str) -> None:
    content = "item_id,title\n1,a\n" + row.format('"\n",' * 3_000_000 if row[0] == '"' else "x\n" * 600_000)
    with pytest.raises(InputFileError, match="row 2 opens a quote that nothing closes"):
        read(write(tmp_path, content))


@pytest.mark.slow
@pytest.mark.parametrize(
    "filler", [b"x", b'"', b",", b"\0", b"[", b"{"], ids=["x", "quote", "comma", "zero", "list", "object"]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_bomb_stays_small(tmp_path: Path, filler: bytes, kind: str) -> None:
    start = {"csv": b"item_id,title\n1,a\n2,", "jsonl": b'{"item_id": "1"}\n'}[kind]
    path = tmp_path / f"i.{kind}.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(200):
            file.write(filler * 2**20)
    tracemalloc.start()
    with suppress(InputFileError):  # of a quote that nothing closes
        assert [type(row) for row in reader_of(path)(path, NEEDED)] == [dict, ValueError]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * 2**20


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("user_id,item_id,item_id\na,1,2\n", "e.csv"),
        (" item_id ,item_id\na,1\n", "e.csv"),
        ('{"item_id": "1", "title": "x", "title": "y"}\n', "e.jsonl"),
        ('{"item_id": "1", " item_id": "y"}\n', "e.jsonl"),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, content: str, name: str) -> None:
    path = write(tmp_path, content, name)
    if name == "e.csv":
        with pytest.raises(InputFileError, match="has two columns 'item_id': rename one, or leave it out"):
            read(path)
    else:
        ((refusal,), _) = read(path, ())
        assert "duplicate column: " in refusal


def test_names_are_trimmed_and_columns_without_a_name_left_out(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, ",item_id , title,\n0,1,x,\n"))
    assert rows == [{"item_id": "1", "title": "x"}]
    assert notes == ["trimmed the names of columns: 'item_id ', ' title'", "left out 2 columns without a name"]


def test_columns_are_renamed(tmp_path: Path) -> None:
    renames = {"id": "item_id", "sku": "item_id", "name": "title"}
    for content, name in (("id,name \n1,x\n", "i.csv"), ('{"id": "1", "name ": "x"}\n', "i.jsonl")):
        rows, notes = read(write(tmp_path, content, name), renames=renames)
        assert rows == [{"item_id": "1", "title": "x"}]
        assert "no column 'sku', which --map names" in notes
    with pytest.raises(InputFileError, match="two columns 'item_id'"):
        read(write(tmp_path, "id,sku\n1,2\n"), renames=renames)
    with pytest.raises(InputFileError, match=r"has no column 'item_id'; it has 'a', 'b'\. .*--map NAME=item_id"):
        read(write(tmp_path, "a,b\n1,2\n"))


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="has 10,001 columns, more than 10,000"):
        read(write(tmp_path, ",".join(["item_id", *map(str, range(10_000))]) + "\n1\n"))


def test_a_surplus_of_values_is_shown_in_part(tmp_path: Path) -> None:
    ((refusal,), _) = read(write(tmp_path, "item_id\n1" + ",x" * 10_000 + "\n"))
    assert len(refusal) < 400


def test_every_line_break_ends_a_row(tmp_path: Path) -> None:
    for ends in ("\n", "\r\n", "\r"):
        assert read(write(tmp_path, table(",").replace("\n", ends)))[0] == ROWS


def test_lines_after_one_that_is_too_long_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_ROW_CHARS", 20)
    rows, _ = read(write(tmp_path, f"item_id,title\n1,{'x' * 50}\n2,{'y' * 17}\n3,z\n"))
    assert rows == [columns.ROW_TOO_LONG, columns.ROW_TOO_LONG, {"item_id": "3", "title": "z"}]
