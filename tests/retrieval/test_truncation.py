"""Which truncation answers a request: the requested one, the next larger, or none with a message."""

from dataclasses import astuple, replace

import pytest

from recsys.errors import Degraded, InvalidRequest
from recsys.retrieval.truncation import Truncation, Truncations, truncations_of
from tests.encoders.test_catalogue import random_part

PART = random_part()


def measured(**shares: float) -> Truncations:
    """Sizes of the part, some of which keep so much of a model that was trained alone: `l2d16=.9`."""
    settings = [
        {"layers": int(name[1]), "dims": int(name[3:]), "recall@10": 0.2, "of_separate": share}
        for name, share in shares.items()
    ]
    return truncations_of(replace(PART, figures={"settings": settings}))


def test_sizes_come_cheapest_first_with_what_was_measured() -> None:
    rows = [truncation.as_json() for truncation in measured(l1d8=0.99).measured]
    assert [(row["layers"], row["dims"], row["bytes"]) for row in rows] == [(1, 8, 32), (2, 16, 64), (3, 16, 64)]
    assert rows[0]["figures"] == {"recall@10": 0.2, "of_separate": 0.99}
    assert all(row["withheld"] is None for row in rows)


def test_a_domain_that_was_added_has_figures_of_its_own_and_the_sizes_that_are_served() -> None:
    settings = [{"layers": 1, "dims": 8, "recall@10": 0.2, "of_separate": 0.5}]
    added = {"films": [{"layers": 1, "dims": 8, "recall@10": 0.7, "of_separate": None}]}
    part = replace(PART, figures={"settings": settings, "added": added})
    first = truncations_of(part, added="films").measured[0]
    assert first.figures["recall@10"] == 0.7
    assert first.withheld is not None
    assert "0.500" in first.withheld


@pytest.mark.parametrize(
    ("layers", "dims", "answered"),
    [(None, None, (3, 16)), (1, None, (1, 8)), (1, 8, (1, 8)), (2, None, (2, 16)), (2, 16, (2, 16)), (3, 16, (3, 16))],
)
def test_an_offered_size_is_answered_as_asked(layers: int | None, dims: int | None, answered: tuple[int, int]) -> None:
    assert truncations_of(PART).choose(layers=layers, dims=dims) == (Truncation(*answered), [])


@pytest.mark.parametrize(
    ("layers", "dims", "answered", "changed"),
    [(1, 4, (1, 8), ["dims"]), (1, 9, (2, 16), ["layers", "dims"]), (None, 8, (3, 16), ["dims"])],
)
def test_another_truncation_is_answered_at_the_next_larger_with_a_warning(
    layers: int | None, dims: int, answered: tuple[int, int], changed: list[str]
) -> None:
    at, warnings = truncations_of(PART).choose(layers=layers, dims=dims)
    assert at == Truncation(*answered)
    options, reasons = zip(*map(astuple, warnings), strict=True)
    assert list(options) == changed
    for reason in reasons:
        assert f"item-text does not offer {Truncation(layers or 3, dims)}, but 1 layer x 8 dims, " in reason
        assert reason.endswith(f"answered at {at}")


def test_a_size_below_its_bar_is_withheld_and_says_by_how_much() -> None:
    truncations = measured(l1d8=0.941, l2d16=0.97, l3d16=0.5)
    assert [str(at) for at in truncations.served] == ["2 layers x 16 dims", "3 layers x 16 dims"]
    at, warnings = truncations.choose(layers=1, dims=8)
    assert at == Truncation(2, 16)
    assert warnings[0] == Degraded(
        "layers",
        "1 layer x 8 dims is withheld: it keeps 0.941 of what a model of that size trained alone reaches, below 0.97; "
        "answered at 2 layers x 16 dims",
    )
    assert truncations.choose(layers=1, dims=None)[0] == Truncation(2, 16)
    assert truncations.measured[0].as_json()["withheld"].startswith("it keeps 0.941")


@pytest.mark.parametrize(("layers", "dims"), [(4, None), (None, 17), (0, None), (None, 0)])
def test_more_than_there_is_is_refused(layers: int | None, dims: int | None) -> None:
    with pytest.raises(InvalidRequest, match=r"(layers=[04]: item-text has 1 to 3|dims=(0|17): item-text has 1 to 16)"):
        truncations_of(PART).choose(layers=layers, dims=dims)
