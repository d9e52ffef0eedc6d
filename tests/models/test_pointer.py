"""The pointer decoder and the search over output orders: formulas, invariances, and a language with one easy order."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from models.decoders.pointer import PointerConfig, PointerContext, PointerDecoder
from models.encoders.set_process import ProcessConfig, SetProcess
from models.errors import ConfigError
from models.objectives.order_search import ordered_loss, sampled_order, uniform_order

DIM = 6


def decoder(*, glimpse: bool = True, taught: bool = True) -> PointerDecoder:
    torch.manual_seed(0)
    model = PointerDecoder(PointerConfig(hidden=5, glimpse=glimpse), dim=DIM).double().eval()
    if taught:
        nn.init.normal_(model.point.score.weight)
    return model


def context(elements: int = 4, candidates: int = 7, batch: int = 2) -> PointerContext:
    generator = torch.Generator().manual_seed(elements)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    real = torch.ones(batch, elements, dtype=torch.bool)
    return PointerContext(
        normal(batch, DIM),
        normal(batch, elements, DIM),
        real,
        normal(batch, candidates, DIM),
        normal(batch, candidates),
    )


def test_a_step_is_the_papers_formula_on_top_of_the_base_scores() -> None:
    model, over = decoder(), context()
    state, logits = model(model.start(over), model.first_input(2))
    assert model.glimpse is not None
    assert model.project_glimpse is not None
    for row in range(2):
        g = state.hidden[row]
        u = [
            model.glimpse.score(torch.tanh(model.glimpse.of_element(m) + model.glimpse.of_state(g)))
            for m in over.elements[row]
        ]
        look = (torch.cat(u).softmax(0)[:, None] * over.elements[row]).sum(0)
        g = g + model.project_glimpse(look)
        points = [
            model.point.score(torch.tanh(model.point.of_element(c) + model.point.of_state(g)))
            for c in over.candidates[row]
        ]
        torch.testing.assert_close(logits[row, 0], over.base[row] + torch.cat(points))


def test_untrained_it_repeats_what_the_candidates_had() -> None:
    model, over = decoder(taught=False), context()
    _, logits = model(model.start(over), model.first_input(2))
    torch.testing.assert_close(logits[:, 0], over.base)


def test_neither_the_order_of_the_set_nor_padding_matters() -> None:
    model, over = decoder(), context()
    _, whole = model(model.start(over), model.first_input(2))
    order = torch.tensor([2, 0, 3, 1])
    padded = torch.cat([over.elements[:, order], torch.ones(2, 3, DIM, dtype=torch.float64)], dim=1)
    real = torch.arange(7).expand(2, 7) < 4
    _, other = model(
        model.start(PointerContext(over.set, padded, real, over.candidates, over.base)), model.first_input(2)
    )
    torch.testing.assert_close(other, whole)


def test_candidates_move_with_their_scores() -> None:
    model, over = decoder(), context()
    order = torch.tensor([6, 2, 0, 1, 5, 3, 4])
    _, whole = model(model.start(over), model.first_input(2))
    moved = PointerContext(over.set, over.elements, over.real, over.candidates[:, order], over.base[:, order])
    torch.testing.assert_close(model(model.start(moved), model.first_input(2))[1], whole[:, :, order])


def test_step_by_step_equals_at_once() -> None:
    model, over = decoder(), context()
    previous = torch.cat([model.first_input(2), over.candidates[:, :3]], dim=1)
    _, whole = model(model.start(over), previous)
    state = model.start(over).select(torch.tensor([1, 0]))
    for step in range(4):
        state, logits = model(state, previous.flip(0)[:, step : step + 1])
        torch.testing.assert_close(logits[:, 0], whole.flip(0)[:, step])


def test_without_steps_and_glimpse_the_set_is_not_context() -> None:
    torch.manual_seed(0)
    process = SetProcess(ProcessConfig(hidden=5, steps=0), dim=DIM).double().eval()
    model, logits = decoder(glimpse=False), []
    for elements in (3, 6):
        over, shared = context(elements), context(2)
        vector = process(over.elements, over.real)
        replaced = PointerContext(vector, over.elements, over.real, shared.candidates, shared.base)
        logits.append(model(model.start(replaced), model.first_input(2))[1])
    torch.testing.assert_close(logits[0], logits[1])


class Chain(nn.Module):
    """Elements (slot, word) written knowing only the one before: some orders are easier for it than others."""

    WORDS = (8, 4, 2)
    OFFSETS = (0, 8, 12)

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(15, 14)  # row 14: nothing was written yet
        nn.init.normal_(self.table.weight, std=0.3)
        self.rows = 0

    def logits(self, written: Tensor) -> Tensor:
        before = torch.cat([torch.full((len(written), 1), 14), written[:, :-1]], dim=1)
        return self.table(before)

    def start(self) -> tuple[None, Tensor]:
        return None, self.table(torch.full((self.rows,), 14)).log_softmax(-1)

    def step(self, state: None, written: Tensor) -> tuple[None, Tensor]:
        return state, self.table(written).log_softmax(-1)

    def select(self, state: None, rows: Tensor) -> None:
        raise AssertionError(f"an order is drawn without taking {rows} of {state}")


def language(n: int, generator: torch.Generator) -> Tensor:
    """A word, its half and its quarter: each follows from the word before, but slot 2 does not follow from slot 3."""
    word = torch.randint(8, (n,), generator=generator)
    slots = (word, word // 2, word // 4)
    return torch.stack([values + offset for values, offset in zip(slots, Chain.OFFSETS, strict=True)], dim=1)


def learned(kind: str, *, steps: int = 250, warm: int = 60) -> float:
    """Nats a set at the end, in the order that the model was trained in or has settled on."""
    torch.manual_seed(1)
    model, generator = Chain(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.rows, last = 128, list[float]()
    real = torch.ones(128, 3, dtype=torch.bool)
    for step in range(steps):
        sets = language(128, generator)
        if kind == "search":
            sets = uniform_order(sets, real, seed=step) if step < warm else sampled_order(model, sets, real, seed=step)
        elif kind == "hard":
            sets = sets[:, [0, 2, 1]]
        loss = ordered_loss(model.logits(sets), sets, real)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        last.append(float(loss.detach()))
    return sum(last[-20:]) / 20


@pytest.mark.slow
def test_the_search_ends_within_two_percent_of_the_easy_order() -> None:
    easy, hard, search = (learned(kind) for kind in ("easy", "hard", "search"))
    assert hard > 1.2 * easy
    assert search < 1.02 * easy


def test_orders_are_drawn_as_the_model_has_them() -> None:
    """Two elements, of which the model puts the first first three times in four."""
    model = Chain()
    model.rows = 4000
    with torch.no_grad():
        model.table.weight[14] = torch.full((14,), -20.0)
        model.table.weight[14, 0], model.table.weight[14, 8] = torch.tensor(3.0).log(), 0.0
    targets, real = torch.tensor([[8, 0]]).expand(4000, 2), torch.ones(4000, 2, dtype=torch.bool)
    counts = Counter(map(tuple, sampled_order(model, targets, real, seed=0).tolist()))
    assert set(counts) == {(0, 8), (8, 0)}
    assert counts[0, 8] / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("search", [True, False])
def test_every_element_is_drawn_once_and_padding_stays_behind(search: bool) -> None:
    model = Chain()
    model.rows = 3
    targets = torch.tensor([[0, 8, 12], [3, 9, 0], [7, 0, 0]])
    real = torch.tensor([[True] * 3, [True, True, False], [True, False, False]])
    order = sampled_order(model, targets, real, seed=0) if search else uniform_order(targets, real, seed=0)
    for row, length in enumerate((3, 2, 1)):
        assert sorted(order[row, :length].tolist()) == sorted(targets[row, :length].tolist())


def test_the_loss_is_the_probability_of_the_set_in_its_order() -> None:
    logits = torch.randn(2, 3, 4, dtype=torch.float64)
    targets, real = torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.tensor([[True] * 3, [True, False, False]])
    by_hand = [sum(-float(logits[b, t].log_softmax(0)[targets[b, t]]) for t in range(n)) for b, n in ((0, 3), (1, 1))]
    assert float(ordered_loss(logits, targets, real)) == pytest.approx(sum(by_hand) / 2)


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="hidden=0: must be at least 1"):
        PointerConfig(hidden=0)
