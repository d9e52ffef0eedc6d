"""A history is encoded as seldom as can be, and never answered with a vector of other items."""

import numpy as np
import pytest

from recsys.data.history import Rows
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.sequence import SequenceSource
from recsys.retrieval.source import StoredSource
from recsys.retrieval.text import TextSource
from tests.retrieval.worlds import World, query


@pytest.fixture(params=["sasrec-hybrid", "text"])
def source(request: pytest.FixtureRequest, sources: dict[str, StoredSource]) -> SequenceSource | TextSource:
    candidates = sources[request.param]
    assert isinstance(candidates, SequenceSource | TextSource)
    return candidates


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many histories each call of an encoder was given."""
    counts: list[int] = []
    for kind in (SequenceSource, TextSource):

        def counted(self: DenseSource, histories: list[Rows], real: object = kind.encode) -> object:
            counts.append(len(histories))
            return real(self, histories)  # type: ignore[operator]

        monkeypatch.setattr(kind, "encode", counted)
    return counts


def test_candidates_and_their_scores_are_encoded_once(
    source: SequenceSource | TextSource, encoded: list[int], planted: World
) -> None:
    questions = [query([1, 2], allowed=planted.items), query([3], allowed=planted.items)]
    source.score(questions, source.search(questions, k=5).rows)
    assert encoded == [2]


def test_a_history_that_is_cached_is_encoded_again_only_where_that_is_cheap(
    source: SequenceSource | TextSource, encoded: list[int], planted: World
) -> None:
    first, second = ([query([row], allowed=planted.items)] for row in (1, 3))
    for queries in (first, second, first):
        source.search(queries, k=5)
    assert encoded == ([1, 1] if source.caches_queries else [1, 1, 1])


def test_another_index_keeps_the_vectors_and_other_items_do_not(
    source: SequenceSource | TextSource, encoded: list[int], planted: World
) -> None:
    questions = [query([1], allowed=planted.items)]
    candidates = source.search(questions, k=5)
    moved = source.with_index(None, ExactIndex(ExactConfig(), source.vectors, known=source.known))
    np.testing.assert_array_equal(moved.search(questions, k=5).rows, candidates.rows)
    assert encoded == [1]
    changed = source.with_items(np.array([1]), planted.text[[30]])
    assert changed.search(questions, k=5).rows.tolist() != candidates.rows.tolist()
    assert encoded == [1, 1]
