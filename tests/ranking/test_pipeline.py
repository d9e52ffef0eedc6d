"""One way from queries to ranked answers, for routes, batch scoring and the evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.batch.users import recommend_all
from recsys.evaluation.run import evaluate
from recsys.ranking import pipeline
from recsys.ranking.pipeline import Ranking, RankingOptions, rank
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.source import Query
from recsys.service import Options, Recommender
from recsys.store import Store
from tests.worlds import Planted

Call = tuple[Sequence[Query], RankingOptions, Ranking]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What went through the pipeline."""
    made: list[Call] = []

    def recorded(model: Any, queries: Sequence[Query], options: RankingOptions) -> Ranking:
        made.append((queries, options, rank(model, queries, options)))
        return made[-1][2]

    monkeypatch.setattr(pipeline, "rank", recorded)
    return made


def test_a_row_of_a_batch_an_answer_and_what_is_evaluated_come_from_the_same_call(
    served: tuple[Recommender, Store, Planted], calls: list[Call], tmp_path: Path
) -> None:
    recommender, store, planted = served
    user = store.users(limit=1)[0]

    answer = TestClient(create_app(recommender)).get(f"/v1/users/{user}/recommendations", params={"k": 10}).json()
    (of_route,) = calls
    calls.clear()
    *_, _done = recommend_all(recommender, store, tmp_path / "out.parquet", options=Options(k=10))
    batch = [row for row in pq.read_table(tmp_path / "out.parquet").to_pylist() if row["user_id"] == user]
    of_batch = calls[0]
    assert [row["item_id"] for row in batch] == [item["item_id"] for item in answer["items"]]
    assert of_route[0][0].user_id == of_batch[0][0].user_id == user
    assert of_route[1] == of_batch[1] == RankingOptions(part="blend", k=10, fill=True)
    np.testing.assert_array_equal(of_route[2].rows[0], of_batch[2].rows[0])

    calls.clear()
    list(evaluate(store, uri=planted.bundle))
    (of_evaluation,) = [call for call in calls if call[1].part == "blend"]
    assert of_evaluation[1].fill
    again = rank(recommender._live.snapshot.items, of_evaluation[0], RankingOptions(part="blend", k=10, fill=True))
    size = (again.rows >= 0).sum(axis=1).min()
    np.testing.assert_array_equal(of_evaluation[2].rows[:, :size], again.rows[:, :size])


def test_the_strongest_source_of_a_blend_explains(served: tuple[Recommender, Store, Planted]) -> None:
    recommender, _, planted = served
    start = next(iter(planted.world.successor))
    other = next(item for item, cluster in planted.world.cluster.items() if cluster != planted.world.cluster[start])
    answer = recommender.recommend(history=[other, start], options=Options(k=1, explain=True))
    (best,) = answer.items
    assert best.item_id == planted.world.successor[start]
    assert best.because is not None
    assert best.because[0].item_id == start
    assert best.because[0].weight > 0


def test_without_explain_nothing_is_explained(served: tuple[Recommender, Store, Planted]) -> None:
    recommender, _, planted = served
    start = next(iter(planted.world.successor))
    assert recommender.recommend(history=[start], options=Options(k=3)).items[0].because is None


def test_popular_items_have_no_reasons(served: tuple[Recommender, Store, Planted]) -> None:
    answer = served[0].recommend(history=[], options=Options(k=2, explain=True))
    assert [item.because for item in answer.items] == [(), ()]


def test_a_stage_that_is_off_is_not_called(
    served: tuple[Recommender, Store, Planted], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("off")

    monkeypatch.setattr(ServingModel, "popular", never)
    monkeypatch.setattr(ServingModel, "explain", never)
    start = next(iter(served[2].world.successor))
    assert len(served[0].recommend(history=[start], options=Options(k=5)).items) == 5
