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


@dataclass
class Report:
    """Counts of the rows so far; `reasons` counts rejections by their reason."""

    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Rejects:
    """Counts rejected rows and writes each with its file, row number (the first data row is 1) and reason.

    They go to a partial file that is renamed at the end, so that two imports of one file do not write into each other's report.
    Where none was rejected, the report of an earlier import is deleted.
    """

    def __init__(self, report: Report, path: Path | None) -> None:
        self._report, self._path = report, path
        self._partial = path and path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        self._file: IO[Any] | None = None

    def add(self, source: str, number: int, reason: str, row: Row) -> None:
        """Raises InputFileError: the report cannot be written."""
        self._report.rejected += 1
        self._report.reasons[reason.split(":")[0]] += 1
        if self._partial is None:
            return
        line = {"file": source, "row": number, "reason": reason, "content": row}
        with self._closing_on_error():
            if self._file is None:
                self._partial.parent.mkdir(parents=True, exist_ok=True)
                self._file = open_private(self._partial, encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def close(self) -> None:
        """Raises InputFileError: the end of the report cannot be written."""
        if self._path is None or self._partial is None:
            return
        with self._closing_on_error():
            if self._file is None:
                self._path.unlink(missing_ok=True)
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
                f"rejected rows not written to {path}: {error}; free space, then import again"
            ) from error
