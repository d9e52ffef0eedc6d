"""All histories over one catalogue, flat in memory: the training data of every part."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.feedback import Signals, verdicts
from recsys.data.history import History, Rows, Times
from recsys.data.sessions import Owners, Sessions
from recsys.signals import Values

EVENT_ARRAYS = ("rows", "at", "folds", "values", "explicit", "sessions", "targets")


def texts_hash(texts: Sequence[str], domains: Sequence[str | None]) -> str:
    """Changes with the text or domain of any item."""
    digest = hashlib.sha256()
    for item in zip(texts, domains or (None,) * len(texts), strict=True):
        digest.update(json.dumps(item).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Histories stored end to end: that of user u is `rows[starts[u]:starts[u + 1]]`, oldest first.

    `item_ids`, `texts` and `domains` have one entry per catalogue row, `users` one per history.
    `at` is in seconds (NaN: not known). `folds` has the fold of each event: 0 fit, 1 validation, 2 test
    (`features.splits`). `values` are what events count for, 1 on the mean of those for an item, below 0 where they speak
    against it; `explicit` marks those that say it outright, `sessions` numbers the sessions, and `targets` marks what a model
    may be asked for. By default every event counts 1, is a target, and is a session of its own. `signals` says how they were
    counted, and `stored_events` how many there were of these items before those of one visit became one. `last_event` is the
    highest number of an event in the store; None where playlists stand for histories.
    """

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    users: tuple[str, ...]
    starts: NDArray[np.int64]
    rows: Rows
    at: Times
    folds: NDArray[np.uint8]
    domains: tuple[str | None, ...] = ()
    values: Values = field(default_factory=lambda: np.ones(0))
    explicit: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    sessions: Sessions = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    targets: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    signals: Signals = field(default_factory=Signals)
    stored_events: int = 0
    last_event: int | None = None

    def __post_init__(self) -> None:
        events = len(self.rows)
        defaults: dict[str, NDArray[Any]] = {
            "values": np.ones(events),
            "explicit": np.zeros(events, dtype=np.bool_),
            "sessions": np.arange(events),
            "targets": np.ones(events, dtype=np.bool_),
        }
        for name, array in defaults.items():
            if len(getattr(self, name)) != events:
                object.__setattr__(self, name, array)

    @property
    def items(self) -> int:
        """Size of the catalogue."""
        return len(self.item_ids)

    @property
    def has_text(self) -> NDArray[np.bool_]:
        """(items,): which items have a text."""
        return np.array([bool(text) for text in self.texts], dtype=np.bool_)

    @property
    def has_events(self) -> NDArray[np.bool_]:
        """(items,): which items have events. A model can learn nothing of the others but their texts."""
        return self.counts() > 0

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each user."""
        return np.diff(self.starts)

    @property
    def events_hash(self) -> str:
        """Changes with any item, user, event or time, and with the holdout: all that a part without texts learns from."""
        digest = hashlib.sha256(json.dumps([self.item_ids, self.users]).encode())
        for array in (self.starts, self.rows, self.at, self.folds, self.values, self.sessions):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def hash(self) -> str:
        """Changes with `events_hash`, and with the text or domain of any item."""
        return hashlib.sha256(f"{self.events_hash} {texts_hash(self.texts, self.domains)}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.users)

    @property
    def owners(self) -> Owners:
        """The number of the user of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def history(self, user: int) -> History:
        """All events of a user; those of `speaking()` are what models take."""
        span = slice(self.starts[user], self.starts[user + 1])
        return History(self.rows[span], self.at[span], self.values[span], self.sessions[span])

    def histories(self) -> Iterator[History]:
        return (self.history(user) for user in range(len(self)))

    def counts(self) -> NDArray[np.int64]:
        """Events of each catalogue row."""
        return np.bincount(self.rows, minlength=self.items)

    def weighted_counts(self) -> Values:
        """The sum of what the events of each catalogue row count for."""
        return np.bincount(self.rows, weights=self.values, minlength=self.items).astype(np.float64)

    def keep(self, events: NDArray[np.bool_]) -> "Dataset":
        """The same users and catalogue with the marked events only; `events` has one flag per event."""
        lengths = np.bincount(self.owners[events], minlength=len(self))
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        arrays = {name: getattr(self, name)[events] for name in EVENT_ARRAYS}
        return replace(self, starts=starts, **arrays)

    def speaking(self) -> "Dataset":
        """The same users and catalogue with the events for an item that its user did not reject: what models are fitted on."""
        if (self.values > 0).all() and not self.explicit.any():
            return self
        return self.keep(verdicts(self.rows, self.values, self.explicit, self.owners).speaks)
