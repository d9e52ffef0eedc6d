"""A source that is added by its two rows alone is trained, blended, served, batched, evaluated and explained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from recsys.batch.users import recommend_all
from recsys.bundle import Part
from recsys.evaluation.ranking_eval import PartMetrics
from recsys.evaluation.run import evaluate
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.registry import TYPES, PartType
from recsys.retrieval.search_space import Axis, SearchSpace
from recsys.retrieval.source import Candidates, Capabilities, Query, Scores, StoredSource
from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.recipes import RECIPES, tuned
from recsys.training.tuning import FitInputs
from tests.worlds import PLAN, Planted


@dataclass(frozen=True)
class NextRowConfig:
    """How many rows after the last item are recommended."""

    reach: int = 5


class NextRow(StoredSource):
    """Recommends the rows behind the last item of the history, the nearest first."""

    kind = "next-row"

    def __init__(self, items: int, reach: int) -> None:
        self.items, self.reach = items, reach

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        result = empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            rows = np.flatnonzero(query.allowed[: self.items])
            write_row(result, i, *top_k(rows, self.score([query], rows[None])[0], k=k))
        return Candidates(*result)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        last = np.array([query.history.rows[-1] if len(query.history) else np.inf for query in queries])
        distance = rows - last[:, None]
        return np.where((distance > 0) & (distance <= self.reach), 1 / np.maximum(distance, 1), np.nan).astype(
            np.float32
        )

    def part(self, name: str) -> Part:
        return Part(name=name, kind=self.kind, config={"reach": self.reach}, arrays={"items": np.array([self.items])})


def restore(part: Part, _: object) -> NextRow:
    return NextRow(int(part.arrays["items"][0]), part.config["reach"])


def fit(inputs: FitInputs, config: NextRowConfig) -> NextRow:
    return NextRow(inputs.dataset.items, config.reach)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two rows."""
    row = PartType(
        config=NextRowConfig,
        restore=restore,
        search_space=lambda _: SearchSpace(NextRowConfig(), (Axis("reach", (2, 5)),)),
        capabilities=Capabilities(order=True, default_blend=True),
    )
    monkeypatch.setitem(TYPES, "next-row", row)
    monkeypatch.setitem(RECIPES, "next-row", tuned(fit))


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(trained.copy(tmp_path).url)
    yield store
    store.close()


def train(store: Store, model: str, folder: Path) -> Saved:
    request = TrainingRequest(model=model, folder=str(folder / "bundles"), checkpoints=folder / "checkpoints")
    return [fact for fact in train_from_store(store, PLAN, request) if isinstance(fact, Saved)][-1]


@pytest.mark.usefixtures("rows")
def test_it_is_trained_served_batched_evaluated_and_explained(store: Store, tmp_path: Path) -> None:
    saved = train(store, "next-row", tmp_path)
    assert saved.bundle.part("next-row").figures["validation_ndcg@10"] >= 0
    recommender = Recommender(store, bundle=saved.uri)
    options = Options(k=2, explain=True, include_seen=True)
    item_ids = recommender.catalogue.item_ids
    answer = recommender.recommend(history=[item_ids[7], item_ids[3]], options=options)
    assert [(item.item_id, item.source) for item in answer.items] == [(i, "next-row") for i in item_ids[4:6]]
    assert [reason.item_id for reason in answer.items[0].because or ()] == [item_ids[3]]

    user = store.users(limit=1)[0]
    *_, _done = recommend_all(recommender, store, tmp_path / "out.parquet", options=Options(k=3))
    batch = [row for row in pq.read_table(tmp_path / "out.parquet").to_pylist() if row["user_id"] == user]
    served = recommender.recommend(user_id=user, options=Options(k=3))
    assert [row["item_id"] for row in batch] == [item.item_id for item in served.items]
    recommender.close()

    figures = {m.name: m for m in evaluate(store, uri=saved.uri) if isinstance(m, PartMetrics)}
    assert 0 < figures["next-row"].ndcg.mean() < figures["markov"].ndcg.mean()


@pytest.mark.slow
@pytest.mark.usefixtures("rows")
def test_it_is_a_candidate_of_the_blend(store: Store, tmp_path: Path) -> None:
    bundle = train(store, "blend", tmp_path).bundle
    assert "next-row" in bundle.parts
    assert "next-row" in bundle.part("blend").figures["with_minus_without"]
