"""The planted truth is really there."""

import polars as pl
import pytest

from features.schema import EVENTS, ITEMS, check_schema
from features.synthetic import planted


def test_the_tables_have_the_schema_and_refer_to_each_other() -> None:
    world = planted(users=10)
    check_schema(world.events, EVENTS, name="events")
    check_schema(world.items, ITEMS, name="items")
    known = set(world.items.collect()["item"])
    assert set(world.events.collect()["item"]) <= known == set(world.successor) == set(world.cluster)


def test_successors_follow_as_often_as_asked() -> None:
    world = planted(users=400, length=25, follow=0.7, items=50)
    events = world.events.with_columns(next=pl.col("item").shift(-1).over("user")).drop_nulls("next").collect()
    followed = [world.successor[item] == after for item, after in events.select("item", "next").iter_rows()]
    assert sum(followed) / len(followed) == pytest.approx(0.7 + 0.3 / 50, abs=0.015)


def test_successors_are_a_ring_inside_each_cluster() -> None:
    world = planted(items=30, clusters=5)
    assert sorted(world.successor.values()) == sorted(world.successor)
    assert all(world.cluster[a] == world.cluster[b] for a, b in world.successor.items())


def test_items_of_a_cluster_share_their_brand_and_no_other_does() -> None:
    world = planted(items=30, clusters=5)
    brands = dict(world.items.collect().select("item", "attributes").iter_rows())
    for name, brand in brands.items():
        same = {item for item, other in brands.items() if other == brand}
        assert same == {item for item in brands if world.cluster[item] == world.cluster[name]}


def test_the_seed_decides_everything() -> None:
    first, same, other = planted(seed=1), planted(seed=1), planted(seed=2)
    assert first.events.collect().equals(same.events.collect())
    assert first.items.collect().equals(same.items.collect())
    assert not first.events.collect().equals(other.events.collect())
