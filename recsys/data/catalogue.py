"""The items as they stand now: which row is which item, and which rows may be shown."""

from collections.abc import Iterable, Sequence

import numpy as np

from recsys.data.history import NO_ROWS, Rows


class Catalogue:
    """Rows for item ids. A row is given once, for life; deleting an item only takes it out of `active`.

    Lists and the map only grow and `active` is replaced, never changed, so readers need no lock: who took `active` first
    sees one consistent catalogue of `len(active)` rows. Writers take turns (the service holds a lock around them).
    """

    def __init__(self, item_ids: Iterable[str] = ()) -> None:
        self.item_ids: list[str] = list(item_ids)
        self.titles: list[str | None] = [None] * len(self.item_ids)
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

    def put(self, items: Sequence[tuple[str, str | None]]) -> Rows:
        """Rows of (item id, title) pairs, new or old; all are active afterwards."""
        for item_id, title in items:
            row = self._rows.get(item_id)
            if row is None:
                self.titles.append(title)
                self.item_ids.append(item_id)
                self._rows[item_id] = len(self.item_ids) - 1  # last: who finds the row finds the rest
            else:
                self.titles[row] = title
        rows = self.rows(item_id for item_id, _ in items)
        active = np.zeros(len(self.item_ids), dtype=np.bool_)
        active[: len(self.active)] = self.active
        active[rows] = True
        self.active = active
        return rows

    def delete(self, item_ids: Iterable[str]) -> None:
        """The items are shown no more; an unknown id changes nothing."""
        rows = self.rows(item_ids)
        if len(rows):
            active = self.active.copy()
            active[rows] = False
            self.active = active
