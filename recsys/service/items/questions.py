"""Questions about items, and their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.errors import Degraded

MAX_HISTORY = 10_000
"""Events read of a stored user and accepted in a request."""

MAX_K = 1000
"""Items in one answer."""

UNKNOWN_EXCLUDED = "unknown items, which nothing would show anyway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to answer. `include_seen=None` takes the bundle's rule (a text finds what was seen, too), `encoder=None` its default
    part.

    `layers` and `dims` say how much of the text encoder to use, where the part that answers offers a choice; None: all.
    Only items in `allow` are shown (None: all), and none in `exclude`; either may have any size. With `explain` each item comes
    with the items of the history that speak for it.

    `session_id` names the session that goes on; without it the last one does, unless its gap has passed. `include_open=None`
    takes the bundle's rule whether its items may be shown. What the user rejected is shown with `include_rejected` alone.

    `model` asks a live model (`recsys.retrieval.live_models`) in place of a part of the bundle, over a `window` such as `24h`,
    `7d` or `all`; the history then only filters.
    """

    k: int = 10
    allow: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    include_seen: bool | None = None
    include_open: bool | None = None
    include_rejected: bool = False
    session_id: str | None = None
    encoder: str | None = None
    model: str | None = None
    window: str | None = None
    layers: int | None = None
    dims: int | None = None
    explain: bool = False


DEFAULT = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What fits next after the stored history of `user_id`, after `history` (item ids, oldest first), beside `item_id`, or to
    the `text`: one of the four, but a text may have a user or a history beside, whose taste counts, too; among the items of
    `domain`, where it is given. Of a session that goes on, `session` has items that come after the history and are not stored.
    The answer has `request_id`, or one of its own."""

    user_id: str | None = None
    history: Sequence[str] | None = None
    session: Sequence[str] = ()
    item_id: str | None = None
    text: str | None = None
    domain: str | None = None
    options: Options = DEFAULT
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Because:
    """An item of the history that speaks for an answer; `weight` is comparable within one answer and one source."""

    item_id: str
    title: str | None
    weight: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """An item of the history comes again: how often it came, and the usual gap between two times (None where it came once)."""

    times: int
    usual_gap_sessions: float | None
    usual_gap_days: float | None


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer: `source` contributed most to its score, `sources` are all that had a score for it. `because` is None unless it
    was asked to explain, and so is `repeat`, which new items lack."""

    item_id: str
    title: str | None
    score: float
    source: str
    sources: tuple[str, ...]
    because: tuple[Because, ...] | None = None
    repeat: Repeat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Items best first, with everything needed to trace them."""

    request_id: str
    bundle: str | None
    encoder: str
    items: tuple[Scored, ...]
    degraded: tuple[Degraded, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether recommendations come from a trained bundle; what is missing, or still on its way; the bundle that answers, and the
    active one of the store (None where it is not asked: another was named at the start)."""

    ready: bool
    reasons: tuple[str, ...]
    bundle: str | None
    active_bundle: str | None


__all__ = [
    "DEFAULT",
    "MAX_HISTORY",
    "MAX_K",
    "UNKNOWN_EXCLUDED",
    "Answer",
    "Because",
    "Degraded",
    "Options",
    "Question",
    "Readiness",
    "Repeat",
    "Scored",
]
