"""The report of an import: counts, and each rejected row with its number and reason."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from recsys.errors import InputFileError
from recsys.private_files import open_private

Row = dict[str, Any]
REPORT_KEYS = ("file", "row", "reason", "content")
"""Keys of a line in a report of rejected rows, in this order."""
MAX_REASON_CHARS = 1_000
MAX_REPORT_LINE_BYTES = 2**26


@dataclass
class Report:
    """Counts of the rows so far; `reasons` counts rejections by their reason, `kinds` events by their kind.

    `accepted` rows are new or `changed`. `notes` say what was detected in the file or changed in it, a sentence each.
    `ratings_left_out` counts ratings of events that name a kind of their own.
    """

    accepted: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    ratings_left_out: int = 0

    def reject(self, reason: str) -> None:
        """Counts a rejected row."""
        self.rejected += 1
        self.reasons[reason.split(":")[0]] += 1


class Rejects:
    """Writes rejected rows, each with its file, row number (the first data row is 1) and reason; without a path, none.

    They go to a partial file that is renamed at the end, so that two imports of one file do not write into each other's report.
    Where none was rejected, the report of an earlier import is deleted.

    Raises:
        InputFileError: `path` is somebody's file.
    """

    def __init__(self, path: Path | None) -> None:
        if path and path.exists() and not is_report(path) and (not path.is_file() or path.stat().st_size):
            raise InputFileError(f"{path} exists and is no report of rejected rows: name another file with --rejected")
        self._path = path
        self._partial = path and path.with_name(f".{uuid.uuid4().hex}.partial")
        self._file: IO[Any] | None = None

    def add(self, source: Path, number: int, reason: str, row: Row) -> None:
        """Raises InputFileError: the report cannot be written."""
        if self._partial is None:
            return
        line = dict(zip(REPORT_KEYS, (source.name, number, reason[:MAX_REASON_CHARS], row), strict=True))
        with self._closing_on_error():
            if self._file is None:
                self._partial.parent.mkdir(parents=True, exist_ok=True)
                self._file = open_private(self._partial, encoding="utf-8", errors="backslashreplace")
            self._file.write(_json(line) + "\n")

    def close(self) -> None:
        """Raises InputFileError: the end of the report cannot be written."""
        if self._path is None or self._partial is None:
            return
        with self._closing_on_error():
            if self._file is None:
                if is_report(self._path):
                    self._path.unlink()
                return
            self._file.close()
            self._partial.replace(self._path)

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path, partial, file = self._path, self._partial, self._file
            self._path = self._partial = self._file = None  # half a report is none
            with suppress(OSError):
                if partial is not None:
                    partial.unlink(missing_ok=True)
                if file is not None:
                    file.close()
            raise InputFileError(
                f"rejected rows not written to {path}: {error}; "
                "name another file with --rejected or free space, then import again"
            ) from error


def _json(line: dict[str, object]) -> str:
    try:
        return json.dumps(line, ensure_ascii=False, default=str)
    except RecursionError:  # the row is rejected for its depth
        return json.dumps(line | {"content": {}}, ensure_ascii=False)


def is_report(path: Path) -> bool:
    """Whether the file is a report of rejected rows, by its first line."""
    start = b'{"file": '
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(start)) != start:
            return False
        file.seek(0)
        line = file.readline(MAX_REPORT_LINE_BYTES)
    try:
        return tuple(json.loads(line)) == REPORT_KEYS
    except (ValueError, RecursionError, TypeError):
        return False
