"""The recurrent encoder and decoder of lists: against torch's own recurrences, and what a list's vector keeps and loses."""

from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, normalize
from torch.nn.utils.rnn import pack_padded_sequence

from models.decoders.attentive import PlaylistDecoder
from models.encoders.seq2seq import EncoderOutput, PlaylistConfig, PlaylistEncoder, lag_similarity, reverse_padded
from models.errors import ConfigError, ShapeError
from models.lists import RECONSTRUCT, PlaylistModel
from tests.models.timelines import timeline

SMALL = PlaylistConfig(dim=6, hidden=5, max_length=12, dropout=0.3)
VARIANTS = [
    SMALL,
    replace(SMALL, cell="lstm", layers=2),
    replace(SMALL, bidirectional=True),
    replace(SMALL, backwards=True, conditioned=False),
    replace(SMALL, bidirectional=True, attention=True, cell="lstm"),
]


def encoder(config: PlaylistConfig) -> PlaylistEncoder:
    torch.manual_seed(1)
    return PlaylistEncoder(config).double().eval()


def decoder(config: PlaylistConfig) -> PlaylistDecoder:
    torch.manual_seed(2)
    return PlaylistDecoder(config).double().eval()


def lists(*lengths: int, width: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(sum(lengths))
    return torch.randn(len(lengths), width or max(lengths), 6, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_vector_is_that_of_torchs_packed_bidirectional_recurrence(cell: str) -> None:
    mine = encoder(replace(SMALL, bidirectional=True, cell=cell, counting=False, nearness=0))  # type: ignore[arg-type]
    kind = nn.GRU if cell == "gru" else nn.LSTM
    theirs = kind(6, 5, batch_first=True, bidirectional=True).double()
    state: dict[str, Tensor] = {}
    for suffix, rnn in zip(("", "_reverse"), mine.rnns, strict=True):
        state |= {f"{name}{suffix}": value for name, value in rnn.state_dict().items()}
    theirs.load_state_dict(state)
    x, lengths = lists(7, 3, 1), [7, 3, 1]
    _, last = theirs(pack_padded_sequence(x, torch.tensor(lengths), batch_first=True))
    last = last[0] if cell == "lstm" else last
    torch.testing.assert_close(mine(x, timeline(*lengths)).last_state, torch.cat([last[0], last[1]], dim=-1))


@pytest.mark.parametrize("config", VARIANTS)
@given(length=st.integers(1, 6), padding=st.integers(1, 6))
def test_padding_and_company_never_change_a_list(config: PlaylistConfig, length: int, padding: int) -> None:
    x = lists(length, length + padding, 2)
    together = encoder(config)(x, timeline(length, length + padding, 2)).last_state[0]
    single = encoder(config)(x[:1, :length], timeline(length)).last_state[0]
    torch.testing.assert_close(together, single)


def test_with_tied_directions_reversing_a_list_swaps_the_halves_of_its_vector() -> None:
    model = encoder(replace(SMALL, bidirectional=True))
    model.rnns[1].load_state_dict(model.rnns[0].state_dict())
    x, when = lists(6, 4), timeline(6, 4)
    there, back = model(x, when).last_state, model(reverse_padded(x, torch.tensor([6, 4])), when).last_state
    torch.testing.assert_close(back, torch.cat(there.chunk(2, dim=-1)[::-1], dim=-1))


def test_encoding_backwards_is_encoding_the_reversed_list() -> None:
    forwards, backwards = encoder(SMALL), encoder(replace(SMALL, backwards=True))
    x, lengths = lists(6, 4), torch.tensor([6, 4])
    torch.testing.assert_close(
        backwards(x, timeline(6, 4)).last_state, forwards(reverse_padded(x, lengths), timeline(6, 4)).last_state
    )


@pytest.mark.parametrize("config", VARIANTS)
def test_an_empty_list_has_a_vector_of_zeros_and_can_be_written_from(config: PlaylistConfig) -> None:
    output = encoder(config)(lists(3, 0, width=3), timeline(3, 0, width=3))
    assert not output.last_state[1].any()
    write = decoder(config)
    _, queries = write(write.start(output), lists(2, 2))
    assert torch.isfinite(queries).all()


def test_a_list_embedding_is_last_state_mean_state_mean_item_and_local_order() -> None:
    output = encoder(SMALL)(lists(4, 2), timeline(4, 2))
    x = lists(4, 2)[1, :2]
    cosine = float(cosine_similarity(x[0], x[1], dim=0))
    order = x.new_tensor([cosine / 2, 0, 0, max(0.0, -cosine) / 2, max(0.0, -cosine) / 2])  # of the first item 0 - 0
    torch.testing.assert_close(
        output.list_embedding[1],
        torch.cat([output.states[1, 1], output.states[1, :2].mean(dim=0), x.mean(dim=0), order]),
    )


def test_a_swap_where_two_runs_meet_shows_in_the_local_order() -> None:
    runs = torch.eye(6, dtype=torch.float64)[[0, 0, 0, 1, 1, 1]][None]
    swapped = runs[:, [0, 0, 3, 2, 4, 5]]
    model, when = encoder(SMALL), timeline(6)
    torch.testing.assert_close(model(swapped, when).mean_item, model(runs, when).mean_item)
    ordered, mixed = model(runs, when).local_order[0], model(swapped, when).local_order[0]
    assert mixed[0] < ordered[0]  # neighbours are less alike
    assert mixed[3] > ordered[3]  # and some are more like the one but last


@torch.inference_mode()
def test_the_encoder_counts() -> None:
    """Of one item repeated, the state without counting runs into a fixed point; with it, lengths stay apart."""
    x = lists(1).expand(1, 200, 6)

    def apart(config: PlaylistConfig) -> float:
        model = encoder(replace(config, max_length=200))
        return float((model(x[:, :150], timeline(150)).last_state - model(x, timeline(200)).last_state).abs().max())

    assert apart(SMALL) > 1e-3 > 1e-9 > apart(replace(SMALL, counting=False))


@given(length=st.integers(1, 6), lags=st.integers(1, 8))
def test_lag_similarities_are_the_cosines_with_the_items_before(length: int, lags: int) -> None:
    x = lists(length)
    similarity = lag_similarity(x, lags=lags)
    for at in range(length):
        for lag in range(1, lags + 1):
            expected = cosine_similarity(x[0, at], x[0, at - lag], dim=0) if lag <= at else torch.tensor(0.0).double()
            torch.testing.assert_close(similarity[0, at, lag - 1], expected)


def test_the_order_of_items_changes_the_vector() -> None:
    x = lists(5)
    swapped = x[:, [0, 2, 1, 3, 4]]
    model = encoder(SMALL)
    assert not torch.allclose(model(x, timeline(5)).last_state, model(swapped, timeline(5)).last_state, atol=1e-4)


@pytest.mark.parametrize("config", VARIANTS)
def test_writing_step_by_step_equals_writing_at_once_also_with_beams_reordered(config: PlaylistConfig) -> None:
    output, write = encoder(config)(lists(5, 3), timeline(5, 3)), decoder(config)
    written = lists(4, 4)
    _, whole = write(write.start(output), written)
    state, order = write.start(output).select(torch.tensor([1, 0, 1])), torch.tensor([1, 0, 1])
    for step in range(4):
        state, query = write(state, written[order][:, step : step + 1])
        torch.testing.assert_close(query[:, 0], whole[order, step])


@pytest.mark.parametrize("conditioned", [True, False])
def test_a_conditioned_decoder_sees_the_last_state_at_every_step(conditioned: bool) -> None:
    """From the same start, with another last state of the encoder."""
    config = replace(SMALL, conditioned=conditioned, attention=False)
    output, write = encoder(config)(lists(5, 3), timeline(5, 3)), decoder(config)
    state, written = write.start(output), lists(4, 3)
    other = replace(state, encoder_output=replace(output, last_state=output.last_state + 1))
    changes = (write(other, written)[1] - write(state, written)[1]).abs().amax(dim=-1) > 1e-4
    assert changes.all() if conditioned else not changes.any()


@torch.inference_mode()
def test_attention_is_its_formula() -> None:
    config = replace(SMALL, attention=True)
    write, output = decoder(config), encoder(config)(lists(4, 2), timeline(4, 2))
    state = torch.randn(2, 5, dtype=torch.float64)
    attention = write.attention
    assert attention is not None
    for row, length in ((0, 4), (1, 2)):
        scores = [
            float(attention.score.weight @ torch.tanh(attention.of_state(state[row]) + attention.of_encoder(h)))
            for h in output.states[row, :length]
        ]
        weights = torch.tensor(scores, dtype=torch.float64).softmax(0)
        expected = sum(w * h for w, h in zip(weights, output.states[row], strict=False))
        torch.testing.assert_close(attention(state, output)[row, 0], expected)


def trained(config: PlaylistConfig, table: Tensor, batch: Tensor, *, steps: int, rate: float = 1e-2) -> PlaylistModel:
    """An autoencoder of the lists `batch` (lists, time) over fixed item vectors."""
    torch.manual_seed(0)
    model = PlaylistModel(config, temperature=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    when = timeline(*[batch.shape[1]] * len(batch))
    for _ in range(steps):
        loss = cross_entropy(logits(model, table, batch, batch).flatten(0, 1), batch.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    assert when.real.all()
    return model.eval()


def logits(model: PlaylistModel, table: Tensor, source: Tensor, target: Tensor) -> Tensor:
    scale = table.shape[1] ** 0.5
    output: EncoderOutput = model.encoder(table[source] * scale, timeline(*[source.shape[1]] * len(source)))
    return model.queries(output, RECONSTRUCT, table[target] * scale)[:, :-1] @ table.T


@torch.inference_mode()
def greedy_accuracy(model: PlaylistModel, table: Tensor, batch: Tensor) -> float:
    """Share of items that greedy decoding reproduces."""
    scale = table.shape[1] ** 0.5
    output = model.encoder(table[batch] * scale, timeline(*[batch.shape[1]] * len(batch)))
    state, x, right = model.decoder.start(output), model.first_input(RECONSTRUCT, batch=len(batch)), 0
    for target in batch.T:
        state, query = model.step(state, x)
        chosen = (query @ table.T).argmax(dim=1)
        right += int((chosen == target).sum())
        x = table[chosen][:, None] * scale
    return right / batch.numel()


@pytest.mark.slow
def test_the_vector_alone_holds_32_lists() -> None:
    """Without attention the decoder sees only the last state, so overfitting shows how much that can hold."""
    generator = torch.Generator().manual_seed(0)
    table = normalize(torch.randn(40, 16, generator=generator), dim=-1)
    batch = torch.randint(40, (32, 10), generator=generator)
    model = trained(PlaylistConfig(dim=16, hidden=64, dropout=0.0), table, batch, steps=150)
    assert greedy_accuracy(model, table, batch) > 0.99


@pytest.mark.slow
def test_a_source_read_backwards_is_learned_to_be_copied_in_fewer_steps() -> None:
    """The first item to be written was then the last one read (Sutskever et al., section 3.3)."""
    generator = torch.Generator().manual_seed(1)
    table = normalize(torch.randn(20, 16, generator=generator), dim=-1)
    pool = torch.randint(20, (1500, 6), generator=generator)

    def steps_to_copy(config: PlaylistConfig) -> int:
        torch.manual_seed(0)
        model = PlaylistModel(config, temperature=0.1)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        for step in range(1, 601):
            batch = pool[torch.randint(len(pool), (32,))]
            scores = logits(model, table, batch, batch)
            loss = cross_entropy(scores.flatten(0, 1), batch.flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if (scores.argmax(-1) == batch).float().mean() >= 0.9:
                return step
        return 601

    plain = PlaylistConfig(dim=16, hidden=48, dropout=0.0, conditioned=False)
    assert steps_to_copy(replace(plain, backwards=True)) < steps_to_copy(plain)


def test_longer_lists_than_it_takes_are_refused() -> None:
    with pytest.raises(ShapeError, match="13 items: this encoder takes 12; cut the list"):
        encoder(SMALL)(lists(13), timeline(13))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "at least 1"),
        ({"dropout": 1.0}, "must be in"),
        ({"backwards": True, "bidirectional": True}, "contradict each other"),
    ],
)
def test_settings_that_make_no_model_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PlaylistConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", VARIANTS)
def test_the_settings_survive_json(config: PlaylistConfig) -> None:
    assert PlaylistConfig(**asdict(config)) == config
