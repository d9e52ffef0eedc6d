"""A row is given once, for life."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SchemaError
from features.vocabulary import Vocabulary
from recsys.bundle import vocabulary_hash

IDS = st.lists(st.text(max_size=3), max_size=12)


@given(first=IDS, second=IDS)
def test_growing_never_moves_a_row(first: list[str], second: list[str]) -> None:
    small = Vocabulary().grown(first)
    large = small.grown(second)
    assert large.continues(small)
    assert all(large.rows[item] == row for item, row in small.rows.items())
    assert set(large.items) == {*first, *second}


@given(first=IDS, second=IDS)
def test_growing_at_once_or_in_turn_is_the_same(first: list[str], second: list[str]) -> None:
    assert Vocabulary().grown(first).grown(second) == Vocabulary().grown([*first, *second])


@given(IDS, IDS)
def test_encoding_gives_the_row_or_nothing(known: list[str], ids: list[str]) -> None:
    vocabulary = Vocabulary().grown(known)
    rows = vocabulary.encode(pl.Series("item", ids, dtype=pl.String()))
    assert rows.to_list() == [vocabulary.rows.get(item) for item in ids]
    assert rows.dtype == pl.Int64()


def test_the_hash_depends_on_ids_and_their_order_and_is_the_one_of_bundles() -> None:
    vocabulary = Vocabulary(("a", "b"))
    assert vocabulary.hash == Vocabulary(("a", "b")).hash == vocabulary_hash(("a", "b"))
    assert (
        len({vocabulary.hash, Vocabulary(("b", "a")).hash, Vocabulary(("ab",)).hash, vocabulary.grown(["c"]).hash}) == 4
    )


def test_ids_that_look_like_numbers_stay_apart() -> None:
    assert len(Vocabulary().grown(["7", "07", "007"])) == 3


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(SchemaError, match="'b' occurs twice"):
        Vocabulary(("a", "b", "b"))


def test_numbers_are_refused_as_ids() -> None:
    with pytest.raises(SchemaError, match="007 stays 007"):
        Vocabulary(("7",)).encode(pl.Series([7]))


def test_a_shorter_or_other_vocabulary_does_not_continue() -> None:
    assert not Vocabulary(("a",)).continues(Vocabulary(("a", "b")))
    assert not Vocabulary(("b", "a", "c")).continues(Vocabulary(("a", "b")))
