"""`item-text` finds what goes together, resumes to the same bits, and teaches every setting that it offers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from api.app import create_app
from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Part, load_bundle
from recsys.data.item_text import ItemTextEncoder, cut, text_part
from recsys.data.pairs import Pairs
from recsys.data.tokens import TextTokenizer, collate_tokens, train_tokenizer
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.evaluation.partners import partner_recall
from recsys.retrieval import sizes
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.training.item_text import add_domain, train
from recsys.training.jobs import Saved, train_from_store
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.recipes import Plan, Progress
from recsys.training.text_batches import TextBatch, members, text_batches
from recsys.training.text_recipe import ItemTextRecipe, TextData
from recsys.training.text_salad import random_texts
from recsys.training.text_steps import ItemTextTraining
from tests.worlds import Planted

COLOURS = ["red", "blue", "green", "pink", "gold", "grey"]
NUMBERS = ["one", "two", "three", "four", "five", "six"]
SMALL = ItemTextRecipe(
    start="random",
    layers=2,
    width=32,
    heads=4,
    vocabulary=200,
    offered=((1, 8), (2, 32)),
    expert_layers=1,
    expert_pairs=1,
    texts=24,
    half_precision="off",
    loop=LoopConfig(epochs=4, learning_rate=3e-3, warmup_steps=5),
)


def world(*, items: int = 80) -> TextData:
    """Every text has a colour and a number among other words; in domain x items of a colour go together, in y of a number."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(6, size=(items, 2))
    texts = [
        f"w{generator.integers(40)} {COLOURS[colour]} w{generator.integers(40)} {NUMBERS[number]}"
        for colour, number in kinds
    ]
    same = [
        (a, b)
        for a in range(items)
        for b in range(a + 2, items, 2)  # even items are of x, odd ones of y
        if kinds[a, a % 2] == kinds[b, a % 2]
    ]
    return TextData(
        texts, ["xy"[item % 2] for item in range(items)], Pairs(np.array(same), np.ones(len(same), dtype=np.int64))
    )


def part_of(recipe: ItemTextRecipe, data: TextData, **more: object) -> Part:
    *_, last = train(recipe, data, seed=0, **more)  # type: ignore[arg-type]
    assert isinstance(last, Part)
    return last


def recall(part: Part, data: TextData, *, layers: int | None = None, dims: int = 32) -> float:
    vectors = ItemTextEncoder.from_part(part).encode(data.texts, domains=data.domains, layers=layers)
    return float(partner_recall(cut(vectors, dims), data.pairs.rows)[1].mean())


@pytest.fixture(scope="module")
def learned() -> tuple[Part, TextData]:
    data = world()
    return part_of(SMALL, data), data


def test_it_learns_what_goes_together(learned: tuple[Part, TextData]) -> None:
    part, data = learned
    before = part_of(replace(SMALL, loop=replace(SMALL.loop, learning_rate=1e-9)), data)
    assert recall(part, data) > recall(before, data) + 0.3
    assert recall(part, data, layers=1, dims=8) > recall(before, data, layers=1, dims=8) + 0.3


def test_the_part_says_what_it_offers(learned: tuple[Part, TextData]) -> None:
    encoder = ItemTextEncoder.from_part(learned[0])
    assert encoder.offered == ((1, 8), (2, 32))
    assert encoder.domains == ("x", "y")
    assert learned[0].config["recipe"]["texts"] == 24


def test_experts_part_ways_and_the_wrong_one_is_worse(learned: tuple[Part, TextData]) -> None:
    part, data = learned
    swapped = replace(data, domains=["y" if domain == "x" else "x" for domain in data.domains])
    assert recall(part, swapped) < recall(part, data) - 0.02


@pytest.mark.parametrize(
    "change",
    [
        {"nesting": "sampled"},
        {"hard_negatives": 5},
        {"expert_layers": 0},
        {"frozen": 1},
        {"half_precision": "on"},
    ],
)
def test_every_option_learns_too(change: dict[str, object], learned: tuple[Part, TextData]) -> None:
    _, data = learned
    recipe = replace(SMALL, **change)  # type: ignore[arg-type]
    losses = [fact.loss for fact in train(recipe, data, seed=0) if isinstance(fact, Epoch)]
    assert losses[-1] < losses[0]


def test_one_pair_alone_is_the_plain_model() -> None:
    """With all layers and all dims as the only pair, the loss is multiple negatives ranking of the plain model's vectors, in
    which a text is no negative of itself, nor of one that reads the same.
    """
    data = world(items=40)
    data = replace(data, texts=[*data.texts[:38], data.texts[0], data.texts[39]])
    assert [0, 38] not in data.pairs.rows.tolist()
    recipe, learned = replace(SMALL, offered=(), dropout=0.0), members(data.pairs, data.domains)
    tokenizer = TextTokenizer(train_tokenizer(data.texts, vocabulary=200), max_length=16)
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoderConfig(vocabulary=tokenizer.vocabulary, dim=32, layers=2, heads=4, max_length=16))
    training = ItemTextTraining(recipe, encoder, tokenizer, data, learned, domains=[], seed=0)
    training.remember(None)
    (start, end), _ = learned.spans
    batch = TextBatch(0, np.arange(start, end), general=False)
    texts = [data.texts[row] for row in learned.rows[start:end]]
    x = encoder(collate_tokens(tokenizer.encode(texts)))
    scores = (x @ x.T / recipe.temperature).exp()
    losses = []
    for row, text in enumerate(texts):
        partners = (learned.partners[row] - start).tolist()
        others = [i for i, other in enumerate(texts) if other != text and i not in partners]
        losses.append((1 + scores[row, others].sum() / scores[row, partners]).log().mean())
    torch.testing.assert_close(training(batch, np.random.default_rng(0)), torch.stack(losses).mean())


def test_frozen_layers_keep_their_bits() -> None:
    data = world(items=40)
    start = part_of(replace(SMALL, loop=replace(SMALL.loop, learning_rate=1e-12, weight_decay=0.0)), data).arrays
    end = part_of(replace(SMALL, frozen=1), data).arrays
    moved = {name for name in start if not np.array_equal(start[name], end[name])}
    assert not {name for name in moved if "layers.0." in name or "tokens" in name or "positions" in name}
    assert any("layers.1." in name for name in moved)


def test_domains_of_few_pairs_are_read_by_the_general_expert() -> None:
    data = world()
    pairs = [len(data.pairs.inside(np.array(data.domains) == domain)) for domain in "xy"]
    assert ItemTextEncoder.from_part(part_of(replace(SMALL, expert_pairs=min(pairs)), data)).domains == ("x", "y")
    third = replace(data, domains=["z" if item < 10 else domain for item, domain in enumerate(data.domains)])
    few = replace(third, pairs=Pairs(*(each[apart(third)] for each in (third.pairs.rows, third.pairs.counts))))
    assert ItemTextEncoder.from_part(part_of(replace(SMALL, expert_pairs=30), few)).domains == ("x", "y")


def apart(data: TextData) -> NDArray[np.bool_]:
    """Pairs within one domain."""
    label = np.array(data.domains)
    return label[data.pairs.rows[:, 0]] == label[data.pairs.rows[:, 1]]


def test_an_expert_added_learns_its_domain(learned: tuple[Part, TextData]) -> None:
    """Items of y go together by their number; called z, by their colour, and their new expert learns it."""
    part, data = learned
    odd = [item for item, domain in enumerate(data.domains) if domain == "y"]
    colour = {item: data.texts[item].split()[1] for item in odd}
    rows = [(a, b) for a in odd for b in odd if a < b and colour[a] == colour[b]]
    named = TextData(data.texts, ["z"] * len(data.texts), Pairs(np.array(rows), np.ones(len(rows), dtype=np.int64)))
    loop = replace(SMALL.loop, epochs=12)
    *_, more = add_domain(replace(SMALL, loop=loop), part, named, domain="z", seed=0)
    assert isinstance(more, Part)
    assert recall(more, named) > recall(part, named) + 0.1


def test_a_new_expert_leaves_the_bits_of_the_others_whatever_would_move_them() -> None:
    """From a checkpoint, with decay, weights mixed with the start's, and random words for the general expert."""
    data, loop = world(items=40), LoopConfig(epochs=2, learning_rate=3e-3, warmup_steps=1, weight_decay=10.0)
    recipe = replace(SMALL, start="packaged", width=None, layers=1, offered=(), keep=0.5, salad_stay=1.0, loop=loop)
    old = part_of(recipe, data)
    named = TextData(data.texts, ["z"] * len(data.texts), data.pairs)
    *_, new = add_domain(recipe, old, named, domain="z", seed=0)
    assert isinstance(new, Part)
    for domain in ("x", "y", None):
        before, after = (
            ItemTextEncoder.from_part(part).encode(data.texts, domains=[domain] * len(data.texts))
            for part in (old, new)
        )
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("pair", [(1, 12), (2, 20)])
def test_random_nesting_meets_every_size_that_is_offered(pair: tuple[int, int]) -> None:
    data = world(items=20)
    recipe = replace(SMALL, nesting="sampled", dims=20, offered=((1, 12),), expert_layers=0)
    learned, drawn = members(data.pairs, data.domains), set[tuple[int, int]]()
    tokenizer = TextTokenizer(train_tokenizer(data.texts, vocabulary=200), max_length=16)
    encoder = TextEncoder(TextEncoderConfig(vocabulary=tokenizer.vocabulary, dim=32, layers=2, heads=4, max_length=16))
    training = ItemTextTraining(recipe, encoder, tokenizer, data, learned, domains=[], seed=0)
    generator = np.random.default_rng(0)
    for _ in range(50):
        drawn |= set(training._random_pairs(generator))
    assert pair in drawn
    assert max(dims for _, dims in drawn) == 20
    assert recipe.alone(1, 12).nesting == "fixed"


def test_an_interrupted_run_goes_on_to_the_same_bits(learned: tuple[Part, TextData], tmp_path: Path) -> None:
    part, data = learned
    started = train(SMALL, data, seed=0, checkpoint=tmp_path / "c")
    for _ in range(2):
        next(started)
    started.close()  # type: ignore[attr-defined]
    resumed = list(train(SMALL, data, seed=0, checkpoint=tmp_path / "c", resume=True))
    assert [fact.number for fact in resumed if isinstance(fact, Epoch)] == [3, 4]
    assert isinstance(resumed[-1], Part)
    assert resumed[-1].hash == part.hash


def test_what_stays_of_the_start_is_a_share_of_the_weights() -> None:
    data = world(items=20)
    loop = LoopConfig(epochs=1, learning_rate=1e-2, warmup_steps=1)
    recipe = replace(SMALL, start="packaged", width=None, layers=1, offered=(), expert_layers=0, loop=loop)
    key = "weights.layers.0.feed.up.weight"
    start, half, end = (
        part_of(replace(recipe, keep=keep), data).arrays[key].astype(np.float64) for keep in (1.0, 0.5, 0.0)
    )
    np.testing.assert_allclose(half, (start + end) / 2, atol=2e-3)
    assert np.abs(end - start).max() > 0.01


def test_layers_that_the_encoder_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"pair \(3, 8\): this encoder has 1 to 2 layers"):
        part_of(replace(SMALL, offered=((3, 8),)), world(items=20))


def test_a_checkpoint_of_another_width_is_refused() -> None:
    recipe = replace(SMALL, start="packaged", width=256, layers=1, offered=())
    with pytest.raises(ConfigError, match="width=256: text encoder 'packaged' is 384 wide; leave width out"):
        part_of(recipe, world(items=20))


def general_keeps(data: TextData, texts: Sequence[str], *, general_stay: float = 0.0, salad_stay: float = 0.0) -> float:
    """How near rankings of `texts` by the general expert, of one layer, stay to those of the whole checkpoint: correlation of
    cosines, by weights of its two ways to stay."""
    loop = LoopConfig(epochs=12, learning_rate=3e-4, warmup_steps=1)
    recipe = replace(
        SMALL,
        start="packaged",
        width=None,
        layers=1,
        offered=(),
        label_dropout=0.5,
        stay=0.0,
        general_stay=general_stay,
        salad_stay=salad_stay,
        loop=loop,
    )
    whole = load_text_encoder("packaged")
    frozen = text_part(whole.encoder, name="f", tokenizer=whole.tokenizer, domains=[], offered=[(6, 384)])
    ours, theirs = (ItemTextEncoder.from_part(part).encode(texts) for part in (part_of(recipe, data), frozen))
    apart = ~np.eye(len(ours), dtype=np.bool_)
    return float(np.corrcoef((ours @ ours.T)[apart], (theirs @ theirs.T)[apart])[0, 1])


def test_the_general_expert_stays_near_what_the_whole_checkpoint_says() -> None:
    data = world()
    assert general_keeps(data, data.texts, general_stay=3.0) > general_keeps(data, data.texts) + 0.1


def test_random_words_keep_it_near_too() -> None:
    data = world()
    assert general_keeps(data, data.texts, salad_stay=3.0) > general_keeps(data, data.texts) + 0.1


def test_random_texts_are_of_the_words_and_lengths_of_those_given() -> None:
    texts = [np.array([1, 7, 8, 2]), np.array([1, 9, 9, 9, 2]), np.array([1, 2])]
    groups = random_texts(texts, np.random.default_rng(0))
    found = [text for group in groups for text in group]
    assert {len(group) for group in groups} == {64}
    assert {text[0] for text in found} == {1}
    assert {text[-1] for text in found} == {2}
    assert {len(text) for text in found} == {4, 5}  # a text of no words gives one of the shortest
    words = np.concatenate([text[1:-1] for text in found])
    assert {word: round(float(np.mean(words == word)), 1) for word in (7, 8, 9)} == {7: 0.2, 8: 0.2, 9: 0.6}
    assert random_texts([np.array([1, 2])], np.random.default_rng(0)) == []


class TestBatches:
    def test_a_batch_is_of_one_domain_with_partners_inside(self) -> None:
        data = world()
        learned = members(data.pairs, data.domains)
        generator = np.random.default_rng(0)
        for batch in text_batches(learned, texts=12, beside=2, power=0.5, general=0.0, generator=generator):
            rows = learned.rows[batch.members]
            assert {data.domains[row] for row in rows} == {learned.domains[batch.domain]}
            assert len(set(rows.tolist())) == len(rows) <= 12
            together = {tuple(sorted(pair)) for pair in data.pairs.rows.tolist()}
            assert any((a, b) in together for a in rows.tolist() for b in rows.tolist())

    def test_small_domains_are_met_by_the_root_of_their_size(self) -> None:
        big = [(a, a + 1) for a in range(0, 400)]
        small = [(500 + a, 501 + a) for a in range(24)]
        domains = ["big" if row < 450 else "small" for row in range(600)]
        learned = members(Pairs(np.array(big + small), np.ones(424, dtype=np.int64)), domains)
        generator = np.random.default_rng(0)
        drawn = [
            learned.domains[batch.domain]
            for _ in range(30)
            for batch in text_batches(learned, texts=8, beside=1, power=0.5, general=0.0, generator=generator)
        ]
        assert drawn.count("small") / len(drawn) == pytest.approx(0.2, abs=0.03)  # 5 of 20 + 5

    def test_a_share_of_the_batches_hides_its_label(self) -> None:
        learned = members(world().pairs, world().domains)
        generator = np.random.default_rng(0)
        hidden = [
            batch.general
            for _ in range(60)
            for batch in text_batches(learned, texts=12, beside=1, power=0.5, general=0.1, generator=generator)
        ]
        assert np.mean(hidden) == pytest.approx(0.1, abs=0.03)


class TestFromTheStore:
    PLAN = Plan(
        text_encoder="hashed",
        include_seen=False,
        overrides={
            "item-text": {
                "start": "random",
                "layers": 2,
                "width": 16,
                "heads": 2,
                "vocabulary": 200,
                "offered": [[1, 16], [2, 8]],
                "expert_pairs": 1,
                "held_out": 0.2,
                "pairs": {"lists": 2},
                "loop": {"epochs": 2},
            }
        },
    )

    def run(self, store: Store, folder: Path, plan: Plan, **more: Any) -> Saved:
        facts = list(
            train_from_store(store, plan, model="item-text", folder=str(folder / "b"), checkpoints=folder / "c", **more)
        )
        assert any(isinstance(fact, Progress) and "to learn" in fact.fact for fact in facts)
        assert isinstance(facts[-1], Saved)
        return facts[-1]

    def test_the_command_saves_one_part_with_figures_for_each_setting(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        part = load_bundle(self.run(store, tmp_path, self.PLAN).uri).part("item-text")
        settings = part.figures["settings"]
        assert [(one["layers"], one["dims"]) for one in settings] == [(1, 16), (2, 8), (2, 16)]
        assert all(0 <= one["recall@10"] <= 1 and one["texts_per_second"] > 0 for one in settings)
        assert all(one["interval"][0] <= one["recall@10"] <= one["interval"][1] and one["queries"] for one in settings)
        assert all(one["of_separate"] is None for one in settings)
        assert not list((tmp_path / "c").glob("*"))
        store.close()

    def test_a_size_that_falls_behind_a_model_of_its_own_is_withheld_over_http(
        self, trained: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        table = {**self.PLAN.overrides["item-text"], "compare": True, "expert_layers": 2}
        uri = self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": table})).uri
        settings = load_bundle(uri).part("item-text").figures["settings"]
        first, second = (one["of_separate"] for one in settings[:-1])
        assert first != second
        assert settings[-1]["of_separate"] is None
        monkeypatch.setattr(sizes, "BAR", (first + second) / 2)
        recommender = Recommender(store, bundle=uri)
        with TestClient(create_app(recommender)) as client:
            (part,) = client.get("/v1/models").json()["parts"]
            withheld = [one["withheld"] is not None for one in part["sizes"]]
            assert withheld == [first < second, second < first, False]
            for size, hidden in zip(part["sizes"], withheld, strict=True):
                asked = {"query": "anything", "layers": size["layers"], "dims": size["dims"]}
                why = [one["why"] for one in client.post("/v1/search", json=asked).json()["degraded"]]
                assert bool(why) == hidden
                assert all("is withheld: it keeps" in one and "answered at 2 layers" in one for one in why)
        recommender.close()
        store.close()

    def test_sizes_cannot_be_compared_without_items_held_out(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        table = {**self.PLAN.overrides["item-text"], "compare": True, "held_out": 0.0}
        with pytest.raises(InvalidRequest, match="compare=true with held_out=0"):
            self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": table}))
        store.close()

    def test_a_domain_is_added_and_no_other_vector_changes_a_bit(self, trained: Planted, tmp_path: Path) -> None:
        planted = trained.copy(tmp_path)
        store = Store.open(planted.url)
        names = {0: "x", 1: "y", 2: "x"}

        def labelled(names: dict[int, str]) -> None:
            items = [store.item(item_id) for item_id in planted.world.cluster]
            store.put_items(
                [
                    ItemDraft(
                        item_id=item.item_id,
                        title=item.title,
                        attributes=item.attributes,
                        domain=names.get(planted.world.cluster[item.item_id]),
                    )
                    for item in items
                ]
            )

        labelled(names)
        first = self.run(store, tmp_path, self.PLAN, name="first").uri
        with pytest.raises(NotReady, match="0 pairs of items of z that go together"):
            self.run(store, tmp_path, self.PLAN, given=[first], domain="z")
        labelled(names | {3: "z"})
        second = self.run(store, tmp_path, self.PLAN, name="second", given=[first], domain="z").uri
        old, new = (ItemTextEncoder.from_part(load_bundle(uri).part("item-text")) for uri in (first, second))
        assert (old.domains, new.domains) == (("x", "y"), ("x", "y", "z"))
        texts = [store.item(item_id).title or "" for item_id in planted.world.cluster]
        for domain in ("x", "y", None, "unheard of"):
            for layers, vectors in old.encode_exits(texts, domains=[domain] * len(texts)).items():
                again = new.encode_exits(texts, domains=[domain] * len(texts))[layers]
                np.testing.assert_array_equal(again, vectors)
        assert not np.array_equal(new.encode(texts, domains=["z"] * len(texts)), old.encode(texts))
        assert [one["dims"] for one in load_bundle(second).part("item-text").figures["added"]["z"]] == [16, 8, 16]
        with pytest.raises(InvalidRequest, match="has an expert for 'z' already; its domains are x, y, z"):
            self.run(store, tmp_path, self.PLAN, given=[second], domain="z")
        built = {**self.PLAN.overrides["item-text"], "layers": 5, "offered": [[1, 16]]}
        with pytest.raises(
            InvalidRequest, match=r"layers, offered: .* is built already; for one more domain you may change"
        ):
            self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": built}), given=[first], domain="z")
        store.close()

    def test_a_domain_is_added_to_one_encoder_with_experts_alone(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        with pytest.raises(InvalidRequest, match="a domain is added to the encoder of one bundle"):
            self.run(store, tmp_path, self.PLAN, domain="z")
        with pytest.raises(BundleError, match="holds no text encoder"):
            self.run(store, tmp_path, self.PLAN, domain="z", given=[trained.bundle])
        dense = self.run(store, tmp_path, self.PLAN, name="dense").uri
        with pytest.raises(InvalidRequest, match="has one expert for all: train `item-text` on items of two or more"):
            self.run(store, tmp_path, self.PLAN, domain="z", given=[dense])
        store.close()

    def test_a_run_is_not_resumed_after_items_went_to_other_domains(self, trained: Planted, tmp_path: Path) -> None:
        planted = trained.copy(tmp_path)
        store = Store.open(planted.url)

        def epochs(*, resume: bool, stop: int | None = None) -> list[str]:
            facts = train_from_store(
                store,
                self.PLAN,
                model="item-text",
                folder=str(tmp_path / "b"),
                checkpoints=tmp_path / "c",
                resume=resume,
            )
            told = list[str]()
            for fact in facts:
                if isinstance(fact, Progress) and fact.fact.startswith("epoch"):
                    told.append(fact.fact.split(",")[0])
                    if len(told) == stop:
                        facts.close()
                        break
            return told

        assert epochs(resume=False, stop=1) == ["epoch 1"]
        items = [store.item(item_id) for item_id in planted.world.cluster]
        store.put_items(
            [
                ItemDraft(item_id=item.item_id, title=item.title, attributes=item.attributes, domain="new")
                for item in items
            ]
        )
        assert epochs(resume=True, stop=1) == ["epoch 1"]
        assert epochs(resume=True) == ["epoch 2"]
        store.close()

    def test_too_few_pairs_are_said(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        rare = {**self.PLAN.overrides["item-text"], "pairs": {"lists": 140}}
        with pytest.raises(NotReady, match=r"import more lists, or lower `lists` \(140\)"):
            self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": rare}))
        store.close()


def test_a_text_without_a_domain_is_asked_among_items_read_by_their_experts(learned: tuple[Part, TextData]) -> None:
    """The general expert asks in the space of the others: its batches were compared with vectors that they had made."""
    part, data = learned
    before = part_of(replace(SMALL, loop=replace(SMALL.loop, learning_rate=1e-9)), data)

    def found(part: Part) -> float:
        encoder = ItemTextEncoder.from_part(part)
        asked, items = encoder.encode(data.texts), encoder.encode(data.texts, domains=data.domains)
        scores = asked @ items.T
        same = np.zeros(scores.shape, dtype=np.bool_)
        same[data.pairs.rows[:, 0], data.pairs.rows[:, 1]] = True
        own = np.array([[a == b for b in data.domains] for a in data.domains])
        scores[~own | np.eye(len(own), dtype=np.bool_)] = -np.inf
        nearest = np.argsort(-scores, axis=1)[:, :10]
        return float(np.mean([(same | same.T)[row, nearest[row]].mean() for row in range(len(scores))]))

    assert found(part) > found(before) + 0.15


def test_domains_without_a_name_are_read_by_the_general_expert() -> None:
    data = world(items=40)
    mixed = replace(data, domains=[None if domain == "x" else domain for domain in data.domains])
    assert (
        ItemTextEncoder.from_part(part_of(SMALL, mixed)).domains == ()
    )  # one domain with a name: nothing to tell apart
