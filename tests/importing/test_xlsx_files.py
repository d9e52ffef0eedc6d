"""Excel workbooks: the first sheet, with ids as text and dates as dates."""

import builtins
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from recsys.errors import InputFileError
from recsys.importing.readers import ReadOptions, reader_of

AT = datetime(2024, 1, 1, 10, 11, 12)
ROWS = [("user_id", " item_id", "timestamp", None), (7, "007", AT, None), (None, None, None, None), (8, 12, 1.5, "x")]


def write(folder: Path, *rows: Any) -> Path:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.create_sheet("notes").append(["item_id"])
    workbook.save(folder / "e.xlsx")
    return folder / "e.xlsx"


def read(path: Path, **options: Any) -> list[Any]:
    return list(reader_of(path, ReadOptions(**options))(path, ("user_id",)))


def test_the_rows_of_the_first_sheet(tmp_path: Path) -> None:
    notes: list[str] = []
    assert read(write(tmp_path, *ROWS), note=notes.append) == [
        {"user_id": "7", "item_id": "007", "timestamp": AT},
        {"user_id": "8", "item_id": "12", "timestamp": 1.5},
    ]
    assert "read sheet 'Sheet'; 1 more left out" in notes


def test_columns_are_renamed_and_needed(tmp_path: Path) -> None:
    path = write(tmp_path, ("customer",), (1,))
    assert read(path, renames={"customer": "user_id"}) == [{"user_id": "1"}]
    with pytest.raises(InputFileError, match="has no column 'user_id'; it has 'customer'"):
        read(path)


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "[Content_Types].xml"])
def test_a_damaged_workbook_is_one_line(tmp_path: Path, part: str) -> None:
    path = write(tmp_path, *ROWS)
    with zipfile.ZipFile(path) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    for damaged in (None, b"", b"<a>", contents[part][: len(contents[part]) // 2]):
        with zipfile.ZipFile(path, "w") as parts:
            for name, content in (contents | {part: damaged}).items():
                if content is not None:
                    parts.writestr(name, content)
        with pytest.raises(InputFileError, match=r"^.* is no XLSX workbook, or damaged|has no column"):
            read(path)


def test_two_cells_that_are_far_apart_are_two_rows(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active["A1"] = "user_id"
    workbook.active["A1048576"] = workbook.active["XFD1048576"] = 1
    workbook.save(tmp_path / "e.xlsx")
    assert read(tmp_path / "e.xlsx") == [{"user_id": "1"}]


def test_a_part_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/media/x.xml", b" " * 2**27)
    with pytest.raises(InputFileError, match="unpacks to more than is read at once: save the sheet as CSV"):
        read(path)


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = write(tmp_path, *ROWS), builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "openpyxl":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputFileError, match=r"XLSX files need openpyxl: pip install 'recsys\[xlsx\]'"):
        read(path)
