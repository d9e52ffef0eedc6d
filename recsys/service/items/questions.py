"""What can be asked, and what is answered."""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_HISTORY = 10_000
"""Events read of a stored user and accepted in a request."""

MAX_K = 1000
"""Items in one answer."""

UNKNOWN_EXCLUDED = "unknown items, which nothing would show anyway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to answer. `include_seen=None` takes the bundle's rule, `encoder=None` its default part.

    `layers` and `dims` say how much of the text encoder to use, where the part that answers offers a choice; None: all.
    Only items in `allow` are shown (None: all), and none in `exclude`; either may have any size.
    """

    k: int = 10
    allow: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    include_seen: bool | None = None
    encoder: str | None = None
    layers: int | None = None
    dims: int | None = None


DEFAULT = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What fits next after the stored history of `user_id`, after `history` (item ids, oldest first), beside `item_id`, or to
    the `text` (among the items of `domain`, where it is given): one of the four. The answer has `request_id`, or one of its
    own."""

    user_id: str | None = None
    history: Sequence[str] | None = None
    item_id: str | None = None
    text: str | None = None
    domain: str | None = None
    options: Options = DEFAULT
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Degraded:
    """Something that was asked and not done, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer: `source` contributed most to its score, `sources` are all that had an opinion."""

    item_id: str
    title: str | None
    score: float
    source: str
    sources: tuple[str, ...]


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
    """Whether recommendations come from a trained bundle, and if not, what is missing."""

    ready: bool
    reasons: tuple[str, ...]
