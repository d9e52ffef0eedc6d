"""An evaluation asks the served path, compares fairly and refuses what it cannot measure."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.history import History
from recsys.data.splits import EvalCases, split_by_fold
from recsys.errors import BundleError, NotReady
from recsys.evaluation.plots import save_plots
from recsys.evaluation.ranking_eval import PartMetrics, measure
from recsys.evaluation.report import Report, report
from recsys.evaluation.run import evaluate
from recsys.metrics.ranking import hits
from recsys.retrieval.registry import kinds
from recsys.retrieval.serving import popular_only
from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.inputs import load_inputs
from recsys.training.job import Saved, TrainingRequest, train_from_store
from tests.worlds import PLAN, Planted

BASELINES = kinds(lambda can: can.baseline and can.default_blend and not can.only_repeats)


@pytest.fixture(scope="module")
def found(trained: Planted) -> Report:
    store = Store.open(trained.url)
    report = list(evaluate(store))[-1]
    store.close()
    assert isinstance(report, Report)
    return report


def test_planted_structure_is_found_and_popularity_finds_nothing(found: Report) -> None:
    rows = {row.name: row for row in found.rows}
    assert rows["blend"].hit.mean > 0.75  # .8 follow the successor
    assert rows["markov"].hit.mean > 0.75
    assert rows["popular"].hit.mean < 0.45
    assert {*BASELINES, "simple-blend", "plain-blend", "sasrec", "sasrec-hybrid"} <= set(rows)


def test_the_figure_is_that_of_the_answers_served(trained: Planted, found: Report, tmp_path: Path) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    recommender = Recommender(store)
    cases = split_by_fold(load_inputs(store, PLAN).data).test
    hit = []
    for history, target in zip(cases.histories, cases.targets, strict=True):
        item_ids = [recommender.catalogue.item_ids[row] for row in history.rows]
        answer = recommender.recommend(history=item_ids, options=Options(k=10))
        hit.append(recommender.catalogue.item_ids[target] in [item.item_id for item in answer.items])
    recommender.close()
    store.close()
    served = next(row for row in found.rows if row.name == "blend")
    assert np.mean(hit) == pytest.approx(served.hit.mean, abs=1e-9)


@pytest.mark.slow
def test_a_one_part_bundle_is_measured_beside_all_baselines(trained: Planted, tmp_path: Path) -> None:
    mine = trained.copy(tmp_path)
    store = Store.open(mine.url)
    facts = train_from_store(
        store, PLAN, TrainingRequest(model="markov", folder=str(tmp_path / "b"), name="m", checkpoints=tmp_path / "c")
    )
    saved = [fact for fact in facts if isinstance(fact, Saved)][-1]
    report = list(evaluate(store, uri=saved.uri))[-1]
    assert isinstance(report, Report)
    assert {row.name for row in report.rows} == {*BASELINES, "simple-blend", "plain-blend"}
    store.close()


def test_texts_that_changed_after_training_are_refused(trained: Planted, tmp_path: Path) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    store.put_items([ItemDraft(item_id="item-000", title="another title")])
    with pytest.raises(BundleError, match="trained on other texts or domains of items than the store holds now"):
        list(evaluate(store))
    store.close()


def test_a_bundle_that_has_learned_everything_is_measured_by_its_evaluation_bundle(
    trained: Planted, tmp_path: Path, found: Report
) -> None:
    bundle = load_bundle(trained.bundle)
    popular = replace(bundle, parts={"popular": bundle.parts["popular"]}, default="popular")
    uri = save_bundle(replace(popular, about=bundle.about | {"evaluation_bundle": trained.bundle}), str(tmp_path))
    store = Store.open(trained.url)
    report = list(evaluate(store, uri=uri))[-1]
    assert report == found
    gone = replace(popular, about=bundle.about | {"evaluation_bundle": str(tmp_path / "gone")})
    with pytest.raises(BundleError, match="is measured by its evaluation bundle: no bundle at"):
        list(evaluate(store, uri=save_bundle(gone, str(tmp_path))))
    store.close()


def test_without_a_bundle_there_is_nothing_to_measure(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/e.db")
    store = Store.open(f"sqlite:///{tmp_path}/e.db")
    with pytest.raises(NotReady, match="recsys train blend"):
        list(evaluate(store))
    store.close()


def a_measured(name: str, ndcg: list[float]) -> PartMetrics:
    values = np.array(ndcg)
    return PartMetrics(name, values, hits(1 / np.maximum(values, 1e-3)), values, 0.5, values, 0.1)


def test_rows_come_best_first_and_are_compared_user_by_user() -> None:
    generator = np.random.default_rng(0)
    base = generator.random(500)
    made = report(
        [a_measured("weak", list(base)), a_measured("strong", list(base + 0.01))],
        reference="weak",
        headline="strong",
        protocol="leave-one-out",
        items=9,
        seed=0,
        bundle=None,
    )
    assert [row.name for row in made.rows] == ["strong", "weak"]
    assert made.rows[1].difference is None
    difference = made.rows[0].difference
    assert difference is not None
    assert difference.low == pytest.approx(0.01)  # users differ a lot, the pairs not at all
    assert made.rows[0].ndcg.low < made.rows[1].ndcg.mean


def test_report_and_plot_are_written(found: Report, tmp_path: Path) -> None:
    content = json.loads(found.save(tmp_path / "new" / "folder").read_text())
    assert content["rows"][0]["ndcg"]["mean"] == found.rows[0].ndcg.mean
    plots = save_plots(found, tmp_path)
    assert [plot.name for plot in plots] == ["ndcg.png", "difference.png"]
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots)


@pytest.mark.slow
def test_a_temporal_protocol_learns_from_before_the_cut_alone(trained: Planted, tmp_path: Path) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    plan = replace(PLAN, protocol="temporal")
    facts = train_from_store(
        store, plan, TrainingRequest(model="markov", folder=str(tmp_path / "b"), name="m", checkpoints=tmp_path / "c")
    )
    saved = [fact for fact in facts if isinstance(fact, Saved)][-1]
    report = list(evaluate(store, uri=saved.uri))[-1]
    data = load_inputs(store, plan).data
    assert isinstance(report, Report)
    assert report.protocol == "temporal"
    assert data.at[data.folds == 2].min() > data.at[data.folds < 2].max()
    assert report.users == len(set(split_by_fold(data).test.users))
    store.close()


def test_a_user_who_has_seen_all_is_measured_without_a_figure_that_is_no_number() -> None:
    cases = EvalCases(("u",), (History.undated(np.arange(3)),), np.array([0]))
    counts = np.ones(3, dtype=np.int64)
    (row,) = measure(popular_only(counts), cases, items=3, include_seen=False, counts=counts)
    assert (row.coverage, row.popular_share) == (0, 0)
