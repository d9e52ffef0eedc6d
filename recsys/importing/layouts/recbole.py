"""RecBole's atomic files: tab-separated, each column named with its type, such as `item_id:token`.

Source: Zhao et al., RecBole, CIKM 2021 (arXiv:2011.01731), section 3.2, and recbole.io/docs/user_guide/data/atomic_files.html.
"""

from collections.abc import Sequence
from pathlib import Path

from recsys.errors import InputFileError
from recsys.importing.layouts.layout import Layout
from recsys.importing.readers import Rows, read_csv
from recsys.importing.report import Row


def _items(path: Path) -> Rows:
    return _atomic(path, ("item_id",), title=("title", "item_title", "name", "movie_title"))


def _events(path: Path) -> Rows:
    return _atomic(path, ("user_id", "item_id"))


def _atomic(path: Path, needed: Sequence[str], *, title: Sequence[str] = ()) -> Rows:
    """Rows under names without types; the first of the columns `title` that exists becomes the title."""
    names: dict[str, str] = {}
    for row in read_csv(path, (), delimiter="\t", quoted=False):
        if isinstance(row, ValueError):
            yield row
            continue
        if not names:
            names = _plain_names(path, row, needed, title)
        yield {names[typed]: value for typed, value in row.items()}


def _plain_names(path: Path, row: Row, needed: Sequence[str], title: Sequence[str]) -> dict[str, str]:
    names = {typed: typed.partition(":")[0] for typed in row}
    for name in needed:
        if name not in names.values():
            raise InputFileError(f"{path} has no column {name}:token; it has {', '.join(map(ascii, row))}")
    title_column = next((typed for wording in title for typed, name in names.items() if name == wording), None)
    return names | ({title_column: "title"} if title_column else {})


LAYOUT = Layout(
    readers={"items": {"*.item": _items}, "events": {"*.inter": _events}},
    others=("*.user",),
    hint="; users are known by their events alone, so that a .user file is not imported",
)
