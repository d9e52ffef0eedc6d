"""Cuts the rows of a file into chunks that fit into memory and one transaction."""

from collections.abc import Callable, Iterator, Sequence

from recsys.importing import fields
from recsys.importing.columns import Rows
from recsys.importing.report import Report, Row

CHARS_PER_CHUNK = 16_000_000

Numbered = tuple[int, Row, str]
"""A row with its number (the first data row is 1) and its content as text."""
Rejected = list[tuple[int, str, Row]]
"""Number, reason and content of rejected rows."""
ImportChunk = Callable[[Sequence[Numbered], Report], Rejected]
"""Writes the good rows of a chunk, counts them in the report and returns the bad ones."""


def chunks(rows: Rows, *, max_rows: int) -> Iterator[tuple[list[Numbered], Rejected]]:
    """Rows that have content, and those that cannot be read: at most `max_rows` and about `CHARS_PER_CHUNK` at a time."""
    readable, rejected, chars = list[Numbered](), Rejected(), 0
    for number, row in enumerate(rows, start=1):
        if isinstance(row, ValueError):
            rejected.append((number, str(row), {}))
        else:
            try:
                content = fields.content(row)
                readable.append((number, row, content))
                chars += len(content)
            except ValueError as error:
                rejected.append((number, str(error), row))
                chars += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(readable) + len(rejected) >= max_rows or chars >= CHARS_PER_CHUNK:
            yield readable, rejected
            readable, rejected, chars = [], [], 0
    if readable or rejected:
        yield readable, rejected
