"""Which of equal rows a row is, counted over a whole file in bounded memory."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

CACHE = 16_000
"""KiB held in memory; what is beyond lies in a temporary file that SQLite removes."""


class Equal:
    """Counts digests. A table on disk stands in for a dictionary: 10 million rows of a file would fill a gigabyte.

    A digest is known by its first 63 bits. Of 10 million different rows two share them with a probability of
    .000005, and then the second is only called the second.
    """

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in (f"cache_size = -{CACHE}", "journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            self._table.execute(f"PRAGMA {pragma}")
        self._table.execute("CREATE TABLE seen (digest INTEGER PRIMARY KEY, times INTEGER NOT NULL)")

    def close(self) -> None:
        self._table.close()

    def numbers(self, digests: Sequence[bytes]) -> list[int]:
        """For each digest which of its equals it is: 1 for the first there was, earlier calls included."""
        keys = [int.from_bytes(digest[:8], "big") >> 1 for digest in digests]
        wanted = json.dumps(keys)
        times = Counter(
            dict(self._table.execute("SELECT * FROM seen WHERE digest IN (SELECT value FROM json_each(?))", (wanted,)))
        )
        found = []
        for key in keys:
            times[key] += 1
            found.append(times[key])
        self._table.execute("BEGIN")
        self._table.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", sorted(times.items()))
        self._table.execute("COMMIT")
        return found
