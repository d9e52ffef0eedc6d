"""The items as they stand now: which row is which item, and which rows may be shown."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows

NO_DOMAIN = -1


class Catalogue:
    """Rows for item ids. A row is given once, for life; deleting an item only takes it out of `active`.

    Lists and the map only grow and `active` is replaced, never changed, so readers need no lock: who took `active` first
    sees one consistent catalogue of `len(active)` rows. Writers take turns (the service holds a lock around them).
    """

    def __init__(self, item_ids: Iterable[str] = ()) -> None:
        self.item_ids: list[str] = list(item_ids)
        self.titles: list[str | None] = [None] * len(self.item_ids)
        self.domains = np.full(len(self.item_ids), NO_DOMAIN, dtype=np.int32)
        self._domain_numbers: dict[str, int] = {}
        self._rows = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.active = np.zeros(len(self.item_ids), dtype=np.bool_)  # nothing is shown before the store has named it

    def __len__(self) -> int:
        return len(self.active)

    def row(self, item_id: str) -> int | None:
        """The row of `item_id`, also of a deleted one; None if it was never seen."""
        return self._rows.get(item_id)

    def rows(self, item_ids: Iterable[str]) -> Rows:
        """Rows of those ids that are known, in their order."""
        found = [row for item_id in item_ids if (row := self._rows.get(item_id)) is not None]
        return np.array(found, dtype=np.int64) if found else NO_ROWS

    def of_domain(self, domain: str) -> NDArray[np.bool_] | None:
        """A flag per row: is it of `domain`? None where no item ever was."""
        number = self._domain_numbers.get(domain)
        return None if number is None else self.domains == number

    def put(self, items: Sequence[tuple[str, str | None, str | None]]) -> Rows:
        """Rows of (item id, title, domain) triples, new or old; all are active afterwards."""
        for item_id, title, _ in items:
            row = self._rows.get(item_id)
            if row is None:
                self.titles.append(title)
                self.item_ids.append(item_id)
                self._rows[item_id] = len(self.item_ids) - 1  # last: who finds the row finds the rest
            else:
                self.titles[row] = title
        rows = self.rows(item_id for item_id, _, _ in items)
        domains = np.full(len(self.item_ids), NO_DOMAIN, dtype=np.int32)
        domains[: len(self.domains)] = self.domains
        domains[rows] = [self._domain_number(domain) for _, _, domain in items]
        self.domains = domains  # before `active`: who finds the row finds the rest
        active = np.zeros(len(self.item_ids), dtype=np.bool_)
        active[: len(self.active)] = self.active
        active[rows] = True
        self.active = active
        return rows

    def _domain_number(self, domain: str | None) -> int:
        return NO_DOMAIN if domain is None else self._domain_numbers.setdefault(domain, len(self._domain_numbers))

    def delete(self, item_ids: Iterable[str]) -> None:
        """The items are shown no more; an unknown id changes nothing."""
        rows = self.rows(item_ids)
        if len(rows):
            active = self.active.copy()
            active[rows] = False
            self.active = active
