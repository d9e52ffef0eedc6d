"""Small data sets with planted structure, for tests: a good recommender must find it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl

from features.schema import EVENTS, ITEMS

START = datetime(2024, 1, 1, tzinfo=UTC)
SOUNDS = ("ba", "co", "di", "fu", "ge", "ha", "ki", "lo", "mu", "ne", "po", "ru", "sa", "ti", "vo", "wa")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`events` and `items` as in `features.schema`; `successor` is the item that follows an item, `cluster` its group."""

    events: pl.LazyFrame
    items: pl.LazyFrame
    successor: Mapping[str, str]
    cluster: Mapping[str, int]


def planted(
    *,
    users: int = 200,
    items: int = 60,
    length: int = 20,
    clusters: int = 6,
    follow: float = 0.8,
    seed: int = 0,
) -> World:
    """Users who take an item's one successor with probability `follow`, else any item uniformly; one event a minute.

    Successors run in a ring through each cluster, and the items of a cluster share the words of their text. So the best
    possible next-item hit rate is `follow + (1 - follow) / items`, a text model that knows the cluster finds the successor
    among `items / clusters`, and popularity is no better than chance.
    """
    random = Random(seed)
    names = [f"item-{number:03d}" for number in range(items)]
    random.shuffle(names)
    cluster = {name: number % clusters for number, name in enumerate(names)}
    successor: dict[str, str] = {}
    for ring in range(clusters):
        members = names[ring::clusters]
        successor |= dict(zip(members, members[1:] + members[:1], strict=True))
    return World(
        events=_events(random, names, successor, users=users, length=length, follow=follow),
        items=_items(random, cluster, clusters=clusters),
        successor=successor,
        cluster=cluster,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenreLists:
    """`lists` of item numbers below `items`; `genre` (items,) has the hidden genre of each."""

    lists: tuple[tuple[int, ...], ...]
    genre: tuple[int, ...]


def genre_lists(
    *,
    lists: int = 300,
    items: int = 120,
    genres: int = 4,
    stay: float = 0.9,
    shortest: int = 30,
    longest: int = 230,
    seed: int = 0,
) -> GenreLists:
    """Lists from a Markov chain of hidden genres: the next item is of the same genre with probability `stay`, else of any.

    Items of a genre and lengths are uniform. So the items show a list's genres, only their order shows its switches, and
    neither shows its length.
    """
    random = Random(seed)
    genre = tuple(number % genres for number in range(items))
    members = [[number for number in range(items) if genre[number] == hidden] for hidden in range(genres)]
    sampled = []
    for _ in range(lists):
        current, numbers = random.randrange(genres), list[int]()
        for _ in range(random.randint(shortest, longest)):
            numbers.append(random.choice(members[current]))
            current = current if random.random() < stay else random.randrange(genres)
        sampled.append(tuple(numbers))
    return GenreLists(lists=tuple(sampled), genre=genre)


def _events(
    random: Random, names: list[str], successor: Mapping[str, str], *, users: int, length: int, follow: float
) -> pl.LazyFrame:
    rows: list[tuple[str, str, datetime, int, int]] = []
    for user in range(users):
        item = random.choice(names)
        for position in range(length):
            rows.append((f"user-{user:04d}", item, START + timedelta(minutes=len(rows)), position, len(rows)))
            item = successor[item] if random.random() < follow else random.choice(names)
    return pl.LazyFrame(rows, schema=dict(EVENTS), orient="row")


def _items(random: Random, cluster: Mapping[str, int], *, clusters: int) -> pl.LazyFrame:
    """Titles of two words of the cluster and one of the item alone; the cluster's own brand."""
    words = [[_word(random) for _ in range(5)] for _ in range(clusters)]
    rows = [
        (name, " ".join([*random.sample(words[number], 2), _word(random)]), json.dumps({"brand": words[number][0]}))
        for name, number in cluster.items()
    ]
    return pl.LazyFrame(sorted(rows), schema=dict(ITEMS), orient="row")


def _word(random: Random) -> str:
    return "".join(random.choices(SOUNDS, k=4))
