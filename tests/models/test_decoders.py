"""Beam search and its diverse form: against exhaustive search and a naive loop over groups, and what the constraints forbid."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.decoders.attentive import DecoderState
from models.decoders.beam import beam_search
from models.decoders.constraints import DecodingConstraints
from models.decoders.diverse_beam import Overlap, diverse_beam_search
from models.encoders.seq2seq import PlaylistConfig
from models.errors import ConfigError
from models.lists import CONTINUE, PlaylistModel
from tests.models.timelines import timeline

ITEMS, LENGTH = 5, 3


class Toy:
    """p(next | all before): a table drawn from the seed for every prefix, so that no two prefixes are alike."""

    def __init__(self, seed: int, items: int = ITEMS) -> None:
        self.seed, self.items = seed, items

    def log_p(self, prefix: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, prefix)) % 2**31)
        return (2 * torch.randn(self.items, generator=generator, dtype=torch.float64)).log_softmax(0)

    def start(self) -> tuple[list[tuple[int, ...]], Tensor]:
        return [()], self.log_p(())[None]

    def step(self, state: list[tuple[int, ...]], written: Tensor) -> tuple[list[tuple[int, ...]], Tensor]:
        longer = [(*prefix, item) for prefix, item in zip(state, written.tolist(), strict=True)]
        return longer, torch.stack([self.log_p(prefix) for prefix in longer])

    def select(self, state: list[tuple[int, ...]], rows: Tensor) -> list[tuple[int, ...]]:
        return [state[row] for row in rows.tolist()]

    def of(self, items: tuple[int, ...]) -> float:
        return sum(float(self.log_p(items[:n])[item]) for n, item in enumerate(items))


def constraints(items: int = ITEMS, **settings: object) -> DecodingConstraints:
    defaults = {"allowed": torch.ones(items, dtype=torch.bool), "no_repeat_ngram_size": 0}
    return DecodingConstraints(**(defaults | settings))  # type: ignore[arg-type]


def naive_groups(toy: Toy, *, groups: int, strength: float, overlap: Overlap) -> list[tuple[int, ...]]:
    """Diverse beam search with groups one beam wide, step by step inside each group."""
    lists: list[tuple[int, ...]] = []
    for _ in range(groups):
        prefix: tuple[int, ...] = ()
        for step in range(LENGTH):
            scores = toy.log_p(prefix).clone()
            for item in range(toy.items):
                earlier = [items for items in lists if (item in items if overlap == "set" else items[step] == item)]
                scores[item] -= strength * len(earlier)
            prefix = (*prefix, int(scores.argmax()))
        lists.append(prefix)
    return lists


@given(seed=st.integers(0, 200))
def test_wide_enough_a_beam_is_exhaustive_search(seed: int) -> None:
    toy = Toy(seed)
    beams = beam_search(toy, length=LENGTH, width=ITEMS**LENGTH, constraints=constraints())
    ranked = sorted(product(range(ITEMS), repeat=LENGTH), key=toy.of, reverse=True)
    assert [tuple(items) for items in beams.items.tolist()][:20] == ranked[:20]


@given(seed=st.integers(0, 200))
def test_one_beam_is_greedy(seed: int) -> None:
    toy = Toy(seed)
    prefix: tuple[int, ...] = ()
    for _ in range(LENGTH):
        prefix = (*prefix, int(toy.log_p(prefix).argmax()))
    assert tuple(beam_search(toy, length=LENGTH, width=1, constraints=constraints()).items[0].tolist()) == prefix


@given(seed=st.integers(0, 100), width=st.integers(1, 6), strength=st.floats(0, 3))
def test_the_reported_probability_is_the_models_own(seed: int, width: int, strength: float) -> None:
    toy = Toy(seed)
    steered = constraints(logit_bias=torch.arange(ITEMS) * 0.3, group=torch.tensor([0, 0, 1, 1, -1]), same_group=0.7)
    for beams in diverse_beam_search(toy, length=LENGTH, groups=2, width=width, strength=strength, constraints=steered):
        for items, reported in zip(beams.items.tolist(), beams.log_probability.tolist(), strict=True):
            assert reported == pytest.approx(toy.of(tuple(items)), abs=1e-5)


@pytest.mark.parametrize("overlap", ["set", "step"])
@given(seed=st.integers(0, 100), strength=st.floats(0, 4))
def test_groups_match_the_naive_loop(overlap: Overlap, seed: int, strength: float) -> None:
    toy = Toy(seed)
    groups = diverse_beam_search(
        toy, length=LENGTH, groups=4, width=1, strength=strength, constraints=constraints(), overlap=overlap
    )
    got = [tuple(beams.items[0].tolist()) for beams in groups]
    assert got == naive_groups(toy, groups=4, strength=strength, overlap=overlap)


@given(seed=st.integers(0, 50), width=st.integers(1, 4), strength=st.floats(0, 5))
def test_the_first_group_is_plain_beam_search_whatever_the_strength(seed: int, width: int, strength: float) -> None:
    plain = beam_search(Toy(seed), length=LENGTH, width=width, constraints=constraints())
    groups = diverse_beam_search(
        Toy(seed), length=LENGTH, groups=3, width=width, strength=strength, constraints=constraints()
    )
    assert torch.equal(groups[0].items, plain.items)
    without = diverse_beam_search(
        Toy(seed), length=LENGTH, groups=3, width=width, strength=0.0, constraints=constraints()
    )
    assert all(torch.equal(beams.items, plain.items) for beams in without)


@given(seed=st.integers(0, 100), width=st.integers(1, 4), strength=st.sampled_from([0.0, 0.2, 1.0]))
def test_distinct_groups_are_as_many_sets_whatever_the_strength(seed: int, width: int, strength: float) -> None:
    rules = constraints(no_repeat_ngram_size=1)
    groups = diverse_beam_search(
        Toy(seed), length=LENGTH, groups=6, width=width, strength=strength, constraints=rules, distinct=True
    )
    assert len({frozenset(beams.items[0].tolist()) for beams in groups}) == 6
    plain = beam_search(Toy(seed), length=LENGTH, width=width, constraints=rules)
    assert torch.equal(groups[0].items, plain.items)


def test_a_list_with_the_items_of_an_earlier_one_is_not_written_in_any_order() -> None:
    rules = constraints(without=(torch.tensor([0, 1, 2]), torch.tensor([3, 3, 4])))
    bias = rules.total_bias(torch.tensor([[2, 1], [1, 3], [3, 4], [0, 0]]))
    assert torch.isinf(bias).nonzero().tolist() == [[0, 0], [2, 3]]


@given(seed=st.integers(0, 50))
def test_a_large_strength_makes_groups_differ_everywhere(seed: int) -> None:
    """At the same step for `step`; with no item in common for `set`, where there are items enough."""
    toy = Toy(seed, items=12)
    far = {"length": LENGTH, "groups": 4, "width": 1, "strength": 1e4}
    by_step = diverse_beam_search(toy, constraints=constraints(12), overlap="step", **far)  # type: ignore[arg-type]
    for step in range(LENGTH):
        assert len({int(beams.items[0, step]) for beams in by_step}) == 4
    by_set = diverse_beam_search(toy, constraints=constraints(12, no_repeat_ngram_size=1), overlap="set", **far)  # type: ignore[arg-type]
    items = [item for beams in by_set for item in beams.items[0].tolist()]
    assert len(set(items)) == len(items)


@given(seed=st.integers(0, 400), width=st.integers(1, 5), length=st.integers(1, 9), data=st.data())
def test_nothing_forbidden_and_nothing_twice(seed: int, width: int, length: int, data: st.DataObject) -> None:
    allowed = torch.tensor(data.draw(st.lists(st.booleans(), min_size=7, max_size=7)))
    beams = beam_search(
        Toy(seed, 7), length=length, width=width, constraints=constraints(allowed=allowed, no_repeat_ngram_size=1)
    )
    for items in beams.items.tolist():
        assert len(items) == min(length, int(allowed.sum()))  # fewer candidates than asked for end the list
        assert len(set(items)) == len(items)
        assert allowed[items].all()


@given(seed=st.integers(0, 60), size=st.integers(1, 3))
def test_no_ngram_is_repeated(seed: int, size: int) -> None:
    beams = beam_search(
        Toy(seed, 3), length=3 if size == 1 else 7, width=3, constraints=constraints(3, no_repeat_ngram_size=size)
    )
    for items in beams.items.tolist():
        runs = [tuple(items[i : i + size]) for i in range(len(items) - size + 1)]
        assert len(set(runs)) == len(runs)


@given(seed=st.integers(0, 40))
def test_a_group_is_limited_and_its_penalty_counts_each_member(seed: int) -> None:
    group = torch.tensor([0, 0, 0, 1, -1])
    limited = beam_search(Toy(seed), length=3, width=4, constraints=constraints(group=group, most_of_group=1))
    for items in limited.items.tolist():
        groups = group[items]
        assert max((groups == 0).sum(), (groups == 1).sum()) <= 1
    bias = constraints(group=group, same_group=0.5).total_bias(torch.tensor([[0, 1, 4]]))
    assert bias.tolist() == [[-1.0, -1.0, -1.0, 0.0, 0.0]]


class PlaylistSteps:
    """A playlist model as a step decoder over all its items."""

    def __init__(self, model: PlaylistModel, table: Tensor, history: Tensor) -> None:
        self.model, self.table = model, table
        self.encoder_output = model.encoder(table[history][None], timeline(len(history)))

    def start(self) -> tuple[DecoderState, Tensor]:
        state = self.model.decoder.start(self.encoder_output)
        return self._scored(*self.model.step(state, self.model.first_input(CONTINUE, batch=1)))

    def step(self, state: DecoderState, written: Tensor) -> tuple[DecoderState, Tensor]:
        return self._scored(*self.model.step(state, self.table[written][:, None]))

    def select(self, state: DecoderState, rows: Tensor) -> DecoderState:
        return state.select(rows)

    def _scored(self, state: DecoderState, query: Tensor) -> tuple[DecoderState, Tensor]:
        return state, (query @ self.table.T).log_softmax(-1)


@pytest.mark.parametrize("attention", [False, True])
def test_reordered_states_score_like_one_pass_over_the_whole_list(attention: bool) -> None:
    torch.manual_seed(0)
    config = PlaylistConfig(dim=6, hidden=8, attention=attention)
    model, table = PlaylistModel(config, temperature=0.3).double().eval(), torch.randn(9, 6, dtype=torch.float64)
    decoder = PlaylistSteps(model, table, torch.tensor([1, 4, 2]))
    beams = beam_search(decoder, length=5, width=4, constraints=constraints(9, no_repeat_ngram_size=1))
    with torch.inference_mode():
        for items, reported in zip(beams.items, beams.log_probability, strict=True):
            queries = model.queries(decoder.encoder_output, CONTINUE, table[items][None])[0, :-1]
            log_p = (queries @ table.T).log_softmax(-1)[torch.arange(5), items].sum()
            torch.testing.assert_close(reported, log_p, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"no_repeat_ngram_size": -1}, "neither may be below 0"),
        ({"same_group": 1.0}, "need to know the `group`"),
        ({"group": torch.zeros(ITEMS, dtype=torch.int64), "most_of_group": 0}, "at least 1, or None"),
    ],
)
def test_constraints_that_contradict_themselves_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        constraints(**settings)  # type: ignore[arg-type]


def test_searches_for_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="both must be at least 1"):
        beam_search(Toy(0), length=0, width=1, constraints=constraints())
    with pytest.raises(ConfigError, match="at least 1 group"):
        diverse_beam_search(Toy(0), length=2, groups=0, width=1, strength=1.0, constraints=constraints())
