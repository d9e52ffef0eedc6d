"""Sessions: visits, baskets, listening hours. An event belongs to the session that its id names.

Without ids a session is all of one moment, or ends after a gap whose length is learned.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import Rows, Times

Owners = NDArray[np.int64]
Sessions = NDArray[np.int64]
"""A number for each event, equal for those of one session."""

LONGEST_GAP = 86_400.0
"""Seconds after which a session is over, whatever its id says: ids that never change do not make a session without end."""
GAP_BOUNDS = (60.0, 6 * 3600.0)
USUAL_GAP = 1800.0
"""Seconds without an event after which a session is over, where too few are known to tell."""
FEW_GAPS = 200
GAP_STEPS = 64


def session_numbers(at: Times, ids: NDArray[np.int64], owners: Owners, *, gap: float) -> Sessions:
    """(events,): sessions by number, ascending. `ids` (events,) has a number for each session id, -1 where there is none.

    Users are stored end to end, events in their order. Undated events without an id are each a session of their own.
    """
    if not len(at):
        return np.zeros(0, dtype=np.int64)
    apart = np.diff(at)  # NaN next to an undated event
    named = (ids[1:] >= 0) | (ids[:-1] >= 0)
    same = np.where(named, (ids[1:] == ids[:-1]) & ~(apart > LONGEST_GAP), apart <= gap)
    return np.cumsum(np.append(False, ~same | (owners[1:] != owners[:-1])))


def learned_gap(at: Times, owners: Owners) -> float:
    """The gap (seconds) that best parts short pauses from long ones: the threshold by which the logarithms of both vary least.

    Source: Otsu, A threshold selection method from gray-level histograms (IEEE SMC 1979).
    """
    apart = np.diff(at)[owners[1:] == owners[:-1]]
    logs = np.log(apart[apart > 0])  # drops undated ones too
    steps = np.linspace(np.log(GAP_BOUNDS[0]), np.log(GAP_BOUNDS[1]), GAP_STEPS)
    if len(logs) < FEW_GAPS:
        return USUAL_GAP
    short = np.searchsorted(np.sort(logs), steps, side="right")
    sums = np.append(0, np.cumsum(np.sort(logs)))
    share = short / len(logs)
    means = sums[short] / np.maximum(short, 1), (sums[-1] - sums[short]) / np.maximum(len(logs) - short, 1)
    return float(np.exp(steps[np.argmax(share * (1 - share) * (means[0] - means[1]) ** 2)]))


def repeats_within_session(
    rows: Rows, sessions: Sessions, values: NDArray[np.float64], counts: NDArray[np.bool_]
) -> float:
    """P(an item comes again in a session | it is in the session), among events of its strongest kind that `counts` marks."""
    order = np.lexsort((-values[counts], rows[counts], sessions[counts]))
    values, rows, sessions = values[counts][order], rows[counts][order], sessions[counts][order]
    if not len(order):
        return 0.0
    first = _first_of_group(sessions, rows)
    group = np.cumsum(first) - 1
    times = np.bincount(group, weights=values == values[first][group])
    return float((times > 1).mean())


def strongest_in_session(
    rows: Rows,
    sessions: Sessions,
    values: NDArray[np.float64],
    explicit: NDArray[np.bool_],
    *,
    repeats: bool,
) -> NDArray[np.bool_]:
    """(events,): the event of each item in each session that counts: the latest explicit one, or the first of the strongest.

    So view, cart and purchase of one visit are one purchase, and no repetition. With `repeats` all of the strongest count: people
    take items more than once in a session.
    """
    positions = np.arange(len(rows))
    strength = np.where(explicit & (values != 0), np.inf, np.abs(values))
    order = np.lexsort((np.where(explicit, -positions, positions), -strength, rows, sessions))
    first = _first_of_group(sessions[order], rows[order])
    chosen = np.zeros(len(rows), dtype=np.bool_)
    if repeats and len(rows):
        first |= (values[order] == values[order][first][np.cumsum(first) - 1]) & ~explicit[order]
    chosen[order[first]] = True
    return chosen


def values_in_session(
    rows: Rows, sessions: Sessions, values: NDArray[np.float64], explicit: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(events,): `values`, but an explicit event for its item is worth as much as the strongest on the item in its session.

    It is the one that counts of them, and a like takes nothing from a purchase.
    """
    if not explicit.any():
        return values
    order = np.lexsort((rows, sessions))
    first = _first_of_group(sessions[order], rows[order])
    strongest = np.maximum.reduceat(values[order], np.flatnonzero(first))[np.cumsum(first) - 1]
    out = values.copy()
    out[order] = np.where(explicit[order] & (values[order] > 0), strongest, values[order])
    return out


def _first_of_group(*sorted_keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries begin a group of equal keys."""
    first = np.ones(len(sorted_keys[0]), dtype=np.bool_)
    if len(first):
        first[1:] = np.any([keys[1:] != keys[:-1] for keys in sorted_keys], axis=0)
    return first
