"""`item-text` finds what goes together, resumes to the same bits, and teaches every setting that it offers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.batch import TokenBatch
from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Part
from recsys.data.cooccurrence import Pairs
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import text_part
from recsys.encoders.tokenizer import TextTokenizer, collate_tokens, train_tokenizer
from recsys.errors import InvalidRequest
from recsys.training.item_text.batches import PairIndex, TextBatch, index_pairs
from recsys.training.item_text.config import TextData
from recsys.training.item_text.objective import ContrastiveObjective
from recsys.training.item_text.random_texts import random_texts
from recsys.training.item_text.train import add_domain, train
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.plan import RunContext
from tests.training.item_text.texts import SMALL, part_of, recall, save_checkpoint, world

RUN = RunContext(name="item-text")
Step = Callable[..., tuple[ContrastiveObjective, PairIndex]]


@pytest.fixture(scope="module")
def learned() -> tuple[Part, TextData]:
    data = world()
    return part_of(SMALL, data), data


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small", world())


def test_it_learns_what_goes_together(learned: tuple[Part, TextData]) -> None:
    part, data = learned
    before = part_of(replace(SMALL, loop=replace(SMALL.loop, learning_rate=1e-9)), data)
    assert recall(part, data) > recall(before, data) + 0.3
    assert recall(part, data, layers=1, dims=8) > recall(before, data, layers=1, dims=8) + 0.3


def test_the_part_says_what_it_offers(learned: tuple[Part, TextData]) -> None:
    encoder = CatalogueTextEncoder.from_part(learned[0])
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
    losses = [fact.loss for fact in train(recipe, data, context=RUN) if isinstance(fact, Epoch)]
    assert losses[-1] < losses[0]


def test_one_pair_alone_is_the_plain_model() -> None:
    """With all layers and all dims as the only pair, the loss is multiple negatives ranking of the plain model's vectors, in
    which a text is no negative of itself, nor of one that reads the same.
    """
    data = world(items=40)
    data = replace(data, texts=[*data.texts[:38], data.texts[0], data.texts[39]])
    assert [0, 38] not in data.pairs.rows.tolist()
    recipe, learned = replace(SMALL, offered=(), dropout=0.0), index_pairs(data.pairs, data.domains)
    tokenizer = TextTokenizer(train_tokenizer(data.texts, vocabulary=200), max_length=16)
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoderConfig(vocabulary=tokenizer.vocabulary, dim=32, layers=2, heads=4, max_length=16))
    training = ContrastiveObjective(recipe, encoder, tokenizer, data, learned, domains=[], seed=0)
    training.fill_memory_bank(None)
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


@pytest.fixture
def step() -> Step:
    """A training of the small world with random vectors in its tables, without dropout: every call costs the same."""
    data = world(items=40)
    learned = index_pairs(data.pairs, data.domains)
    tokenizer = TextTokenizer(train_tokenizer(data.texts, vocabulary=200), max_length=16)

    def made(**change: Any) -> tuple[ContrastiveObjective, PairIndex]:
        torch.manual_seed(0)
        config = TextEncoderConfig(vocabulary=tokenizer.vocabulary, dim=32, layers=2, heads=4, max_length=16)
        recipe = replace(SMALL, dropout=0.0, expert_layers=0, **change)
        training = ContrastiveObjective(recipe, TextEncoder(config), tokenizer, data, learned, domains=[], seed=0)
        training.fill_memory_bank(None)
        return training, learned

    return made


def test_in_half_precision_few_shapes_are_multiplied_and_vectors_stay_what_they_are(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel is kept for every shape; texts of several lengths, so many at a time, have dozens."""
    shapes = set[tuple[int, ...]]()
    vectors, embed = [], TextEncoder.embed

    def watched(self: TextEncoder, batch: TokenBatch) -> torch.Tensor:
        shapes.add(tuple(batch.tokens.shape))
        return embed(self, batch)

    monkeypatch.setattr(TextEncoder, "embed", watched)
    for half in ("off", "on"):
        training, learned = step(half_precision=half)
        training.tokens = [tokens[: 3 + row % 14] for row, tokens in enumerate(training.tokens)]
        training.eval()
        shapes.clear()
        with torch.no_grad():
            prefixes = [training.encode(learned.rows[:count], expert=0)[2] for count in range(1, len(learned.rows) + 1)]
        vectors.append(torch.cat(prefixes))
        if half == "on":
            assert {length for _, length in shapes} <= {8, 16}
            assert all(rows % (256 // length) == 0 for rows, length in shapes)
    torch.testing.assert_close(vectors[0], vectors[1], atol=0.05, rtol=0.05)


def test_sizes_are_drawn_to_the_rankings_of_the_whole_as_much_as_is_asked(step: Step) -> None:
    losses = []
    for align in (0.0, 1.0, 3.0):
        training, learned = step(align=align)
        batch = TextBatch(0, np.arange(*learned.spans[0]), general=False)
        losses.append(float(training(batch, np.random.default_rng(0)).detach()))
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-3)


@pytest.mark.parametrize("general", [True, False])
def test_a_batch_that_hides_its_domain_is_compared_with_what_the_domain_s_expert_made(
    step: Step, *, general: bool
) -> None:
    """Of its own texts, too: the table has their vectors by the expert, and keeps them."""
    training, learned = step(offered=())
    start, _ = learned.spans[0]
    batch = TextBatch(0, np.arange(start, start + 8), general=general)
    table = training.memory_bank(2)
    before = float(training(batch, np.random.default_rng(0)).detach())
    table[start : start + 8] = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
    before_step = table.clone()
    after = float(training(batch, np.random.default_rng(0)).detach())
    assert (abs(after - before) > 1e-3) == general
    assert torch.equal(table, before_step) == general


def test_experts_learn_at_their_own_rate() -> None:
    data = world(items=40)
    still, moved = (part_of(replace(SMALL, expert_rate=rate), data).arrays for rate in (0.0, 3.0))
    first = [name for name in still if ".experts.1." in name]
    assert first
    for name in first:
        other = name.replace(".experts.1.", ".experts.2.")
        assert np.array_equal(still[name], still[other])  # copies of one, as at the start
        assert not np.array_equal(moved[name], moved[other])


def test_frozen_layers_keep_their_bits() -> None:
    data = world(items=40)
    start = part_of(replace(SMALL, loop=replace(SMALL.loop, learning_rate=1e-12, weight_decay=0.0)), data).arrays
    end = part_of(replace(SMALL, frozen=1), data).arrays
    moved = {name for name in start if not np.array_equal(start[name], end[name])}
    assert not {name for name in moved if "layers.0." in name or "tokens" in name or "positions" in name}
    assert any("layers.1." in name for name in moved)


@pytest.mark.parametrize(("change", "depth"), [({}, 2), ({"frozen": 1}, 1), ({"expert_layers": 1}, 1)])
def test_every_layer_that_learns_has_experts_unless_fewer_are_asked_for(change: dict[str, int], depth: int) -> None:
    recipe = replace(SMALL, **{"expert_layers": None, **change})  # type: ignore[arg-type]
    arrays = part_of(replace(recipe, loop=replace(recipe.loop, epochs=1)), world(items=40)).arrays
    assert len({name.split(".")[2] for name in arrays if ".experts.1." in name}) == depth
    assert recipe.single_size(1, 8).depth == 1


def test_a_recipe_in_which_nothing_would_learn_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="frozen=2: must lie between 0 and 1"):
        replace(SMALL, frozen=2)


def test_domains_of_few_pairs_are_read_by_the_general_expert() -> None:
    data = world()
    pairs = [len(data.pairs.both_in(np.array(data.domains) == domain)) for domain in "xy"]
    assert CatalogueTextEncoder.from_part(part_of(replace(SMALL, expert_pairs=min(pairs)), data)).domains == ("x", "y")
    third = replace(data, domains=["z" if item < 10 else domain for item, domain in enumerate(data.domains)])
    few = replace(third, pairs=Pairs(*(each[apart(third)] for each in (third.pairs.rows, third.pairs.counts))))
    assert CatalogueTextEncoder.from_part(part_of(replace(SMALL, expert_pairs=30), few)).domains == ("x", "y")


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
    *_, more = add_domain(replace(SMALL, loop=loop), part, named, domain="z", context=RUN)
    assert isinstance(more, Part)
    assert recall(more, named) > recall(part, named) + 0.1


def test_a_new_expert_leaves_the_bits_of_the_others_whatever_would_move_them(checkpoint: str) -> None:
    """From a checkpoint, with decay, weights mixed with the start's, and random words for the general expert."""
    data, loop = world(items=40), LoopConfig(epochs=2, learning_rate=3e-3, warmup_steps=1, weight_decay=10.0)
    recipe = replace(SMALL, start=checkpoint, width=None, layers=1, offered=(), keep=0.5, salad_stay=1.0, loop=loop)
    old = part_of(recipe, data)
    named = TextData(data.texts, ["z"] * len(data.texts), data.pairs)
    *_, new = add_domain(recipe, old, named, domain="z", context=RUN)
    assert isinstance(new, Part)
    for domain in ("x", "y", None):
        before, after = (
            CatalogueTextEncoder.from_part(part).encode_documents(data.texts, domains=[domain] * len(data.texts))
            for part in (old, new)
        )
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("pair", [(1, 12), (2, 20)])
def test_random_nesting_meets_every_size_that_is_offered(pair: tuple[int, int]) -> None:
    data = world(items=20)
    recipe = replace(SMALL, nesting="sampled", dims=20, offered=((1, 12),), expert_layers=0)
    index, sampled = index_pairs(data.pairs, data.domains), set[tuple[int, int]]()
    tokenizer = TextTokenizer(train_tokenizer(data.texts, vocabulary=200), max_length=16)
    encoder = TextEncoder(TextEncoderConfig(vocabulary=tokenizer.vocabulary, dim=32, layers=2, heads=4, max_length=16))
    training = ContrastiveObjective(recipe, encoder, tokenizer, data, index, domains=[], seed=0)
    generator = np.random.default_rng(0)
    for _ in range(50):
        sampled |= set(training._random_pairs(generator))
    assert pair in sampled
    assert max(dims for _, dims in sampled) == 20
    assert recipe.single_size(1, 12).nesting == "fixed"


def test_random_nesting_trains_the_sizes_that_it_draws_and_fixed_nesting_those_offered(step: Step) -> None:
    losses = dict[str, set[float]]()
    for nesting in ("fixed", "sampled"):
        training, learned = step(nesting=nesting)
        training.eval()
        batch = TextBatch(0, np.arange(*learned.spans[0]), general=True)
        losses[nesting] = {round(float(training(batch, np.random.default_rng(seed)).detach()), 5) for seed in range(5)}
    assert len(losses["fixed"]) == 1
    assert len(losses["sampled"]) > 1


def test_an_interrupted_run_goes_on_to_the_same_bits(learned: tuple[Part, TextData], tmp_path: Path) -> None:
    part, data = learned
    context = replace(RUN, checkpoints=tmp_path)
    started = train(SMALL, data, context=context)
    for _ in range(2):
        next(started)
    started.close()  # type: ignore[attr-defined]
    resumed = list(train(SMALL, data, context=replace(context, resume=True)))
    assert [fact.number for fact in resumed if isinstance(fact, Epoch)] == [3, 4]
    assert isinstance(resumed[-1], Part)
    assert resumed[-1].hash == part.hash


def test_what_stays_of_the_start_is_a_share_of_the_weights(checkpoint: str) -> None:
    data = world(items=20)
    loop = LoopConfig(epochs=1, learning_rate=1e-2, warmup_steps=1)
    recipe = replace(
        SMALL, start=checkpoint, width=None, layers=1, offered=(), expert_layers=0, salad_stay=0.0, loop=loop
    )
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


def general_keeps(checkpoint: str, data: TextData, *, general_stay: float = 0.0, salad_stay: float = 0.0) -> float:
    """How near rankings of the texts by the general expert, of one layer, stay to those of the whole checkpoint: correlation
    of cosines, by weights of its two ways to stay."""
    recipe = replace(
        SMALL,
        start=checkpoint,
        width=None,
        layers=1,
        offered=(),
        label_dropout=0.5,
        stay=0.0,
        general_stay=general_stay,
        salad_stay=salad_stay,
        loop=LoopConfig(epochs=4, learning_rate=1e-3, warmup_steps=1),
    )
    whole = load_text_encoder(checkpoint)
    layers, dim = whole.encoder.config.layers, whole.encoder.config.dim
    frozen = text_part(whole.encoder, name="f", tokenizer=whole.tokenizer, domains=[], offered=[(layers, dim)])
    ours, theirs = (
        CatalogueTextEncoder.from_part(part).encode_documents(data.texts) for part in (part_of(recipe, data), frozen)
    )
    apart = ~np.eye(len(ours), dtype=np.bool_)
    return float(np.corrcoef((ours @ ours.T)[apart], (theirs @ theirs.T)[apart])[0, 1])


@pytest.fixture(scope="module")
def moved_away(checkpoint: str) -> float:
    """How near it stays where nothing holds it."""
    return general_keeps(checkpoint, world())


def test_the_general_expert_stays_near_what_the_whole_checkpoint_says(checkpoint: str, moved_away: float) -> None:
    assert general_keeps(checkpoint, world(), general_stay=3.0) > moved_away + 0.1


def test_random_words_keep_it_near_too(checkpoint: str, moved_away: float) -> None:
    assert general_keeps(checkpoint, world(), salad_stay=3.0) > moved_away + 0.1


def test_random_texts_are_of_the_words_and_lengths_of_those_given() -> None:
    texts = [np.array([1, 7, 8, 2]), np.array([1, 9, 9, 9, 2]), np.array([1, 2])]
    groups = random_texts(texts, np.random.default_rng(0))
    sampled = [text for group in groups for text in group]
    assert {len(group) for group in groups} == {64}
    assert {text[0] for text in sampled} == {1}
    assert {text[-1] for text in sampled} == {2}
    assert {len(text) for text in sampled} == {4, 5}  # a text of no words gives one of the shortest
    words = np.concatenate([text[1:-1] for text in sampled])
    assert {word: round(float(np.mean(words == word)), 1) for word in (7, 8, 9)} == {7: 0.2, 8: 0.2, 9: 0.6}
    assert random_texts([np.array([1, 2])], np.random.default_rng(0)) == []


def test_a_text_without_a_domain_is_asked_among_items_read_by_their_experts(learned: tuple[Part, TextData]) -> None:
    """The general expert asks in the space of the others: its batches were compared with vectors that they had made."""
    part, data = learned
    before = part_of(replace(SMALL, loop=replace(SMALL.loop, learning_rate=1e-9)), data)

    def precision(part: Part) -> float:
        encoder = CatalogueTextEncoder.from_part(part)
        queries, items = (
            encoder.encode_documents(data.texts),
            encoder.encode_documents(data.texts, domains=data.domains),
        )
        scores = queries @ items.T
        same = np.zeros(scores.shape, dtype=np.bool_)
        same[data.pairs.rows[:, 0], data.pairs.rows[:, 1]] = True
        same_domain = np.array([[a == b for b in data.domains] for a in data.domains])
        scores[~same_domain | np.eye(len(same_domain), dtype=np.bool_)] = -np.inf
        nearest = np.argsort(-scores, axis=1)[:, :10]
        return float(np.mean([(same | same.T)[row, nearest[row]].mean() for row in range(len(scores))]))

    assert precision(part) > precision(before) + 0.15


def test_domains_without_a_name_are_read_by_the_general_expert() -> None:
    data = world(items=40)
    mixed = replace(data, domains=[None if domain == "x" else domain for domain in data.domains])
    assert (
        CatalogueTextEncoder.from_part(part_of(SMALL, mixed)).domains == ()
    )  # one domain with a name: nothing to tell apart
