"""JSON files: an object a line or one array, of any size, and each row that cannot be read by itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import InputFileError
from recsys.importing import json_files
from recsys.importing.readers import ReadOptions, reader_of

ROWS = [{"item_id": str(number), "title": "é" * number, "tags": ["[", "]", {"{": "}"}]} for number in range(50)]


def read(folder: Path, content: str | bytes, name: str = "i.json") -> list[Any]:
    """Rows, and errors as text."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = reader_of(path, ReadOptions())(path, ("item_id",))
    return [str(row) if isinstance(row, ValueError) else row for row in rows]


@pytest.mark.parametrize("chars", [1, 7, 100, 2**20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["i.json", "i.jsonl"])
def test_an_array_is_read_element_by_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chars: int, indent: int | None, name: str
) -> None:
    monkeypatch.setattr(json_files, "CHARS_PER_READ", chars)
    assert read(tmp_path, json.dumps(ROWS, indent=indent), name) == ROWS
    assert read(tmp_path, json.dumps(ROWS, indent=indent).encode("utf-16"), name) == ROWS


def test_lines_are_read_whatever_the_ending(tmp_path: Path) -> None:
    lines = "\n".join(map(json.dumps, ROWS))
    for name in ("i.json", "i.jsonl", "i.ndjson"):
        assert read(tmp_path, lines, name) == ROWS


def test_an_element_that_is_no_object_is_a_rejected_row(tmp_path: Path) -> None:
    assert read(tmp_path, '[{"item_id": "a"}, 7, [1], "x", {"item_id": "b"}]') == [
        {"item_id": "a"},
        "no JSON object: 7",
        "no JSON object: [1]",
        "no JSON object: x",
        {"item_id": "b"},
    ]


@pytest.mark.parametrize("rest", [', {"item_id": ]', ', {"item_id": "b"}', "", ", " + "[" * 5000])
def test_a_damaged_array_is_one_line(tmp_path: Path, rest: str) -> None:
    with pytest.raises(InputFileError, match=r"the array is broken off or damaged in row [23]; mend it"):
        read(tmp_path, '[{"item_id": "a"}' + rest)


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, " [ \n ] ") == []


def test_the_first_row_names_the_columns_that_are_needed(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="has no column 'item_id'; it has 'id'"):
        read(tmp_path, '[{"id": "a"}]')
