"""The current items: the row of each item id, and which rows may be recommended."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.errors import Degraded

NO_DOMAIN = -1


class Catalogue:
    """Maps item ids to rows. An item keeps its row for life; deleting it only clears its flags in `active` and `recommendable`.
    A sold-out item is active but not recommendable: it can be asked about and stays in histories and lists.

    Lists and the map only grow and the flags are replaced, never changed, so readers need no lock: a reader that takes flags
    first sees one consistent catalogue of as many rows. Writers hold the service's lock.
    """

    def __init__(self, item_ids: Iterable[str] = ()) -> None:
        self.item_ids: list[str] = list(item_ids)
        self.titles: list[str | None] = [None] * len(self.item_ids)
        self.domains = np.full(len(self.item_ids), NO_DOMAIN, dtype=np.int32)
        self._domain_numbers: dict[str, int] = {}
        self._rows = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.active = np.zeros(
            len(self.item_ids), dtype=np.bool_
        )  # until the store lists an item, it is not recommended
        self.recommendable = self.active

    def __len__(self) -> int:
        return len(self.active)

    def row(self, item_id: str) -> int | None:
        """The row of `item_id`, deleted or not; None if it was never added."""
        return self._rows.get(item_id)

    def rows(self, item_ids: Iterable[str]) -> Rows:
        """Rows of the known ids, in their order."""
        rows = [row for item_id in item_ids if (row := self._rows.get(item_id)) is not None]
        return np.array(rows, dtype=np.int64) if rows else NO_ROWS

    def of_domain(self, domain: str) -> NDArray[np.bool_] | None:
        """(rows,) True for items of `domain`; None if no item ever had it."""
        number = self._domain_numbers.get(domain)
        return None if number is None else self.domains == number

    def restrict(self, allowed: NDArray[np.bool_], domain: str) -> tuple[NDArray[np.bool_], list[Degraded]]:
        """The rows of `allowed` (rows,) that are of `domain`; all of them and a warning where no item is."""
        flags = self.of_domain(domain)
        if flags is None:
            return allowed, [Degraded("domain", f"no item is of domain {domain!r}: all are searched")]
        return allowed & flags[: len(allowed)], []

    def upsert(self, items: Sequence[tuple[str, str | None, str | None]], *, unavailable: Iterable[str] = ()) -> Rows:
        """Inserts or updates (item id, title, domain) triples and returns their rows. They become active, and recommendable but
        for the `unavailable` ids among them."""
        for item_id, title, _ in items:
            row = self._rows.get(item_id)
            if row is None:
                self.titles.append(title)
                self.item_ids.append(item_id)
                self._rows[item_id] = len(self.item_ids) - 1  # last: a reader that finds the row finds id and title
            else:
                self.titles[row] = title
        rows = self.rows(item_id for item_id, _, _ in items)
        domains = np.full(len(self.item_ids), NO_DOMAIN, dtype=np.int32)
        domains[: len(self.domains)] = self.domains
        domains[rows] = [self._domain_number(domain) for _, _, domain in items]
        self.domains = domains  # before `active`: an active row has its domain
        active, recommendable = self._extended(self.active), self._extended(self.recommendable)
        active[rows] = recommendable[rows] = True
        recommendable[self.rows(unavailable)] = False
        self.active = active  # before `recommendable`: a recommendable row is active
        self.recommendable = recommendable
        return rows

    def _extended(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A copy of `flags` that has all rows."""
        return np.pad(flags, (0, len(self.item_ids) - len(flags)))

    def _domain_number(self, domain: str | None) -> int:
        return NO_DOMAIN if domain is None else self._domain_numbers.setdefault(domain, len(self._domain_numbers))

    def delete(self, item_ids: Iterable[str]) -> None:
        """Makes the items inactive; ignores unknown ids."""
        rows = self.rows(item_ids)
        if len(rows):
            active, recommendable = self.active.copy(), self.recommendable.copy()
            active[rows] = recommendable[rows] = False
            self.recommendable = recommendable
            self.active = active
