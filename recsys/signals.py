"""What an event says of its item: how much for it or against it, by its kind, its weight or its rating.

One table of kinds is a setting. It is kept in the manifest of a bundle, so that training, serving, batch scoring and evaluation
count events alike.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError

RATING = "rating"
MAX_RATING = 5.0
"""Ratings are stored on a scale to this, whatever the scale of their file."""

KINDS: Mapping[str, float] = {
    **dict.fromkeys(("view", "click", "play", "listen"), 1.0),
    **dict.fromkeys(("like", "love", "save", "favorite", "favourite", "bookmark", "wishlist"), 2.0),
    **dict.fromkeys(("cart", "add", "addtocart", "addtoplaylist"), 3.0),
    **dict.fromkeys(("purchase", "buy", "order", "transaction"), 4.0),
    RATING: 4.0,
    **dict.fromkeys(("dislike", "hate"), -2.0),
    **dict.fromkeys(("skip", "hide", "remove", "removefromcart"), -1.0),
}
"""The weight of an event by its kind; below 0 it speaks against the item. A rating has this weight at its best."""
EXPLICIT = frozenset({RATING, "like", "love", "dislike", "hate", "hide"})
"""Kinds by which people say what they think of an item: the latest one counts. All others add up."""
GLANCES = frozenset({"view", "click"})
"""Kinds by which nothing is taken: a page that is loaded again is no repetition."""
OTHER_KIND = 1.0
"""The weight of a kind that the table lacks."""
MAX_VALUE = 100.0
"""No event counts for more."""
NEUTRAL_RATING = 0.6 * MAX_RATING
"""The mean rating where there are none."""
ROUNDING = 1e-6
"""A rating this little below the neutral one is equal to it: sums over a whole store and over one user differ so much."""
RATINGS_TO_TRUST = 5
"""Ratings of a user that weigh as much as the mean of all in what is neutral to that user."""

Values = NDArray[np.float64]
Neutral = Literal["user-mean", "none"] | float
NEUTRAL = MAX_RATING / 2
"""The rating that says nothing, by default: half of the best. On MovieLens-100K this costs nothing that can be told from chance,
and the user's mean, which takes half of all ratings for rejections, a fifth of NDCG@10."""


def kind_name(kind: str) -> str:
    """The kind as tables have it: lower case without blanks, hyphens and the like, so that `Add to cart` is `addtocart`."""
    return re.sub(r"[\W_]+", "", kind.lower())


def is_rating(kind: str) -> bool:
    return kind_name(kind) == RATING


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalTable:
    """The weight of each kind, and the `neutral` rating: a number, the user's mean, or `none`: all ratings speak for the item."""

    kinds: Mapping[str, float] = field(default_factory=lambda: dict(KINDS))
    neutral: Neutral = NEUTRAL

    @classmethod
    def parse(cls, setting: str) -> Self:
        """The table of a setting over the default one: `purchase=5,skip=0,neutral=3`, or a TOML file with these lines.

        Raises:
            ConfigError: no such file, or a value is out of range or no finite number.
        """
        pairs = _of_file(Path(setting.strip())) if setting.strip().endswith(".toml") else _of_pairs(setting)
        names = [name for name, _ in pairs]
        if unnamed := [name for name in names if not kind_name(name)]:
            raise ConfigError(f"RECSYS_SIGNALS: {unnamed[0]!r} is no kind; write kind=weight, between commas")
        if twice := [name for name, count in Counter(map(kind_name, names)).items() if count > 1]:
            raise ConfigError(
                f"RECSYS_SIGNALS: {twice[0]!r} has more than one weight, maybe in other spellings; leave one"
            )
        weights = {kind_name(name): value for name, value in pairs}
        neutral = _neutral(weights.pop("neutral", NEUTRAL))
        kinds = {**KINDS, **{kind: _number(kind, value) for kind, value in weights.items()}}
        if kinds[RATING] < 0:
            raise ConfigError(
                f"RECSYS_SIGNALS: {RATING}={kinds[RATING]:g}; give what the best rating counts for, from 0"
            )
        return cls(kinds=kinds, neutral=neutral)

    def weight(self, kind: str) -> float:
        """The weight of a kind."""
        return self.kinds.get(kind_name(kind), OTHER_KIND)

    def effect(self, kind: str) -> str:
        """What an event of the kind counts for, in words."""
        weight = self.weight(kind)
        if is_rating(kind):
            return f"by value up to x{weight:g}"
        return f"x{weight:g}" if weight >= 0 else f"x{-weight:g} against"

    def unknown(self, kinds: Iterable[str]) -> list[str]:
        """Those of `kinds` that the table lacks."""
        return sorted(kind for kind in kinds if kind_name(kind) not in self.kinds)

    def values(
        self, kinds: Iterable[str], weights: Values, owners: NDArray[np.int64], *, mean_rating: float
    ) -> tuple[Values, NDArray[np.bool_]]:
        """(what each event says: above 0 for its item, below 0 against it; whether it is explicit), both (events,).

        `owners` (events,) numbers the users in ascending order, the events of each are in their order. A negative weight turns an
        event against its item; an event of a kind that counts for nothing is not explicit. With `user-mean` what is neutral at an
        event is the mean of the ratings so far.
        """
        codes = dict[str, int]()
        which = np.array([codes.setdefault(kind, len(codes)) for kind in kinds], dtype=np.int64)
        names = [kind_name(kind) for kind in codes]
        base = np.array([self.kinds.get(name, OTHER_KIND) for name in names], dtype=np.float64)[which]
        explicit = np.array([name in EXPLICIT and self.weight(name) != 0 for name in names], dtype=np.bool_)[which]
        is_rating = np.array([name == RATING for name in names], dtype=np.bool_)[which]
        with np.errstate(over="ignore"):
            values = np.where((base < 0) | (weights < 0), -1, 1) * np.abs(base * weights)
        if is_rating.any():
            values[is_rating] = self._of_ratings(
                weights[is_rating], owners[is_rating], best=self.weight(RATING), mean=mean_rating
            )
        return np.clip(values, -MAX_VALUE, MAX_VALUE), explicit

    def consumes(self, kinds: Sequence[str], values: Values) -> NDArray[np.bool_]:
        """(events,): by which of them an item is taken, where there are such kinds; else all that speak for their item."""
        taking = {kind: kind_name(kind) not in GLANCES | EXPLICIT for kind in set(kinds)}
        consumed = (values > 0) & np.array([taking[kind] for kind in kinds], dtype=np.bool_)
        return consumed if consumed.any() else values > 0

    def _of_ratings(self, ratings: Values, owners: NDArray[np.int64], *, best: float, mean: float) -> Values:
        """Between `least` and `best` from the neutral rating up, between their negatives below it; `least` is 1, or `best` where
        that is less. It stands for all ratings where all speak for the item."""
        least = min(1.0, best)
        if self.neutral == "none":
            return np.full(len(ratings), least)
        neutral = (
            means_so_far(ratings, owners, mean) if self.neutral == "user-mean" else np.full(len(ratings), self.neutral)
        )
        above = (ratings - neutral) / np.maximum(MAX_RATING - neutral, 1e-9)
        below = (neutral - ratings) / np.maximum(neutral, 1e-9)
        span = best - least
        return np.where(
            ratings >= neutral - ROUNDING, least + span * np.clip(above, 0, 1), -least - span * np.clip(below, 0, 1)
        )


def means_so_far(ratings: Values, owners: NDArray[np.int64], mean: float) -> Values:
    """The mean of each owner's ratings up to each, drawn to the `mean` of all as by `RATINGS_TO_TRUST` ratings."""
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    lengths = np.diff(np.append(first, len(owners)))
    sums = np.cumsum(ratings)
    before = np.repeat(sums[first] - ratings[first], lengths)
    count = np.arange(len(owners)) - np.repeat(first, lengths) + 1
    return (sums - before + RATINGS_TO_TRUST * mean) / (count + RATINGS_TO_TRUST)


def mean_rating(kinds: Iterable[str], weights: Values) -> float:
    """The mean of the ratings among the events; in the middle of the scale where there are none."""
    names = {kind: is_rating(kind) for kind in set(kinds)}
    ratings = weights[np.array([names[kind] for kind in kinds], dtype=np.bool_)]
    return float(ratings.mean()) if len(ratings) else NEUTRAL_RATING


def _of_file(path: Path) -> list[tuple[str, Any]]:
    try:
        return list(tomllib.loads(path.read_text(encoding="utf-8")).items())
    except (OSError, ValueError) as error:
        raise ConfigError(f"RECSYS_SIGNALS={path} cannot be read: {error}") from error


def _of_pairs(setting: str) -> list[tuple[str, Any]]:
    pairs = [pair.partition("=") for pair in setting.split(",") if pair.strip()]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise ConfigError(f"RECSYS_SIGNALS: {wrong[0].strip()!r} has no weight; write kind=weight, between commas")
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _neutral(value: Any) -> Neutral:
    """A rating, or a word in any case and spelling, as kinds are."""
    match kind_name(str(value)):
        case "usermean":
            return "user-mean"
        case "none":
            return "none"
    with suppress(TypeError, ValueError):
        if not isinstance(value, bool) and 0 <= (number := float(value)) <= MAX_RATING:
            return number
    raise ConfigError(f"RECSYS_SIGNALS: neutral={value}; give `user-mean`, `none`, or 0 to {MAX_RATING:g}")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = nan
    if not isfinite(number) or isinstance(value, bool):
        raise ConfigError(f"RECSYS_SIGNALS: the weight of {name!r} is {value!r}; give a number")
    return number
