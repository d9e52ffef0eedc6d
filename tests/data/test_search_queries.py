"""Queries made from texts: of every kind, and the same for the same seed."""

import random

import pytest

from recsys.data.search_queries import KINDS, misspelt, search_queries

TEXT = "title: Green Garden Hose Reel Deluxe | brand: Gardena | description: fits every tap"


def edits(a: str, b: str) -> int:
    """Fewest insertions, deletions, replacements and swaps of neighbours."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and (x, y) == (b[j - 2], a[i - 2]):
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def test_each_item_is_asked_for_in_every_kind() -> None:
    queries = {query.kind: query for query in search_queries(["brand: none", TEXT, "", "title: ?!"], items=5, seed=0)}
    assert list(queries) == list(KINDS)
    assert {query.row for query in queries.values()} == {1}
    assert queries["title"].text == "Green Garden Hose Reel Deluxe"
    assert queries["part of a text"].text in "Green Garden Hose Reel Deluxe Gardena fits every tap"


@pytest.mark.parametrize("seed", range(20))
def test_errors_are_as_many_as_are_named(seed: int) -> None:
    queries = {query.kind: query.text for query in search_queries([TEXT], items=1, seed=seed)}
    assert edits(queries["title"], queries["one error"]) == 1
    assert edits(queries["title"], queries["four errors"]) <= 4
    words = zip(queries["title"].split(), queries["four errors"].split(), strict=True)
    assert sum(a != b for a, b in words) == 4


def test_a_title_of_few_words_has_no_query_with_many_errors() -> None:
    assert "four errors" not in {query.kind for query in search_queries(["title: Garden Hose"], items=1, seed=0)}
    assert misspelt("?!", random.Random(0)) == "?!"


def test_the_seed_decides() -> None:
    texts = [f"title: number {n} of them all" for n in range(50)]
    assert search_queries(texts, items=9, seed=1) == search_queries(texts, items=9, seed=1)
    assert search_queries(texts, items=9, seed=1) != search_queries(texts, items=9, seed=2)
    assert len({query.row for query in search_queries(texts, items=9, seed=1)}) == 9
