"""From what the store has of users to what models learn from: events for an item, without those that its user took back.

The same functions make a history for one request and the histories of a whole store.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from recsys.data.history import History, Rows, Times
from recsys.data.sessions import USUAL_GAP, Owners, Sessions, session_numbers, strongest_in_session, values_in_session
from recsys.errors import BundleError
from recsys.signals import NEUTRAL_RATING, SignalTable, Values

REPEATS_IN_SESSION = 0.1
"""Where fewer items than this share come again within a session, one event of each counts, and those of the open session are left
out of answers."""


class StoredEvent(Protocol):
    """What a history is made of."""

    @property
    def item_id(self) -> str: ...
    @property
    def at(self) -> float | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def session_id(self) -> str | None: ...


class Verdicts(NamedTuple):
    """`speaks` (events,) marks those for an item that the user did not reject; `rejected` has (owner, row) of each that was."""

    speaks: NDArray[np.bool_]
    rejected: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """How events are counted: by a table of kinds, and by what was learned from the events of a store.

    `unit` is their mean weight, by which weights are divided; `gap` (seconds) ends a session; `repeats_in_session` is the
    probability that an item comes again in one.
    """

    table: SignalTable = field(default_factory=SignalTable)
    mean_rating: float = NEUTRAL_RATING
    unit: float = 1.0
    gap: float = USUAL_GAP
    repeats_in_session: float = 0.0

    @property
    def leave_out_open(self) -> bool:
        """Are items of the open session left out of answers?"""
        return self.repeats_in_session < REPEATS_IN_SESSION

    def about(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return asdict(self)

    @classmethod
    def of_manifest(cls, about: Mapping[str, Any]) -> Self:
        """As a bundle was trained with; bundles from before took every event for a view, and knew no sessions.

        Raises:
            BundleError: what stands there is something else.
        """
        if "signals" not in about:
            return cls(table=SignalTable(kinds={}, neutral="none"), repeats_in_session=1.0)
        try:
            return TypeAdapter(cls).validate_python(about["signals"])
        except ValidationError as error:
            raise BundleError(
                f"the signals of the bundle cannot be read ({error.errors()[0]['msg']}): train again"
            ) from error

    def history(self, events: Sequence[StoredEvent], row: Callable[[str], int | None]) -> History:
        """The history that one user's `events` make, oldest first; items without a row are left out."""
        known = [(number, event) for event in events if (number := row(event.item_id)) is not None]
        if not known:
            return History.undated(np.empty(0, dtype=np.int64))
        rows = np.array([number for number, _ in known], dtype=np.int64)
        at = np.array([np.nan if event.at is None else event.at for _, event in known], dtype=np.float64)
        weights = np.array([event.weight for _, event in known], dtype=np.float64)
        owners = np.zeros(len(rows), dtype=np.int64)
        values, explicit = self.table.values(
            [event.kind for _, event in known], weights, owners, mean_rating=self.mean_rating
        )
        numbers = dict[str | None, int]({None: -1})
        ids = np.array([numbers.setdefault(event.session_id, len(numbers)) for _, event in known], dtype=np.int64)
        sessions = session_numbers(at, ids, owners, gap=self.gap)
        values = values_in_session(rows, sessions, values, explicit)
        counted = strongest_in_session(rows, sessions, values, explicit, repeats=not self.leave_out_open)
        history = speaking(
            rows[counted], at[counted], values[counted] / self.unit, explicit[counted], sessions[counted]
        )
        if not len(history):
            return history
        last = np.flatnonzero(sessions == history.sessions[-1])[-1]
        return replace(history, last_session=known[last][1].session_id, last_at=float(at[last]))


def speaking(rows: Rows, at: Times, values: Values, explicit: NDArray[np.bool_], sessions: Sessions) -> History:
    """The history that one user's events make, of which each item of a session has one; negative `values` speak against it."""
    if (values > 0).all() and not explicit.any():
        return History(rows, at, values, sessions)
    speaks, rejected = verdicts(rows, values, explicit, np.zeros(len(rows), dtype=np.int64))
    return History(rows[speaks], at[speaks], values[speaks], sessions[speaks], rejected=rejected[:, 1])


def verdicts(rows: Rows, values: Values, explicit: NDArray[np.bool_], owners: Owners) -> Verdicts:
    """What users think of their items: by the latest explicit event on each, or by the sum of the others where none says so."""
    width = int(rows.max(initial=0)) + 1
    pairs, pair = np.unique(owners * width + rows, return_inverse=True)
    latest = np.full(len(pairs), -1)
    latest[pair[explicit]] = np.flatnonzero(explicit)  # of several assignments the last one stays
    total = np.bincount(pair, weights=np.where(explicit, 0, values), minlength=len(pairs))
    verdict = np.where((latest >= 0) & (values[latest] != 0), values[latest], total)
    outdated = explicit & (latest[pair] != np.arange(len(rows)))
    speaks = (values > 0) & (verdict[pair] > 0) & ~outdated
    against = pairs[verdict < 0]
    return Verdicts(speaks, np.stack([against // width, against % width], axis=1))
