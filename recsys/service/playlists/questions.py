"""Questions about lists, and their answers."""

from dataclasses import dataclass

from recsys.data.continuation_cases import Order
from recsys.errors import Degraded, InvalidRequest
from recsys.retrieval.lists.encoder import STRENGTH, DecodingConfig
from recsys.service.items.questions import MAX_K, Scored

MAX_ALTERNATIVES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarOptions:
    """`order` chooses the encoder, unless one is named; the filters keep lists whose name holds a text in any case, which
    have so many items, or which hold an item."""

    k: int = 10
    order: Order | None = None
    encoder: str | None = None
    name_contains: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    holds: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueOptions:
    """`alternatives` lists of `k` items; an item loses `strength` for each earlier list that holds it and `same_group` for
    each earlier one of its artist or brand, of which a list holds `most_of_group` at most. `repeats`: may items of the list
    come back? With `order="free"` any item of the list says as much as its last; None is "sensitive", where that can be. With
    `explain` each item comes with the items of the list that speak for it."""

    k: int = 10
    alternatives: int = 1
    repeats: bool = False
    order: Order | None = None
    encoder: str | None = None
    exclude: tuple[str, ...] = ()
    strength: float = STRENGTH
    same_group: float = 0.0
    most_of_group: int | None = None
    explain: bool = False

    def decoding(self) -> DecodingConfig:
        """How lists are written and picked; its checks are made where the options are."""
        return DecodingConfig(
            length=self.k,
            alternatives=self.alternatives,
            strength=self.strength,
            same_group=self.same_group,
            most_of_group=self.most_of_group,
            repeats=self.repeats,
        )


@dataclass(frozen=True, slots=True)
class ScoredList:
    """`score` is the cosine of the two lists' vectors."""

    playlist_id: str
    name: str | None
    length: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarLists:
    """Stored lists, most similar first."""

    request_id: str
    bundle: str | None
    encoder: str
    playlists: tuple[ScoredList, ...]
    degraded: tuple[Degraded, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One continuation, in order."""

    items: tuple[Scored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuedList:
    """Continuations, the likeliest first."""

    request_id: str
    bundle: str | None
    encoder: str
    alternatives: tuple[Alternative, ...]
    degraded: tuple[Degraded, ...]


def check(options: ContinueOptions) -> None:
    """Raises InvalidRequest: an option out of range."""
    if not 1 <= options.k <= MAX_K:
        raise InvalidRequest(f"k={options.k}: ask for 1 to {MAX_K} items")
    if not 1 <= options.alternatives <= MAX_ALTERNATIVES:
        raise InvalidRequest(f"alternatives={options.alternatives}: ask for 1 to {MAX_ALTERNATIVES}")
    options.decoding()


def check_similar(options: SimilarOptions) -> None:
    """Raises InvalidRequest: an option out of range, or two that contradict each other."""
    if not 1 <= options.k <= MAX_K:
        raise InvalidRequest(f"k={options.k}: ask for 1 to {MAX_K} lists")
    low, high = options.min_length or 0, options.max_length
    if high is not None and low > high:
        raise InvalidRequest(f"min_length={low} is above max_length={high}: no list can be both")
