"""What can go wrong, said so that the reader knows what to do.

Each message holds the value, the rule and the way out. `api/problems.py` maps these to HTTP statuses, `cli.py` prints them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


class RecsysError(Exception):
    """Base of every error that a user of the application can cause or mend."""


class NotFound(RecsysError):
    """An id that the store does not hold."""


class InvalidRequest(RecsysError, ValueError):
    """A question that cannot be answered as asked."""


class NothingKnown(InvalidRequest):
    """A question about a list of which nothing is known: neither an item nor a name."""


class Conflict(RecsysError):
    """A write that contradicts what is stored, such as an event id with other content."""


class NotReady(RecsysError):
    """Something has to be done first: migrate, import, train or activate."""


class Busy(RecsysError):
    """More is asked at once than can be answered: the same question is right a moment later."""


class StoreError(RecsysError):
    """The database cannot be reached or refuses the work."""


class InputFileError(RecsysError, ValueError):
    """A file that cannot be imported at all; single bad rows are rejected in a report instead."""


class EmptyInputFile(InputFileError):
    """A file without a row: other files are imported all the same."""


class BundleError(RecsysError):
    """A bundle that is damaged, incomplete or made for something else."""


class TrainingError(RecsysError):
    """A training run that cannot go on, such as one whose loss is no longer finite."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """A warning beside an answer: something that was asked and not done, and why."""

    what: str
    why: str


def first_ids(ids: Iterable[str]) -> str:
    """The first ten distinct `ids`, and how many more there are."""
    distinct = list(dict.fromkeys(ids))
    more = f" and {len(distinct) - 10:,} more" if len(distinct) > 10 else ""
    return ", ".join(distinct[:10]) + more


def check_ranges(settings: object, **bounds: tuple[float, float]) -> None:
    """Does nothing while each named number of `settings` lies within its (lowest, highest), both included.

    Raises:
        InvalidRequest: one does not, or is no finite number.
    """
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        if not (low <= value <= high and math.isfinite(value)):
            rule = f"must be at least {low}" if math.isinf(high) else f"must lie between {low} and {high}"
            raise InvalidRequest(f"{name}={value}: {rule}")
