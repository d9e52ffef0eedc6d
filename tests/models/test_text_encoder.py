"""The text encoder is BERT, stops after any layer, and never mixes up rows, padding or experts."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import BertConfig, BertModel

from models.batch import TokenBatch
from models.encoders.text import (
    TextEncoder,
    TextEncoderConfig,
    expert_parameters,
    with_expert,
    with_experts,
)
from models.errors import ConfigError, ShapeError
from models.pooling.mean import mean
from models.pooling.nested import truncate
from models.pretrained import from_bert

CONFIG = TextEncoderConfig(vocabulary=50, dim=16, layers=3, heads=2, expansion=2, max_length=12)
CLS = 2


def batch(lengths: list[int], *, experts: list[int] | None = None, seed: int = 0) -> TokenBatch:
    generator = torch.Generator().manual_seed(seed)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    tokens = torch.randint(5, 50, real.shape, generator=generator) * real
    tokens[:, 0] = CLS
    return TokenBatch(tokens, real, None if experts is None else torch.tensor(experts))


def rows(whole: TokenBatch, chosen: list[int]) -> TokenBatch:
    expert = None if whole.expert is None else whole.expert[chosen]
    return TokenBatch(whole.tokens[chosen], whole.real[chosen], expert)


@pytest.fixture
def encoder() -> TextEncoder:
    return TextEncoder(CONFIG).double().eval()


def specialised(encoder: TextEncoder, *, experts: int, layers: int) -> TextEncoder:
    """Experts and domain tokens moved apart, as training would."""
    wide = with_experts(encoder, experts=experts, layers=layers, cls=CLS).double()
    generator = torch.Generator().manual_seed(1)
    for name, weight in wide.named_parameters():
        if "experts" in name or "domains" in name:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return wide


def test_it_gives_the_hidden_states_of_transformers() -> None:
    about = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    theirs = BertModel(about)
    theirs.train(False)
    encoder = TextEncoder(CONFIG).eval()
    encoder.load_state_dict(from_bert(theirs.state_dict(), CONFIG))
    tokens = batch([7, 12, 1])
    exits = encoder.exits(tokens, {1, 2, 3})
    states = theirs(tokens.tokens, attention_mask=tokens.real.long(), output_hidden_states=True).hidden_states
    for layer in (1, 2, 3):
        torch.testing.assert_close(exits[layer], mean(states[layer], tokens.real), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_early_exit_is_the_state_of_the_full_run(encoder: TextEncoder, layers: int) -> None:
    tokens = batch([5, 9, 2])
    x, states = encoder.embed(tokens), []
    for layer in encoder.layers:
        x = layer(x, tokens.real, None)
        states.append(mean(x, tokens.real))
    torch.testing.assert_close(encoder.exits(tokens, {layers})[layers], states[layers - 1], atol=1e-12, rtol=0)
    torch.testing.assert_close(encoder.exits(tokens, {1, 2, 3})[layers], states[layers - 1], atol=1e-12, rtol=0)


@pytest.mark.slow
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.sampled_from([0, 2]))
def test_a_vector_depends_on_its_text_alone(lengths: list[int], experts: int) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(CONFIG).double().eval()
    if experts:
        encoder = specialised(encoder, experts=experts, layers=2)
    whole = batch(lengths, experts=[i % 2 for i in range(len(lengths))] if experts else None)
    together = encoder(whole)
    order = list(reversed(range(len(lengths))))
    torch.testing.assert_close(encoder(rows(whole, order)), together[order])
    for i, length in enumerate(lengths):
        row = rows(whole, [i])
        unpadded = TokenBatch(row.tokens[:, :length], row.real[:, :length], row.expert)
        torch.testing.assert_close(encoder(unpadded)[0], together[i])


@given(st.integers(1, 16), st.integers(1, 16))
def test_nested_cutting_commutes(wide: int, narrow: int) -> None:
    wide, narrow = max(wide, narrow), min(wide, narrow)
    x = torch.randn(4, 16, dtype=torch.float64)
    torch.testing.assert_close(truncate(truncate(x, wide), narrow), truncate(x, narrow), atol=1e-12, rtol=0)


def test_a_cut_without_normalising_ranks_otherwise() -> None:
    """Why prefixes are normalised anew: the first item points the same way, but most of its length lies in the part cut off."""
    query = truncate(torch.tensor([[1.0, 0.0, 0.0]]), 3)
    items = truncate(torch.tensor([[0.3, 0.0, 0.95], [0.8, 0.6, 0.0]]), 3)
    raw = (query[:, :2] @ items[:, :2].T).squeeze(0)
    again = (truncate(query, 2) @ truncate(items, 2).T).squeeze(0)
    assert raw.argmax() == 1
    assert again.argmax() == 0


def test_the_cut_of_zeros_is_no_nan() -> None:
    assert truncate(torch.zeros(2, 8), 4).isfinite().all()


class TestExperts:
    def test_at_the_start_every_expert_gives_the_dense_vectors(self, encoder: TextEncoder) -> None:
        wide = with_experts(encoder, experts=3, layers=3, cls=CLS)
        for experts in ([0, 0, 0], [2, 0, 1], [1, 1, 2]):
            tokens = batch([4, 8, 3], experts=experts)
            torch.testing.assert_close(wide(tokens), encoder(tokens), atol=1e-12, rtol=0)

    def test_it_is_as_many_dense_models_run_separately(self, encoder: TextEncoder) -> None:
        """Forward, and the gradient of each expert."""
        wide = specialised(encoder, experts=3, layers=2)
        tokens = batch([4, 8, 3, 6, 5], experts=[2, 0, 2, 0, 2])
        aim = torch.randn(5, 16, dtype=torch.float64)
        together = wide(tokens)
        (together * aim).sum().backward()
        for expert in (0, 2):
            chosen = [i for i, number in enumerate([2, 0, 2, 0, 2]) if number == expert]
            dense = as_dense(wide, expert)
            separate = dense(rows(tokens, chosen))
            torch.testing.assert_close(separate, together[chosen], atol=1e-10, rtol=0)
            (separate * aim[chosen]).sum().backward()
            for ours, theirs in zip(expert_parameters(wide, expert), gradients_of(dense), strict=True):
                torch.testing.assert_close(ours.grad, theirs, atol=1e-10, rtol=0)
        assert all(weight.grad is None for weight in expert_parameters(wide, 1))

    def test_no_optimizer_moves_an_absent_expert(self, encoder: TextEncoder) -> None:
        """Neither by decay nor by the momentum of steps in which it was present."""
        wide = specialised(encoder, experts=3, layers=2)
        optimizer = torch.optim.AdamW(wide.parameters(), lr=0.1, weight_decay=0.5)
        before: list[Tensor] = []
        for seed, experts in enumerate(([0, 1], [0, 2], [2, 2], [0, 0])):
            optimizer.zero_grad()
            wide(batch([4, 5], experts=experts, seed=seed)).sum().backward()
            optimizer.step()
            before = before or [weight.detach().clone() for weight in expert_parameters(wide, 1)]
        for old, new in zip(before, expert_parameters(wide, 1), strict=True):
            assert torch.equal(old, new)

    def test_a_new_domain_leaves_every_old_vector_bit_for_bit(self, encoder: TextEncoder) -> None:
        old = specialised(encoder, experts=3, layers=2)
        tokens = batch([4, 8, 3, 7], experts=[0, 1, 2, 1])
        grown = with_expert(old)
        assert torch.equal(grown(tokens), old(tokens))
        new = batch([4, 8], experts=[3, 3])
        torch.testing.assert_close(grown(new), old(replace(new, expert=torch.tensor([0, 0]))), atol=0, rtol=0)
        optimizer = torch.optim.AdamW(expert_parameters(grown, 3), lr=0.1)
        grown(new).sum().backward()
        optimizer.step()
        assert torch.equal(grown(tokens), old(tokens))
        assert not torch.equal(grown(new), old(replace(new, expert=torch.tensor([0, 0]))))

    def test_the_token_of_the_domain_and_its_expert_are_two_signals(self, encoder: TextEncoder) -> None:
        wide = with_experts(encoder, experts=2, layers=2, cls=CLS)
        tokens, other = batch([5, 5], experts=[0, 0]), batch([5, 5], experts=[1, 1])
        wide.domains[1].data[0] += 0.5
        assert not torch.allclose(wide(tokens), wide(other))

    def test_without_labels_the_general_expert_reads(self, encoder: TextEncoder) -> None:
        wide = specialised(encoder, experts=2, layers=2)
        torch.testing.assert_close(wide(batch([5, 3])), wide(batch([5, 3], experts=[0, 0])))

    def test_no_text_has_no_vector(self, encoder: TextEncoder) -> None:
        nothing = TokenBatch(torch.zeros(0, 3, dtype=torch.int64), torch.ones(0, 3, dtype=torch.bool))
        assert specialised(encoder, experts=2, layers=3)(nothing).shape == (0, 16)

    def test_an_encoder_has_its_experts_once(self, encoder: TextEncoder) -> None:
        with pytest.raises(ConfigError, match="2 experts already"):
            with_experts(with_experts(encoder, experts=2, layers=1, cls=CLS), experts=2, layers=1, cls=CLS)
        with pytest.raises(ConfigError, match="is dense"):
            with_expert(encoder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, "does not split"),
        ({"layers": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"experts": 2}, "at least 1 expert in 1 to 3 layers"),
        ({"experts": 2, "expert_layers": 4}, "in 1 to 3 layers"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextEncoder(replace(CONFIG, **settings))  # type: ignore[arg-type]


def test_what_it_does_not_have_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(ConfigError, match=r"layers=\[4\]: this encoder has 1 to 3"):
        encoder(batch([3]), layers=4)
    with pytest.raises(ConfigError, match="dims=17: these vectors have 1 to 16"):
        encoder(batch([3]), dims=17)
    with pytest.raises(ShapeError, match="13 tokens: this encoder reads 12"):
        encoder(batch([13]))
    with pytest.raises(ConfigError, match="expert 2: there are 2"):
        with_experts(encoder, experts=2, layers=1, cls=CLS)(batch([3], experts=[2]))


def as_dense(wide: TextEncoder, expert: int) -> TextEncoder:
    """The dense model that `expert` is: what is shared, its own feed-forward halves, its token in place of [CLS]."""
    dense = TextEncoder(CONFIG).double().eval()
    weights: dict[str, Tensor] = {}
    for name, weight in wide.state_dict().items():
        if ".experts." not in name:
            weights[name] = weight.clone()
        elif f".experts.{expert}." in name:
            weights[name.replace(f"experts.{expert}.", "")] = weight.clone()
    tokens = [weights.pop(f"domains.{number}") for number in range(wide.config.experts)]
    weights["tokens.weight"][CLS] = tokens[expert]
    dense.load_state_dict(weights)
    return dense


def gradients_of(dense: TextEncoder) -> list[Tensor | None]:
    """Of [CLS] and the feed-forward halves but the first, which has no experts."""
    assert dense.tokens.weight.grad is not None
    named = dense.named_parameters()
    feeds = [weight.grad for name, weight in named if ".feed." in name and not name.startswith("layers.0")]
    return [dense.tokens.weight.grad[CLS], *feeds]
