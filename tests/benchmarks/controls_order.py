"""Continuations of the demo's lists: what changes when a list is reversed or shuffled, and which source answers."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

from recsys.retrieval.lists.continuation import ORDERS
from recsys.retrieval.popular import POPULAR
from recsys.service import Recommender
from recsys.service.playlists.questions import ContinueOptions
from tests.benchmarks.controls_demo import SEED, demo, stored_lists
from tests.benchmarks.harness import Row, at_least, at_most

SIZES = (5, 10, 16)
"""Items of a list that are sent."""
REORDERED, K = 200, 10
LONG = 16


def order(_: Path) -> Iterator[Row]:
    """Answers with `order=free` that differ for a reversed or shuffled list, and with the order, as a control."""
    with demo() as (recommender, store):
        lists = [list(stored.item_ids) for stored in stored_lists(store)]
        pairs = _reordered(lists)
        for name in ORDERS:
            options = ContinueOptions(k=K, order=name)
            changed = sum(_answer(recommender, a, options) != _answer(recommender, b, options) for a, b in pairs)
            what = f"demo, order={name}: answers that change when the list is reversed or shuffled"
            if name == "free":
                yield at_most(what, changed, 0, seed=SEED, n=len(pairs))
            else:
                yield at_least(what, changed, 1, seed=SEED, n=len(pairs))


def by_popularity_alone(_: Path) -> Iterator[Row]:
    """Long lists that popular items alone continue, and what leads the answers to them and to five items."""
    with demo() as (recommender, store):
        lists = [list(stored.item_ids) for stored in stored_lists(store) if len(stored.item_ids) >= LONG]
        for size, name in product((None, 5), ORDERS):
            options = ContinueOptions(k=K, order=name)
            leaders = [_leaders(recommender, items[:size], options) for items in lists]
            yield at_most(
                f"demo, lists of {'16 and more' if size is None else size} items continued by popularity alone, order={name}",
                sum(sources == {POPULAR} for sources in leaders),
                0,
                seed=SEED,
                n=len(lists),
                one_source=sum(len(sources) == 1 for sources in leaders),
                leaders=sorted(set().union(*leaders)),
            )


def _reordered(lists: list[list[str]]) -> list[tuple[list[str], list[str]]]:
    """(a list, the list in another order), each of the lists cut to several sizes; reversed and shuffled in turn."""
    random, pairs = Random(SEED), list[tuple[list[str], list[str]]]()
    for size in SIZES:
        for items in (items[:size] for items in lists if len(items) >= size):
            other = items[::-1] if len(pairs) % 2 else random.sample(items, size)
            if other != items:
                pairs.append((items, other))
    return random.sample(pairs, min(REORDERED, len(pairs)))


def _answer(recommender: Recommender, items: list[str], options: ContinueOptions) -> list[tuple[str, float]]:
    (alternative,) = recommender.lists.continued(items, None, options).alternatives
    return [(item.item_id, item.score) for item in alternative.items]


def _leaders(recommender: Recommender, items: list[str], options: ContinueOptions) -> set[str]:
    (alternative,) = recommender.lists.continued(items, None, options).alternatives
    return {item.source for item in alternative.items}
