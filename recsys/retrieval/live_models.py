"""Models without training: `popular`, `trending` and `newest` rank items by counts as they are now, the same for everyone.

They are asked for as `model`, with a `window`, and are no parts of a bundle: its parts `popular` and `recent`, asked for as
`encoder`, go by the events of the last training.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from recsys.data.continuation_cases import Order
from recsys.data.history import NO_ROWS, Rows
from recsys.errors import InvalidRequest
from recsys.indexes.index import empty_result, write_row
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.fusion import Attribution
from recsys.retrieval.source import Candidates, Query, Scores
from recsys.retrieval.truncation import Truncation

LiveModelName = Literal["popular", "trending", "newest"]
HOURS = {"h": 1, "d": 24}
MAX_HOURS = 30 * 24
ALL = "all"
WINDOWS = "1h to 720h, 1d to 30d, or all"
COUNT_SHIFT = 3 / 8
"""Makes the variance of the root of a Poisson count nearly constant, also of small counts (Anscombe, 1948)."""

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModelAbout:
    """A model as it is documented: what it ranks by, which windows it takes, and which one without a choice."""

    name: LiveModelName
    about: str
    windows: str = WINDOWS
    default_window: str = ALL


LIVE_MODELS: Mapping[LiveModelName, LiveModelAbout] = {
    model.name: model
    for model in (
        LiveModelAbout(
            name="popular",
            about="items by the weights of their events within the window; events against an item do not count",
        ),
        LiveModelAbout(
            name="trending",
            about="items with more events within the window than the window before lets expect: "
            "2 (sqrt(now + 3/8) - sqrt(d (before + 3/8))) / sqrt(1 + d), d the same quotient over all items",
            windows="1h to 720h, 1d to 30d",
            default_window="24h",
        ),
        LiveModelAbout(
            name="newest", about="items by the time when they were added, within the window; the score is minus hours"
        ),
    )
}


@dataclass(frozen=True, slots=True)
class LiveChoice:
    """A live model with its window in hours; None: all time."""

    model: LiveModelName
    hours: int | None

    @classmethod
    def parse(cls, model: str, window: str | None) -> "LiveChoice":
        """Raises InvalidRequest: there is no such model, or it takes no such window."""
        if model not in get_args(LiveModelName):
            raise InvalidRequest(f"unknown model {model!r}: choose one of {', '.join(LIVE_MODELS)}")
        name: LiveModelName = model  # type: ignore[assignment]  # checked above
        about = LIVE_MODELS[name]
        hours = _hours(about.default_window if window is None else window)
        if hours == 0 or (hours is None and about.windows != WINDOWS):
            raise InvalidRequest(f"window={window!r}: {name} takes {about.windows}")
        return cls(name, hours)


def _hours(window: str) -> int | None:
    """The hours of a window; None for all time, 0 where it cannot be read or is too long."""
    if window == ALL:
        return None
    number = re.fullmatch(r"(\d{1,4})([hd])", window, re.ASCII)
    hours = int(number[1]) * HOURS[number[2]] if number else 0
    return hours if hours <= MAX_HOURS else 0


def described_live_models() -> list[dict[str, Any]]:
    """The models as `GET /v1/models` lists them."""
    return [asdict(model) for model in LIVE_MODELS.values()]


def trend(now: Counts, before: Counts) -> Counts:
    """(items,): by how many standard deviations the counts of `now` exceed what those of the window `before` let expect.

    A count is expected to change as all together do, by d = sum(now) / sum(before). The difference of roots weighs small counts
    as what they are: from 0 to 3 events is less than from 100 to 150. Source: Huffman, An improved approximate two-sample
    Poisson test (Applied Statistics 33, 1984).
    """
    d = now.sum() / before.sum() if before.any() else 1.0
    return 2 * (np.sqrt(now + COUNT_SHIFT) - np.sqrt(d * (before + COUNT_SHIFT))) / np.sqrt(1 + d)


class LiveModel:
    """The `rows` of a catalogue in the order of a live model, best first, with their `scores`: what the pipeline ranks by."""

    text_encoders: frozenset[str] = frozenset()

    def __init__(self, name: str, rows: Rows, scores: Scores) -> None:
        self.name, self.rows, self.scores = name, rows, scores

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        name: str,
        truncation: Truncation | None = None,  # noqa: ARG002  (it has one size)
        order: Order | None = None,  # noqa: ARG002  (histories only filter)
    ) -> tuple[Candidates, list[list[Attribution]]]:
        """The first `k` allowed rows of each query."""
        result = empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            known = self.rows < len(query.allowed)
            known[known] = query.allowed[self.rows[known]]
            positions = np.flatnonzero(known)[:k]
            write_row(result, i, self.rows[positions], self.scores[positions])
        attribution = (name, (name,))
        return Candidates(*result), [[attribution] * int((rows >= 0).sum()) for rows in result[0]]

    def popular(self, query: Query, *, k: int) -> Rows:  # noqa: ARG002  (an answer that ends early stays short)
        return NO_ROWS

    def explain(
        self,
        query: Query,  # noqa: ARG002  (the same for everyone)
        rows: Rows,
        *,
        name: str,  # noqa: ARG002
        truncation: Truncation | None = None,  # noqa: ARG002
    ) -> list[Explanation]:
        return [() for _ in rows]
