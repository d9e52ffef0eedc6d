"""Ratings of a file, on the scale to 5 that the store has, whatever the scale of the file."""

from collections.abc import Callable
from functools import cached_property

from recsys.importing import fields
from recsys.importing.readers import Rows
from recsys.importing.report import Row
from recsys.signals import MAX_RATING, is_rating

SCALES = (1.0, 5.0, 10.0, fields.LARGEST_RATING)
"""Tops of the scales that files have: thumbs and likes, stars and half stars, marks, percent."""


class FileRatings:
    """Ratings of the file whose rows `rows` reads from its beginning: once, and only if a rating comes at all."""

    def __init__(self, rows: Callable[[], Rows]) -> None:
        self._rows = rows

    def scaled(self, event: Row) -> Row:
        """The event with its rating on a scale to `MAX_RATING`; an event of another kind as it is."""
        if not is_rating(event["kind"]):
            return event
        return {**event, "weight": event["weight"] * MAX_RATING / self._top}

    @cached_property
    def _top(self) -> float:
        """The smallest scale that has room for the largest rating."""
        largest = max((_rating(row) for row in self._rows()), default=0.0)
        return next(top for top in SCALES if top >= largest)


def _rating(row: Row | ValueError) -> float:
    """0 where the row is rejected, or no rating."""
    if isinstance(row, ValueError):
        return 0.0
    try:
        kind, weight = fields.signal(row)
    except ValueError:
        return 0.0
    return weight if is_rating(kind) else 0.0
