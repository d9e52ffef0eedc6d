"""From the store to a bundle: resumed, composed from parts, or refused."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle
from recsys.data.build import dataset
from recsys.encoders.base import text_hash
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.inputs import check_trained_on, load_inputs
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.plan import Plan, Progress
from tests.worlds import PLAN, Planted

SHORT_TEXT = replace(PLAN, overrides={name: {"loop": {"epochs": 4}} for name in ("sasrec", "sasrec-text")})
SHORT = replace(PLAN, overrides={name: {"loop": {"epochs": 3}} for name in ("sasrec", "sasrec-hybrid")})


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Store:
    return Store.open(trained.copy(tmp_path).url)


def request(
    model: str, folder: Path, checkpoints: Path, *, name: str | None = None, include: tuple[str, ...] = ()
) -> TrainingRequest:
    return TrainingRequest(model=model, folder=str(folder), checkpoints=checkpoints, name=name, include=include)


def run(
    store: Store,
    folder: Path,
    *,
    model: str,
    plan: Plan = SHORT,
    name: str | None = None,
    include: tuple[str, ...] = (),
) -> Saved:
    job = request(model, folder / "bundles", folder / "checkpoints", name=name, include=include)
    facts = train_from_store(store, plan, job)
    saved = [fact for fact in facts if isinstance(fact, Saved)]
    assert len(saved) == 1
    return saved[0]


def test_the_manifest_says_how_the_bundle_came_about(trained: Planted) -> None:
    bundle = load_bundle(trained.bundle)
    assert bundle.about["protocol"] == "leave-one-out"
    assert bundle.about["data"]["events"] == 1500
    assert bundle.about["seed"] == 0
    assert len(bundle.about["text_encoder_hash"]) == 64
    assert bundle.about["include_seen"] is False
    assert bundle.texts[0] == text_hash(load_inputs(Store.open(trained.url), PLAN).data.texts[0])


@pytest.mark.parametrize(
    ("seen", "first"), [(5, "fit epoch 3"), (8, "refit epoch 1"), (9, "refit epoch 2")]
)  # of the first three lines, 5 epochs with validation, 2 of the refit
def test_an_interrupted_run_is_resumed_to_the_same_bits(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: int, first: str
) -> None:
    plan = replace(PLAN, overrides={"sasrec": {"loop": {"epochs": 5}}})

    def best_is_the_second() -> None:
        figures = iter([0.1, 0.5, 0.4, 0.3, 0.2])
        monkeypatch.setattr("recsys.training.sequence._validate", lambda *_, **__: next(figures))

    best_is_the_second()
    whole = run(store, tmp_path / "whole", model="sasrec", plan=plan)
    assert whole.bundle.parts["sasrec"].config["recipe"]["loop"]["stop"] == 2
    best_is_the_second()
    job = request("sasrec", tmp_path / "b", tmp_path / "c")
    facts = train_from_store(store, plan, job)
    assert isinstance([next(facts) for _ in range(seen)][-1], Progress)
    facts.close()
    again = list(train_from_store(store, plan, job, resume=True))
    messages = [fact.fact for fact in again if isinstance(fact, Progress)]
    assert not any("from the start" in fact for fact in messages)
    assert next(fact for fact in messages if "fit epoch" in fact).startswith(first)
    assert isinstance(again[-1], Saved)
    assert again[-1].bundle.parts["sasrec"].hash == whole.bundle.parts["sasrec"].hash
    assert not list((tmp_path / "c").glob("*"))


@pytest.mark.parametrize("model", ["markov", "item-text", "set"])
def test_a_run_of_which_nothing_is_kept_is_said_to_start_over(store: Store, tmp_path: Path, model: str) -> None:
    facts = train_from_store(store, PLAN, request(model, tmp_path / "b", tmp_path / "c"), resume=True)
    said = next(fact.fact for fact in facts if isinstance(fact, Progress) and "no checkpoint" in fact.fact)
    facts.close()
    changed = "(its settings or data may have changed)"
    assert said == f"{tmp_path / 'c'} holds no checkpoint of this run {changed}: from the start"


def interrupted(store: Store, tmp_path: Path, model: str) -> TrainingRequest:
    """A run of the model that was stopped after its first checkpoint."""
    job = request(model, tmp_path / "b", tmp_path / "c")
    facts = train_from_store(store, SHORT_TEXT, job)
    while "fit epoch 2" not in getattr(next(facts), "fact", ""):
        pass
    facts.close()
    return job


def retitle(store: Store) -> None:
    """Gives every item the text of another."""
    items = [item for page in store.items() for item in page]
    store.put_items(
        [
            ItemDraft(item_id=item.item_id, title=f"changed {other.title}", attributes=other.attributes)
            for item, other in zip(items, items[::-1], strict=True)
        ]
    )


def change_domain(store: Store) -> None:
    store.put_items([ItemDraft(item_id="item-000", domain="elsewhere")])


def add_event(store: Store) -> None:
    store.add_events([EventDraft(user_id="late", item_id="item-000")])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (retitle, "the texts or domains of items have changed"),
        (change_domain, "the texts or domains of items have changed"),
        (add_event, "its items, events or lists have changed"),
    ],
)
def test_a_run_over_changed_data_starts_over_and_says_what_has_changed(
    store: Store, tmp_path: Path, change: Callable[[Store], None], why: str
) -> None:
    job = interrupted(store, tmp_path, "sasrec-text")
    change(store)
    again = [fact.fact for fact in train_from_store(store, SHORT_TEXT, job, resume=True) if isinstance(fact, Progress)]
    assert f"{tmp_path / 'c'} holds no checkpoint of this run ({why}): from the start" in again
    assert any(fact.startswith("fit epoch 1,") for fact in again)


def test_a_run_that_reads_no_texts_goes_on_over_changed_ones(store: Store, tmp_path: Path) -> None:
    job = interrupted(store, tmp_path, "sasrec")
    retitle(store)
    facts = train_from_store(store, SHORT_TEXT, job, resume=True)
    again = [fact.fact for fact in islice(facts, 4) if isinstance(fact, Progress)]
    facts.close()
    assert again[-1].startswith("fit epoch 3,")


def test_a_run_with_other_settings_says_so(store: Store, tmp_path: Path) -> None:
    job = interrupted(store, tmp_path, "sasrec")
    facts = train_from_store(store, replace(SHORT_TEXT, seed=1), job, resume=True)
    again = [fact.fact for fact in islice(facts, 4) if isinstance(fact, Progress)]
    facts.close()
    assert "(its settings have changed)" in again[-1]


@pytest.mark.slow
def test_a_part_that_read_other_texts_is_refused_and_one_that_read_none_is_not(store: Store, tmp_path: Path) -> None:
    uris = {name: run(store, tmp_path, model=name, name=name).uri for name in ("markov", "text")}
    retitle(store)
    plan = replace(SHORT, overrides={name: {"loop": {"epochs": 1}} for name in ("sasrec", "sasrec-hybrid")})
    with pytest.raises(
        BundleError, match="text-evaluation was trained on other texts or domains of items than the store holds"
    ):
        run(store, tmp_path, model="blend", plan=plan, include=(uris["text"],))
    blend = run(store, tmp_path, model="blend", plan=plan, include=(uris["markov"],))
    assert blend.bundle.parts["markov"].hash == load_bundle(uris["markov"]).parts["markov"].hash


@pytest.mark.parametrize(("text_encoder", "refused"), [("hashed", True), (None, False)])
def test_of_an_encoder_for_lists_its_settings_say_whether_it_read_texts(
    store: Store, text_encoder: str | None, refused: bool
) -> None:
    part = Part(name="lists/set", kind="set", config={"recipe": {"text_encoder": text_encoder}}, arrays={})
    data = dataset(store, holdout="none")
    about = {"data": {"hash": data.hash, "events_hash": data.events_hash}}
    bundle = Bundle(parts={part.name: part}, default=part.name, item_ids=data.item_ids, about=about)
    check_trained_on(bundle, data, [part])
    changed = replace(data, texts=("changed", *data.texts[1:]))
    with pytest.raises(BundleError, match="other texts or domains") if refused else nullcontext():
        check_trained_on(bundle, changed, [part])


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_over(store: Store, tmp_path: Path) -> None:
    job = request("sasrec", tmp_path / "b", tmp_path / "c")
    facts = train_from_store(store, PLAN, job)
    while "epoch 1" not in getattr(next(facts), "fact", ""):
        pass
    facts.close()
    assert [path.suffix for path in (tmp_path / "c").rglob("*.*")].count(".lock") == 1
    for path in (tmp_path / "c").rglob("*.ckpt"):
        path.unlink()
    again = train_from_store(store, PLAN, job, resume=True)
    assert any("from the start" in getattr(fact, "fact", "") for fact in islice(again, 4))
    again.close()


@pytest.mark.slow
def test_a_blend_takes_parts_trained_before(store: Store, tmp_path: Path) -> None:
    uris = tuple(run(store, tmp_path, model=name, name=name).uri for name in ("sasrec", "sasrec-hybrid"))
    blend = run(store, tmp_path, model="blend", include=uris)
    for name, uri in zip(("sasrec", "sasrec-hybrid"), uris, strict=True):
        assert blend.bundle.parts[name].hash == load_bundle(uri).parts[name].hash
    assert {"blend", "simple-blend", "plain-blend"} <= set(blend.bundle.parts)


def test_parts_of_other_events_are_refused(store: Store, tmp_path: Path) -> None:
    uri = run(store, tmp_path, model="markov", name="markov").uri
    store.add_events([EventDraft(user_id="late", item_id="item-000")])
    with pytest.raises(BundleError, match="other items or events"):
        run(store, tmp_path, model="blend", include=(uri,))


def test_a_taken_place_is_refused(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, model="popular", name="mine")
    with pytest.raises(BundleError, match="there already"):
        run(store, tmp_path, model="popular", name="mine")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sasrec": {"tau": 1}}, r"\[sasrec\] has no setting 'tau': choose one of items"),
        ({"sasrec": {"encoder": {"dim": "wide"}}}, r"\[sasrec.encoder\] dim='wide'"),
        ({"sasrec": {"loop": 3}}, r"write it as a table \[sasrec.loop\]"),
        ({"sasrecc": {}}, "unknown model 'sasrecc'"),
        ({"sasrec": {"encoder": {"layers": 0}}}, r"\[sasrec.encoder\] .*must be at least 1"),
        ({"sasrec": {"loop": {"accumulate": 0}}}, r"\[sasrec.loop\] accumulate=0: must be at least 1"),
        ({"sasrec": {"temperature": 0.0}}, r"\[sasrec\] temperature=0.0: must be at least 0.001"),
        ({"sasrec": 3}, r"write the settings of a part as a table \[sasrec\]"),
        ({"ease": {"rigde": 1.0}}, r"\[ease\] has no setting 'rigde'"),
        ({"ease": {"keep": 0}}, r"\[ease\] keep=0: must be at least 1"),
        ({"ease": {"decay": 1.5}}, r"\[ease\] decay=1.5: must lie between 0 and 1"),
    ],
)
def test_settings_that_do_not_exist_are_refused(
    store: Store, tmp_path: Path, overrides: dict[str, dict[str, object]], message: str
) -> None:
    model = "ease" if "ease" in overrides else "sasrec"
    with pytest.raises(InvalidRequest, match=message):
        run(store, tmp_path, model=model, plan=replace(PLAN, overrides=overrides))


def test_a_model_that_does_not_exist_is_said_before_anything_is_read(store: Store, tmp_path: Path) -> None:
    facts = train_from_store(store, PLAN, request("bert", tmp_path, tmp_path))
    with pytest.raises(InvalidRequest, match="unknown model 'bert'"):
        next(facts)


def test_settings_of_a_source_are_fixed_and_the_rest_is_chosen(store: Store, tmp_path: Path) -> None:
    saved = run(store, tmp_path, model="ease", plan=replace(PLAN, overrides={"ease": {"ridge": 77.0}}))
    assert saved.bundle.parts["ease"].config["fit"]["ease"]["ridge"] == 77.0


def test_too_little_to_learn_from_is_said(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/s.db")
    store = Store.open(f"sqlite:///{tmp_path}/s.db")
    with pytest.raises(NotReady, match="no events"):
        run(store, tmp_path, model="popular")
    store.put_items([ItemDraft(item_id="a")])
    store.add_events([EventDraft(user_id="u", item_id="a"), EventDraft(user_id="u", item_id="a")])
    with pytest.raises(NotReady, match="3 or more events"):
        run(store, tmp_path, model="popular")
    store.close()
