"""Recipes over lists: what one epoch holds, who has an id, resuming, and the job from store to bundle."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from models.lists import CONTINUE, RECONSTRUCT
from recsys.bundle import Part
from recsys.bundle_io import load_bundle
from recsys.data.history import Rows
from recsys.data.playlists import Playlists, with_folds
from recsys.errors import InvalidRequest, TrainingError
from recsys.evaluation.probe_classifiers import probe_all
from recsys.retrieval.lists.encoder import DecodedList, DecodingConfig
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.retrieval.registry import kinds
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.lists.common import FrequentItems, completion_recall
from recsys.training.lists.seq2seq import _tasks, train_playlists
from recsys.training.lists.set_encoder import _batches
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.plan import Plan, RunContext
from tests.training.lists.worlds import ITEMS, PLAYLISTS, SETS, WORLD, dataset, trained

LISTS = [np.array(rows, dtype=np.int64) for rows in WORLD.lists]
LIST_MODELS = kinds(lambda can: can.decodes_lists)


def joined(lists: list[Rows]) -> Counter[int]:
    return Counter(np.concatenate(lists).tolist())


def test_an_epoch_writes_every_list_again_or_carries_it_on() -> None:
    tasks = list(_tasks(LISTS, PLAYLISTS, np.random.default_rng(0)))
    assert {task.begins for task in tasks} == {RECONSTRUCT, CONTINUE}
    whole = [
        np.concatenate([source, target]) if task.begins == CONTINUE else source
        for task in tasks
        for source, target in zip(task.sources, task.targets, strict=True)
    ]
    assert joined(whole) == joined(LISTS)
    for task in tasks:
        if task.begins == RECONSTRUCT:
            assert all(map(np.array_equal, task.sources, task.targets))
        else:
            assert min(map(len, task.sources)) > 0
            assert min(map(len, task.targets)) > 0


@pytest.mark.slow
def test_a_vector_tells_two_swapped_neighbours_of_a_list_that_was_never_learned() -> None:
    random, after = Random(0), Random(1).sample(range(ITEMS), ITEMS)

    def walk() -> list[int]:
        items = [random.randrange(ITEMS)]
        for _ in range(random.randrange(8, 20)):
            items.append(after[items[-1]] if random.random() < 0.85 else random.randrange(ITEMS))
        return items

    walks = dataset([walk() for _ in range(1500)], items=ITEMS)
    lists = with_folds(Playlists(data=walks, names=(None,) * len(walks)), seed=0)
    wide = replace(PLAYLISTS.encoder, hidden=48)
    loop = replace(PLAYLISTS.loop, epochs=12, learning_rate=5e-3)
    recipe = replace(PLAYLISTS, encoder=wide, loop=loop, tokens=512)
    fit = lists.only(lists.folds == 0).data
    *_, part = train_playlists(recipe, fit=fit, validation=None, text=None, context=RunContext(name="x"))
    assert isinstance(part, Part)
    encoder = Seq2seqListEncoder.from_part(part)
    options = {"attribute": None, "seeds": (0,), "only": "order, neighbours swapped"}
    (row,) = probe_all({"x": encoder}, lists, **options)  # type: ignore[arg-type]
    assert row.accuracy.low > 0.6


def test_an_epoch_masks_some_items_of_every_set_once() -> None:
    batches = list(_batches(LISTS, SETS, np.random.default_rng(0)))
    pairs = [pair for batch in batches for pair in zip(batch.inputs, batch.targets, strict=True)]
    assert joined([np.unique(np.concatenate(pair)) for pair in pairs]) == joined([np.unique(rows) for rows in LISTS])
    for inputs, targets in pairs:
        assert len(inputs) > 0
        assert 1 <= len(targets) == len(set(targets.tolist()))
        assert not set(inputs.tolist()) & set(targets.tolist())


def test_rare_items_have_no_id_and_are_left_out_of_the_lists() -> None:
    data = dataset([[0, 1, 2], [2, 1, 5], [1, 2, 1]])
    frequent = FrequentItems.of(data, min_count=3)
    assert frequent.rows.tolist() == [1, 2]
    assert [history.rows.tolist() for history in frequent.data.histories()] == [[0, 1], [1, 0], [0, 1, 0]]
    assert frequent.data.texts == (data.texts[1], data.texts[2])
    with pytest.raises(TrainingError, match="no item stands in lists 9 times: lower min_count"):
        FrequentItems.of(data, min_count=9)


@pytest.mark.parametrize("name", LIST_MODELS)
def test_an_item_that_was_never_met_is_unknown_by_its_id_and_known_by_its_text(name: str) -> None:
    assert trained(name).known.tolist() == [True] * ITEMS + [False, False]
    assert trained(name, kind="hybrid", epochs=2).known.all()


@pytest.mark.parametrize("name", LIST_MODELS)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    first, other = trained(name, epochs=1), trained(name, epochs=1, seed=1)
    trained.cache_clear()
    assert trained(name, epochs=1).hash == first.hash != other.hash


def test_a_run_that_was_cut_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    recipe = replace(PLAYLISTS, loop=LoopConfig(epochs=3, warmup_steps=5))
    validation = dataset(WORLD.lists[:20])

    def training(context: RunContext) -> Iterator[Epoch | Part]:
        return train_playlists(recipe, fit=dataset(), validation=validation, text=None, context=context)

    *_, whole = training(RunContext(name="x"))
    interrupted = training(RunContext(name="x", checkpoints=tmp_path))
    next(interrupted)
    interrupted.close()  # type: ignore[attr-defined]
    *_, resumed = training(RunContext(name="x", checkpoints=tmp_path, resume=True))
    assert isinstance(whole, Part)
    assert isinstance(resumed, Part)
    assert resumed.hash == whole.hash
    assert 0 < whole.figures["validation_ndcg@10"] < 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    url = f"sqlite:///{tmp_path_factory.mktemp('lists')}/recsys.db"
    upgrade(url)
    store = Store.open(url)
    data = dataset()
    store.put_items([ItemDraft(item_id=item_id, title=data.texts[row]) for row, item_id in enumerate(data.item_ids)])
    for number, rows in enumerate(WORLD.lists[:60]):
        store.put_playlist(f"list-{number}", None, [data.item_ids[row] for row in rows])
    return store


@pytest.mark.parametrize(("name", "kind"), list(zip(LIST_MODELS, (Seq2seqListEncoder, SetListEncoder), strict=True)))
def test_a_list_encoder_goes_from_the_store_into_a_bundle(
    name: str, kind: type[Seq2seqListEncoder] | type[SetListEncoder], store: Store, tmp_path: Path
) -> None:
    small = {"loop": {"epochs": 1}, "negatives": 20, "encoder": {"dim": 8}}
    plan = Plan(text_encoder="hashed", include_seen=False, overrides={name: small})
    facts = list(
        train_from_store(
            store, plan, TrainingRequest(model=name, folder=str(tmp_path), checkpoints=tmp_path / "checkpoints")
        )
    )
    saved = facts[-1]
    assert isinstance(saved, Saved)
    part = load_bundle(saved.uri).part(f"lists/{name}")
    encoder = kind.from_part(part)
    assert encoder.text_encoder == "hashed"
    assert encoder.encode([np.arange(4)]).any()
    assert any("have an id of their own" in str(fact) for fact in facts)
    assert part.figures["validation_ndcg@10"] >= 0


def test_a_set_encoder_alone_completes_by_its_own_ranking(store: Store, tmp_path: Path) -> None:
    small = {"loop": {"epochs": 1}, "negatives": 20, "items": "id", "completion": False, "pooling": "attention"}
    plan = Plan(text_encoder="hashed", include_seen=False, overrides={"set": small})
    *_, saved = train_from_store(
        store, plan, TrainingRequest(model="set", folder=str(tmp_path), checkpoints=tmp_path / "checkpoints")
    )
    assert isinstance(saved, Saved)
    encoder = SetListEncoder.from_part(saved.bundle.part("lists/set"))
    inputs, candidates = np.array([1, 5, 9]), np.arange(20, 40)
    decoded = encoder.decode(
        inputs, candidates=candidates, prior=None, groups=None, config=DecodingConfig(length=5, width=1)
    )[0]
    scores = encoder.next_scores([inputs], candidates[None])[0]
    assert decoded.rows.tolist() == candidates[np.argsort(-scores)[:5]].tolist()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"set": {"pooling": "maximum"}}, "pooling='maximum': choose one of process, deep-sets, attention"),
        ({"set": {"layers": 3}}, r"\[set\] has no setting 'layers'"),
        ({"set": {"pooling": "attention", "encoder": {"pooling": {"heads": 3}}}}, "does not split into heads=3"),
    ],
)
def test_settings_that_do_not_exist_are_refused_before_anything_is_read(
    table: dict[str, dict[str, object]], message: str, store: Store, tmp_path: Path
) -> None:
    plan = Plan(text_encoder="hashed", include_seen=False, overrides=table)
    with pytest.raises(InvalidRequest, match=message):
        next(train_from_store(store, plan, TrainingRequest(model="set", folder=str(tmp_path), checkpoints=tmp_path)))


@pytest.mark.slow
def test_a_completer_that_was_not_taught_finds_what_the_ranking_does(monkeypatch: pytest.MonkeyPatch) -> None:
    taught = trained("set")
    assert isinstance(taught, SetListEncoder)
    part = taught.part("lists/set")
    recipe = part.config["recipe"] | {"completion": None}
    untaught = SetListEncoder.from_part(replace(part, config=part.config | {"recipe": recipe}))
    recall = completion_recall(untaught, dataset(), candidates=20, seed=0)
    assert recall["validation_completion_recall@10"] == recall["validation_ranking_recall@10"] > 10 / ITEMS
    monkeypatch.setattr(SetListEncoder, "decode", lambda *_, candidates, **__: [DecodedList(candidates[10:], 0.0, 0.0)])
    last = completion_recall(taught, dataset(), candidates=20, seed=0)
    assert last["validation_ranking_recall@10"] == recall["validation_ranking_recall@10"]
    assert 0 < last["validation_completion_recall@10"] <= 1 - last["validation_ranking_recall@10"]
    assert completion_recall(taught, dataset([[1], [2]]), candidates=20, seed=0) == {}
