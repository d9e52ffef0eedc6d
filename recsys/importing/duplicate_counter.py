"""Numbers duplicate rows of a file (first, second, ...) in bounded memory, with a temporary SQLite table."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

CACHE_KIB = 16_000
"""Memory of the table; the rest of it is in a temporary file that SQLite removes."""


class DuplicateCounter:
    """Counts digests. A table on disk stands in for a dictionary: 10 million rows of a file would fill a gigabyte.

    A digest counts by its first 63 bits. Of 10 million different rows two share them with a probability of .000005, and then
    the only harm is that one of them gets the number 2.
    """

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in (
            f"cache_size = -{CACHE_KIB}",
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
        ):
            self._table.execute(f"PRAGMA {pragma}")
        self._table.execute("CREATE TABLE seen (digest INTEGER PRIMARY KEY, times INTEGER, call INTEGER)")
        self._calls = 0

    def close(self) -> None:
        self._table.close()

    def numbers(self, digests: Sequence[bytes]) -> list[int]:
        """The number of each digest among its equals, earlier calls included: 1 for the first."""
        keys = [int.from_bytes(digest[:8], "big") >> 1 for digest in digests]
        times = self._earlier(Counter(keys))
        numbers = []
        for key in keys:
            times[key] += 1
            numbers.append(times[key])
        return numbers

    def _earlier(self, counts: Counter[int]) -> Counter[int]:
        """How often each key came in earlier calls; this call's `counts` are added to the table."""
        self._calls += 1
        rows = sorted((key, times, self._calls) for key, times in counts.items())
        self._table.execute("BEGIN")
        new = self._table.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", rows).rowcount
        earlier = Counter[int]()
        if new < len(rows):
            known = "SELECT digest, times FROM seen WHERE call < ? AND digest IN (SELECT value FROM json_each(?))"
            earlier.update(dict(self._table.execute(known, (self._calls, json.dumps(list(counts))))))
            more = [(counts[key], self._calls, key) for key in earlier]
            self._table.executemany("UPDATE seen SET times = times + ?, call = ? WHERE digest = ?", more)
        self._table.execute("COMMIT")
        return earlier
