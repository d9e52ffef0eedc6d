"""A list encoder has to earn its place in the continuation, and has to have learned nothing of what it is weighed on."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from string import ascii_lowercase

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from api.app import create_app
from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_evaluation_bundle, save_bundle
from recsys.data.dataset import Dataset
from recsys.data.playlists import Playlists, split_playlists, with_folds
from recsys.encoders.hashed import HashedNgrams
from recsys.errors import BundleError
from recsys.indexes.index import empty_result
from recsys.retrieval.explanation import Reason
from recsys.retrieval.popular import PopularConfig, fit_popular
from recsys.retrieval.source import Candidates, Query, Scores
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.lists import fusion
from recsys.training.lists.ablation import marginal_gain
from recsys.training.lists.blend import train_list_parts
from recsys.training.lists.set_encoder import train_sets
from recsys.training.lists.sources import ListInputs, fit_list_markov
from recsys.training.plan import Plan, Progress, RunContext
from tests.training.lists.worlds import SETS, dataset, trained
from tests.worlds import PLAN, Planted

LISTS = with_folds(Playlists(data=dataset(), names=(None,) * len(dataset())), seed=0)
FOLDS = split_playlists(LISTS)


class Knowing:
    """Proposes nothing; `right` scores what the list called by its first items holds, else chance."""

    def __init__(self, *, right: bool) -> None:
        self.right = right
        self.items = {rows[0]: set(rows.tolist()) for rows in FOLDS.validation.rows()}

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return Candidates(*empty_result(len(queries), k=k))

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        if not self.right:
            return np.random.default_rng(0).random(rows.shape).astype(np.float32)
        known = [
            [float(row in self.items[query.history.rows[0]]) for row in candidates]
            for query, candidates in zip(queries, rows, strict=True)
        ]
        return np.array(known, dtype=np.float32)

    def explain(self, query: Query, rows: NDArray[np.int64]) -> list[tuple[Reason, ...]]:
        raise AssertionError(f"an ablation explains nothing: {query}, {rows}")


def test_what_helps_has_an_interval_above_nothing_and_chance_has_not() -> None:
    popular = fit_popular(FOLDS.fit.data, PopularConfig(), kind="list-popular")
    sources = [popular, fit_list_markov(ListInputs(lists=FOLDS.fit, seed=0))]
    helps = marginal_gain(sources, Knowing(right=True), FOLDS.validation, seed=0)
    assert 0 < helps.low < helps.mean < helps.high
    assert not marginal_gain(sources, Knowing(right=False), FOLDS.validation, seed=0).low > 0
    none = FOLDS.validation.only(np.zeros(len(FOLDS.validation), dtype=np.bool_))
    assert np.isnan(marginal_gain(sources, Knowing(right=True), none, seed=0).low)


def test_an_encoder_is_blended_or_left_out_by_its_interval_and_stays_to_compare_lists() -> None:
    part = trained("set", epochs=2).part("lists/set")
    *_, parts = train_list_parts(LISTS, Plan(text_encoder="hashed", include_seen=False), encoders={part.name: part})
    assert isinstance(parts, dict)
    gain, fusion = parts["lists/set"].figures["with_minus_without"], parts["lists/continue"].config
    assert ("set" in fusion["sources"]) == (gain["low"] > 0)
    assert fusion["left_out"] == ({} if gain["low"] > 0 else {"set": gain["mean"]})
    assert parts["lists/set"].hash == part.hash


KINDS, EACH = 120, 4


@cache
def texts_alone() -> Playlists:
    """Each list is all there is of one kind, which its items' texts name: ids say nothing of a list that was not learned."""
    random, items = Random(0), KINDS * EACH
    kinds = ["".join(random.choices(ascii_lowercase, k=10)) for _ in range(KINDS)]
    data = Dataset(
        item_ids=tuple(f"item-{row}" for row in range(items)),
        texts=tuple(f"{kinds[row // EACH]} {row % EACH}" for row in range(items)),
        users=tuple(f"list-{number}" for number in range(KINDS)),
        starts=np.arange(KINDS + 1) * EACH,
        rows=np.concatenate([random.sample(range(start, start + EACH), EACH) for start in range(0, items, EACH)]),
        at=np.full(items, np.nan),
        folds=np.zeros(items, dtype=np.uint8),
    )
    return with_folds(Playlists(data=data, names=(None,) * KINDS), seed=0)


@cache
def reads_texts() -> Part:
    """A set encoder that was trained on the lists to fit on, by texts."""
    lists = texts_alone()
    recipe = replace(SETS, items="text", text_encoder="hashed", min_count=1, completion=None)
    text = HashedNgrams().encode_documents(lists.data.texts)
    *_, part = train_sets(
        recipe, fit=split_playlists(lists).fit.data, validation=None, text=text, context=RunContext(name="set")
    )
    assert isinstance(part, Part)
    return part


@pytest.mark.slow
@pytest.mark.parametrize("helps", [True, False])
def test_an_encoder_that_helps_is_blended_and_one_that_talks_at_random_is_off_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helps: bool
) -> None:
    """The same encoder, once with the vectors of its items shuffled, where four lists are enough to fit weights on."""
    monkeypatch.setattr(fusion, "MIN_CASES", 1)
    part, lists = reads_texts(), texts_alone()
    if not helps:
        shuffled = np.random.default_rng(0).permutation(part.arrays["item_vectors"])
        part = replace(part, arrays=part.arrays | {"item_vectors": shuffled})
    plan = Plan(text_encoder="hashed", include_seen=False)
    *facts, parts = train_list_parts(lists, plan, encoders={part.name: part})
    (fact,) = (fact.fact for fact in facts if isinstance(fact, Progress) and fact.part == part.name)
    assert fact.startswith("with minus without, R-precision: ")
    assert fact.endswith(": kept" if helps else ": left out")
    assert isinstance(parts, dict)
    about = {"seed": 0, "text_encoder": "hashed"}
    bundle = Bundle(parts=parts, default="lists/continue", item_ids=lists.data.item_ids, about=about)
    uri = save_bundle(bundle, str(tmp_path), name="weighed")
    upgrade(f"sqlite:///{tmp_path}/recsys.db")
    store = Store.open(f"sqlite:///{tmp_path}/recsys.db")
    store.put_items(
        [
            ItemDraft(item_id=item_id, title=text)
            for item_id, text in zip(lists.data.item_ids, lists.data.texts, strict=True)
        ]
    )
    withheld, completed = split_playlists(lists).test.rows(), list[bool]()
    with TestClient(create_app(Recommender(store, bundle=uri))) as client:
        models = {model["name"]: model for model in client.get("/v1/models").json()["lists"]}
        gain, blend = models["set"]["figures"]["with_minus_without"], models["continue"]["settings"]
        assert (gain["low"] > 0) == helps
        assert ("set" in blend["sources"]) == helps
        assert blend["left_out"] == ({} if helps else {"set": gain["mean"]})
        for rows in withheld:
            body = {"item_ids": [f"item-{rows[0]}"], "k": EACH - 1}
            (alternative,) = client.post("/v1/playlists/continue", json=body).json()["alternatives"]
            assert all(("set" in item["sources"]) == helps for item in alternative["items"])
            completed.append({item["item_id"] for item in alternative["items"]} == {f"item-{row}" for row in rows[1:]})
        assert np.mean(completed) > 0.9 if helps else np.mean(completed) < 0.5
        named = client.post("/v1/playlists/continue", json=body | {"encoder": "set"})
        assert named.json()["encoder"] == "set"  # by its name it answers all the same
    store.close()


def test_where_too_few_lists_are_withheld_that_is_said() -> None:
    few = texts_alone().only(np.arange(KINDS) < 20)
    part = reads_texts()
    *facts, parts = train_list_parts(few, Plan(text_encoder="hashed", include_seen=False), encoders={part.name: part})
    assert isinstance(parts, dict)
    assert parts["lists/continue"].config["left_out"] == {"set": None}
    assert parts["lists/set"].figures["with_minus_without"] is None
    (fact,) = (fact.fact for fact in facts if isinstance(fact, Progress) and fact.part == part.name)
    assert fact.endswith("lists are too few to tell: left out")


@pytest.fixture(scope="module")
def encoder(trained: Planted, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of a small list encoder over the planted store."""
    folder = tmp_path_factory.mktemp("encoder")
    store = Store.open(trained.copy(folder).url)
    small = {"loop": {"epochs": 1}, "negatives": 20, "encoder": {"dim": 8}, "items": "id", "completion": False}
    plan = replace(PLAN, overrides={"set": small})
    *_, saved = train_from_store(
        store, plan, TrainingRequest(model="set", folder=str(folder), checkpoints=folder / "c")
    )
    store.close()
    assert isinstance(saved, Saved)
    return saved.uri


@pytest.mark.slow
def test_what_an_encoder_adds_is_published_and_it_stays_off_where_that_is_not_above_nothing(
    trained: Planted, encoder: str, tmp_path: Path
) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    short = replace(PLAN, overrides={name: {"loop": {"epochs": 1}} for name in ("sasrec", "sasrec-hybrid")})
    *_, saved = train_from_store(
        store,
        short,
        TrainingRequest(model="blend", folder=str(tmp_path), include=(encoder,), checkpoints=tmp_path / "c"),
    )
    assert isinstance(saved, Saved)
    with TestClient(create_app(Recommender(store, bundle=saved.uri))) as client:
        models = {part["name"]: part for part in client.get("/v1/models").json()["lists"]}
    gain, fusion = models["set"]["figures"]["with_minus_without"], models["continue"]["settings"]
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert ("set" in fusion["sources"]) == (gain["low"] > 0)
    assert fusion["left_out"] == ({} if gain["low"] > 0 else {"set": gain["mean"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 7}, "withheld the lists of seed 7, not 0"),
        ({"data": {"hash": "other"}}, "trained on other lists or items"),
    ],
)
def test_an_encoder_that_may_have_learned_what_it_is_weighed_on_is_refused(
    trained: Planted, encoder: str, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    bundle = load_evaluation_bundle(encoder)
    uri = save_bundle(replace(bundle, about=bundle.about | change), str(tmp_path), name="changed")
    store = Store.open(trained.copy(tmp_path).url)
    with pytest.raises(BundleError, match=message):
        list(
            train_from_store(
                store,
                PLAN,
                TrainingRequest(model="blend", folder=str(tmp_path), include=(uri,), checkpoints=tmp_path / "c"),
            )
        )
    with pytest.raises(BundleError, match="encodes lists, and this run has none"):
        list(
            train_from_store(
                store,
                PLAN,
                TrainingRequest(model="markov", folder=str(tmp_path), include=(encoder,), checkpoints=tmp_path),
            )
        )
    store.close()
