"""What an event says of its item, by its kind, its weight or its rating."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from recsys.signals import KINDS, MAX_VALUE, SignalTable, mean_rating, means_so_far


def values(table: SignalTable, *events: tuple[str, float], mean: float = 3.0) -> list[float]:
    """What the events of one user count for."""
    kinds, weights = zip(*events, strict=True)
    owners = np.zeros(len(events), dtype=np.int64)
    return table.values(kinds, np.array(weights, dtype=np.float64), owners, mean_rating=mean)[0].tolist()


def test_a_setting_changes_what_it_names_and_nothing_else() -> None:
    table = SignalTable.parse(" Add to cart = 7, skip=0 ,teleport=-2.5,neutral=2.5,")
    assert table.neutral == 2.5
    assert table.kinds == {**KINDS, "addtocart": 7.0, "skip": 0.0, "teleport": -2.5}
    assert SignalTable.parse("") == SignalTable()
    assert SignalTable.parse("neutral=none").neutral == "none"
    assert SignalTable.parse("Neutral=user-mean").neutral == "user-mean"


def test_a_file_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "signals.toml"
    path.write_text('purchase = 5\n"add to cart" = 7.0\nneutral = "none"\n')
    assert SignalTable.parse(str(path)) == SignalTable.parse("purchase=5,addtocart=7,neutral=none")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("purchase", "'purchase' has no weight"),
        ("purchase=much", "the weight of 'purchase' is 'much'"),
        ("purchase=nan", "the weight of 'purchase' is 'nan'"),
        ("purchase=-inf", "the weight of 'purchase' is '-inf'"),
        ("purchase=", "the weight of 'purchase' is ''"),
        ("=5", "'' is no kind"),
        ("-=5", "'-' is no kind"),
        ("neutral=half", "neutral=half; give"),
        ("neutral=7", "neutral=7; give `user-mean`, `none`, or 0 to 5"),
        ("rating=-1", "rating=-1; give what the best rating counts for"),
        ("missing.toml", "RECSYS_SIGNALS=missing.toml cannot be read"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match="RECSYS_SIGNALS") as caught:
        SignalTable.parse(setting)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", ["purchase = true", "purchase = [1]", "[kinds]\npurchase = 1", "purchase ="])
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "signals.toml").write_text(content)
    with pytest.raises(ConfigError, match="RECSYS_SIGNALS"):
        SignalTable.parse(str(tmp_path / "signals.toml"))


def test_kinds_count_in_any_spelling_and_unknown_ones_as_a_view() -> None:
    table = SignalTable()
    assert values(table, ("PURCHASE", 1), ("Add-To_Cart", 1), ("teleport", 1), ("👍", 1)) == [4.0, 3.0, 1.0, 1.0]
    assert table.unknown(["view", "teleport", "Add to cart", "👍"]) == ["teleport", "👍"]


def test_a_negative_weight_turns_an_event_against_its_item() -> None:
    events = ("purchase", -1), ("purchase", 0.5), ("purchase", 0), ("dislike", 1), ("dislike", -1), ("skip", 3)
    assert values(SignalTable(), *events) == [-4.0, 2.0, 0.0, -2.0, -2.0, -3.0]


def test_no_event_counts_for_more_than_a_hundred() -> None:
    assert values(SignalTable(), ("purchase", 1e308), ("view", -1e308), ("view", 99)) == [MAX_VALUE, -MAX_VALUE, 99.0]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("neutral=2.5", [-4.0, -1.6, 1.0, 2.2, 4.0]),
        ("neutral=none", [1.0] * 5),
        ("neutral=2.5,rating=10", [-10.0, -2.8, 1.0, 4.6, 10.0]),
        ("neutral=2.5,rating=0", [0.0] * 5),
        ("neutral=none,rating=0.5", [0.5] * 5),
        ("neutral=0", [1.0, 2.2, 2.5, 3.1, 4.0]),
    ],
)
def test_ratings_count_by_their_distance_from_the_neutral_one(setting: str, expected: list[float]) -> None:
    ratings = [("rating", weight) for weight in (0.0, 2.0, 2.5, 3.5, 5.0)]
    assert values(SignalTable.parse(setting), *ratings) == pytest.approx(expected)


def test_neutral_is_the_mean_of_the_user_s_ratings_so_far() -> None:
    generous = [("rating", 5.0)] * 20 + [("rating", 4.0)]
    assert values(SignalTable(neutral="user-mean"), *generous)[-1] < 0
    strict = [("rating", 1.0)] * 20 + [("rating", 2.0)]
    assert values(SignalTable(neutral="user-mean"), *strict)[-1] > 0
    assert (
        values(SignalTable(neutral="user-mean"), *generous[:3])
        == values(SignalTable(neutral="user-mean"), *generous)[:3]
    )


def test_equal_ratings_all_speak_for_their_items() -> None:
    ratings = [("rating", 3.65)] * 1000
    assert (
        min(
            values(SignalTable(neutral="user-mean"), *ratings, mean=mean_rating(["rating"] * 1000, np.full(1000, 3.65)))
        )
        >= 1
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 5)), min_size=1, max_size=20), st.floats(0, 5))
def test_means_so_far_equal_a_loop_over_each_user(ratings: list[tuple[int, float]], mean: float) -> None:
    ratings = sorted(ratings, key=lambda rating: rating[0])
    owners = np.array([owner for owner, _ in ratings])
    expected = []
    for end, (owner, _) in enumerate(ratings, start=1):
        past = [rating for other, rating in ratings[:end] if other == owner]
        expected.append((sum(past) + 5 * mean) / (len(past) + 5))
    np.testing.assert_allclose(means_so_far(np.array([r for _, r in ratings]), owners, mean), expected, atol=1e-9)


def test_the_mean_rating_is_that_of_ratings_alone() -> None:
    assert mean_rating(["rating", "view", "Rating"], np.array([1.0, 100.0, 4.0])) == 2.5
    assert mean_rating(["view"], np.array([100.0])) == 3.0


def test_what_is_taken_by_looking_is_taken_where_nothing_else_is() -> None:
    table = SignalTable()
    kinds = ["view", "purchase", "like", "skip"]
    assert table.consumes(kinds, np.array([1.0, 4.0, 2.0, -1.0])).tolist() == [False, True, False, False]
    assert table.consumes(["view", "dislike"], np.array([1.0, -2.0])).tolist() == [True, False]
