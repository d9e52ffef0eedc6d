"""What became of the rows of a file: counts, and each rejected row with its number and reason."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from recsys.errors import InputFileError

Row = dict[str, Any]


@dataclass
class Report:
    """What became of the rows so far; `reasons` counts rejections by their reason."""

    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Rejects:
    """Counts rejected rows and writes each with its file, row number (the first data row is 1) and reason."""

    def __init__(self, report: Report, path: Path | None) -> None:
        self._report, self._path = report, path
        self._file: TextIO | None = None

    def add(self, source: str, number: int, reason: str, row: Row) -> None:
        """Raises InputFileError: the report cannot be written."""
        self._report.rejected += 1
        self._report.reasons[reason.split(":")[0]] += 1
        if self._path is None:
            return
        line = {"file": source, "row": number, "reason": reason, "content": row}
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        except OSError as error:
            raise _not_written(self._path, error) from error

    def close(self) -> None:
        """Raises InputFileError: the end of the report cannot be written."""
        if self._file is not None and self._path is not None:
            try:
                self._file.close()
            except OSError as error:
                raise _not_written(self._path, error) from error


def _not_written(path: Path, error: OSError) -> InputFileError:
    return InputFileError(f"rejected rows not written to {path}: {error}; free space, then import again")
