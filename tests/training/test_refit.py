"""Two bundles from one run: the one that is measured, and the one with the same settings that has learned everything."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle
from recsys.data.playlists import playlists
from recsys.data.splits import split_by_fold
from recsys.errors import BundleError
from recsys.store import Store
from recsys.store.records import EventDraft
from recsys.training.job import Saved, train_from_store
from recsys.training.lists.encoders import POOLINGS, EncoderInputs
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES
from recsys.training.tuning import FitInputs
from tests.retrieval.kinds import SINGLE, SMALL
from tests.retrieval.worlds import World
from tests.retrieval.worlds import world as planted_world
from tests.training.test_job import SHORT, request, run
from tests.worlds import PLAN, Planted

TINY = replace(PLAN, overrides={name: {"loop": {"epochs": 2}} for name in ("sasrec", "sasrec-hybrid")})


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Store:
    return Store.open(trained.copy(tmp_path).url)


@pytest.fixture(scope="module")
def pair(trained: Planted, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """The evaluation and the deployed bundle of a blend, read back."""
    folder = tmp_path_factory.mktemp("pair")
    store = Store.open(trained.copy(folder).url)
    saved = run(store, folder, model="blend", plan=TINY, name="mine")
    states = {record.uri: record.state for record in store.bundles()}
    assert {states[saved.uri], states[f"{saved.uri}-evaluation"]} == {"staged"}
    store.close()
    return load_bundle(f"{saved.uri}-evaluation"), load_bundle(saved.uri)


def events_counted(bundle: Bundle, name: str) -> float:
    return float(np.expm1(bundle.parts[name].arrays["scores"]).sum())


@pytest.mark.slow
def test_the_deployed_bundle_has_learned_every_event_and_every_list(pair: tuple[Bundle, Bundle]) -> None:
    evaluation, deployed = pair
    assert events_counted(evaluation, "popular") == pytest.approx(1500 - 150)
    assert events_counted(deployed, "popular") == pytest.approx(1500)
    assert events_counted(evaluation, "lists/popular") < events_counted(deployed, "lists/popular")
    for name in ("markov", "item-neighbours", "ease", "als", "sasrec", "sasrec-hybrid", "lists/neighbours"):
        assert deployed.parts[name].hash != evaluation.parts[name].hash, name


@pytest.mark.slow
def test_the_deployed_bundle_has_the_settings_and_the_figures_of_the_evaluation_bundle(
    pair: tuple[Bundle, Bundle],
) -> None:
    evaluation, deployed = pair
    assert evaluation.evaluation_uri is None
    assert deployed.evaluation_uri == evaluation.uri
    assert list(deployed.parts) == list(evaluation.parts)
    for name, part in evaluation.parts.items():
        assert deployed.parts[name].config == part.config, name
        assert deployed.parts[name].figures == part.figures | {"measured_on": evaluation.uri}, name
    assert deployed.parts["blend"].hash == evaluation.parts["blend"].hash  # the weights chosen on validation
    assert deployed.about == evaluation.about | {"evaluation_bundle": evaluation.uri}
    assert evaluation.about["data"]["last_event"] == 1500


def test_without_a_refit_there_is_one_bundle_which_withholds_events(store: Store, tmp_path: Path) -> None:
    job = replace(request("popular", tmp_path / "b", tmp_path / "c", name="mine"), refit=False)
    *_, saved = train_from_store(store, PLAN, job)
    assert isinstance(saved, Saved)
    assert events_counted(saved.bundle, "popular") == pytest.approx(1500 - 150)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_kill_during_the_refit_resumes_the_refit_alone(store: Store, tmp_path: Path, name: str | None) -> None:
    job = request("sasrec", tmp_path / "b", tmp_path / "c", name=name)
    facts = train_from_store(store, SHORT, job)
    while not getattr(next(facts), "fact", "").startswith("deploy epoch 1"):
        pass
    facts.close()
    *facts_after, saved = train_from_store(store, SHORT, job, resume=True)
    assert isinstance(saved, Saved)
    epochs = [fact.fact for fact in facts_after if isinstance(fact, Progress) and "epoch" in fact.fact]
    assert epochs
    assert all(epoch.startswith("deploy epoch") and "epoch 1" not in epoch for epoch in epochs)
    assert saved.bundle.evaluation_uri == f"{saved.uri}-evaluation"
    whole = run(store, tmp_path / "whole", model="sasrec")
    assert saved.bundle.parts["sasrec"].hash == whole.bundle.parts["sasrec"].hash
    assert not list((tmp_path / "c").glob("*"))


def test_an_evaluation_bundle_that_is_gone_is_trained_again(store: Store, tmp_path: Path) -> None:
    job = request("markov", tmp_path / "b", tmp_path / "c")
    facts = train_from_store(store, SHORT, job)
    while "fitting on everything" not in getattr(next(facts), "fact", ""):
        pass
    facts.close()
    shutil.rmtree(tmp_path / "b")
    *facts_after, saved = train_from_store(store, SHORT, job, resume=True)
    assert isinstance(saved, Saved)
    assert any("trained again: no bundle at" in fact.fact for fact in facts_after if isinstance(fact, Progress))
    assert load_bundle(f"{saved.uri}-evaluation").default == "markov"


def test_a_name_that_an_interrupted_run_has_taken_is_refused_without_resume(store: Store, tmp_path: Path) -> None:
    job = request("markov", tmp_path / "b", tmp_path / "c", name="mine")
    facts = train_from_store(store, SHORT, job)
    while "fitting on everything" not in getattr(next(facts), "fact", ""):
        pass
    facts.close()
    with pytest.raises(BundleError, match="mine-evaluation is there already"):
        next(train_from_store(store, SHORT, job))


@pytest.mark.slow
def test_a_part_that_was_deployed_is_taken_in_as_it_is(store: Store, tmp_path: Path) -> None:
    part = run(store, tmp_path, model="sasrec", name="sasrec", plan=TINY)
    blend = run(store, tmp_path, model="blend", include=(part.uri,), plan=TINY)
    evaluation = load_bundle(f"{blend.uri}-evaluation")
    assert blend.bundle.parts["sasrec"].hash == part.bundle.parts["sasrec"].hash
    assert evaluation.parts["sasrec"].hash == load_bundle(f"{part.uri}-evaluation").parts["sasrec"].hash
    assert blend.bundle.parts["sasrec"].figures["measured_on"] == evaluation.uri


@pytest.mark.slow
def test_a_part_without_a_refit_is_refitted_with_its_own_settings(store: Store, tmp_path: Path) -> None:
    plan = replace(PLAN, overrides={"sasrec": {"loop": {"epochs": 3}, "encoder": {"dim": 16}}})
    job = replace(request("sasrec", tmp_path / "b", tmp_path / "c", name="sasrec"), refit=False)
    *_, part = train_from_store(store, plan, job)
    assert isinstance(part, Saved)
    blend = run(store, tmp_path, model="blend", include=(part.uri,), plan=TINY)
    deployed = blend.bundle.parts["sasrec"]
    assert deployed.config == part.bundle.parts["sasrec"].config
    assert deployed.config["recipe"]["encoder"]["dim"] == 16
    assert deployed.hash != part.bundle.parts["sasrec"].hash


@pytest.fixture(scope="module")
def world() -> World:
    return planted_world()


def refitted(part: Part, inputs: Any, plan: Plan) -> Part:
    """The part fitted again with what a manifest says of it."""
    refit = RECIPES[part.kind].refit
    assert refit is not None
    *_, again = refit(replace(part, config=json.loads(json.dumps(part.config))), inputs, plan)
    assert isinstance(again, Part)
    return again


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE)
def test_a_refit_on_the_same_events_gives_the_same_part(name: str, world: World) -> None:
    table = SMALL.get(name, {})
    plan = Plan(text_encoder="hashed", include_seen=False, epochs=3, overrides={name: table})
    folds = split_by_fold(world.dataset)
    *_, fit = RECIPES[name].train(name, HistoryInputs(folds=folds, text=world.text), plan)
    assert isinstance(fit, TwoStageFit)
    inputs = FitInputs(dataset=folds.refit, text=world.text, seed=0)
    again = refitted(fit.refit, inputs, replace(plan, epochs=None, overrides={}))
    assert again.hash == fit.refit.hash


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "table"), [("playlist-seq2seq", {}), *(("set", {"pooling": pooling}) for pooling in POOLINGS)]
)
def test_a_list_encoder_is_refitted_with_its_own_settings(name: str, table: dict[str, Any], trained: Planted) -> None:
    small = {"loop": {"epochs": 2}, "negatives": 20, "items": "id", "min_count": 2, "encoder": {"dim": 8}}
    plan = Plan(text_encoder="hashed", include_seen=False, overrides={name: small | table})
    store = Store.open(trained.url)
    inputs = EncoderInputs(lists=playlists(store, seed=0), text=None)
    store.close()
    *_, part = RECIPES[name].train(name, inputs, plan)
    assert isinstance(part, Part)
    deployed = refitted(part, inputs, replace(plan, overrides={}))
    recipe = part.config["recipe"]
    stopped = recipe["loop"] | {"stop": part.config["epochs"]}
    assert deployed.config["recipe"] == recipe | {"loop": stopped}
    assert deployed.hash != part.hash
    assert deployed.name == part.name


def test_the_deployed_bundle_learns_nothing_from_what_was_rejected(store: Store, tmp_path: Path) -> None:
    rejected = [EventDraft(user_id=f"user-{user:04d}", item_id="item-003", kind="dislike") for user in range(150)]
    store.add_events(rejected)
    deployed = run(store, tmp_path, model="popular").bundle
    assert deployed.evaluation_uri is not None
    scores = dict(zip(deployed.item_ids, deployed.parts["popular"].arrays["scores"], strict=True))
    assert scores["item-003"] == 0
    assert scores["item-004"] > 0
