"""Small worlds with a known truth, for tests: what a good recommender must find is planted here."""

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
    """`events` and `items` as in `features.schema`; `successor` is what follows an item, `cluster` whose words it bears."""

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
    """Users who take an item's one successor with probability `poll_changes`, else any item, each alike; one event a minute.

    Successors run in a ring through each cluster, and the items of a cluster share the words of their text. So the best
    possible next-item hit rate is `follow + (1 - follow) / items`, a text model that knows the cluster finds the successor
    among `items / clusters`, and popularity finds nothing.
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

    Within a genre items are drawn alike, and lengths are uniform. So a list's genres show in its items, its switches only in
    their order, and its length in neither.
    """
    random = Random(seed)
    genre = tuple(number % genres for number in range(items))
    members = [[number for number in range(items) if genre[number] == own] for own in range(genres)]
    found = []
    for _ in range(lists):
        now, one = random.randrange(genres), list[int]()
        for _ in range(random.randint(shortest, longest)):
            one.append(random.choice(members[now]))
            now = now if random.random() < stay else random.randrange(genres)
        found.append(tuple(one))
    return GenreLists(lists=tuple(found), genre=genre)


def _events(
    random: Random, names: list[str], successor: Mapping[str, str], *, users: int, length: int, follow: float
) -> pl.LazyFrame:
    rows: list[tuple[str, str, datetime, int, int]] = []
    for user in range(users):
        item = random.choice(names)
        for place in range(length):
            rows.append((f"user-{user:04d}", item, START + timedelta(minutes=len(rows)), place, len(rows)))
            item = successor[item] if random.random() < follow else random.choice(names)
    return pl.LazyFrame(rows, schema=dict(EVENTS), orient="row")


def _items(random: Random, cluster: Mapping[str, int], *, clusters: int) -> pl.LazyFrame:
    """Titles of two words of the cluster and one of the item alone; the cluster's own brand."""
    words = [[_word(random) for _ in range(5)] for _ in range(clusters)]
    rows = [
        (name, " ".join([*random.sample(words[own], 2), _word(random)]), json.dumps({"brand": words[own][0]}))
        for name, own in cluster.items()
    ]
    return pl.LazyFrame(sorted(rows), schema=dict(ITEMS), orient="row")


def _word(random: Random) -> str:
    return "".join(random.choices(SOUNDS, k=4))
