"""Ratings of a file, on the scale to 5 that the store has, whatever the scale of the file."""

from collections.abc import Callable, Iterator
from functools import cached_property

from recsys.importing import fields
from recsys.importing.readers import Rows
from recsys.importing.report import Row
from recsys.signals import MAX_RATING, is_rating

SCALES = (1.0, 5.0, 10.0, fields.LARGEST_RATING)
"""Tops of the scales that files have: thumbs and likes, stars and half stars, marks, percent."""


class FileRatings:
    """Ratings of the file whose rows `rows` reads from its beginning: once, and only if a rating comes at all.

    `scale` is the best rating that the file can have; None: the smallest of `SCALES` that has room for its largest.
    """

    def __init__(self, rows: Callable[[], Rows], *, scale: float | None = None) -> None:
        self._rows, self._scale, self._noted = rows, scale, False

    def scaled(self, event: Row) -> Row:
        """The event with its rating on a scale to `MAX_RATING`; an event of another kind as it is."""
        if not is_rating(event["kind"]):
            return event
        if event["weight"] > self._top:
            raise ValueError(f"rating too high: {event['weight']:g} of at most {self._top:g}, as --rating-scale says")
        return {**event, "weight": event["weight"] * MAX_RATING / self._top}

    def notes(self) -> Iterator[str]:
        """Says once which scale was taken, where it was detected and ratings came."""
        if self._scale is None and not self._noted and "_top" in self.__dict__:
            self._noted = True
            yield f"ratings are taken as out of {self._top:g}; --rating-scale says otherwise"

    @cached_property
    def _top(self) -> float:
        """The best rating that the file can have."""
        if self._scale is not None:
            return self._scale
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
