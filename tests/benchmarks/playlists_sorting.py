"""Five numbers sorted by reading them as a set and pointing at them, after no, one and five readings: Order Matters, table 1."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.decoders.pointer import PointerConfig, PointerContext, PointerDecoder
from models.encoders.set_process import ProcessConfig, SetProcess
from tests.benchmarks.harness import Row, in_two_workers

NUMBERS, WIDTH, BATCH, STEPS, TESTED = 5, 128, 128, 10_000, 2000
READINGS = (0, 1, 5)
SEED = 0
PAPER = {0: 0.65, 1: 0.84, 5: 0.88}
"""What the paper has without a glimpse."""


class Sorter(nn.Module):
    """Read, process, write, without a glimpse: what is pointed at is what was read. As in the paper nothing rules out what was
    written already: with such a mask the largest of the rest is enough, which asks for no reading."""

    def __init__(self, readings: int) -> None:
        super().__init__()
        self.lift = nn.Linear(1, WIDTH)
        self.process = SetProcess(ProcessConfig(hidden=WIDTH, steps=readings), dim=WIDTH)
        self.write = PointerDecoder(PointerConfig(hidden=WIDTH, glimpse=False), dim=WIDTH)
        nn.init.normal_(self.write.point.score.weight, std=WIDTH**-0.5)  # there are no base scores to begin with

    def seen(self, x: Tensor) -> PointerContext:
        """What is written from numbers `x` (sets, numbers)."""
        lifted, real = self.lift(x[..., None]), torch.ones_like(x, dtype=torch.bool)
        memory = self.process.read_block(lifted)
        return PointerContext(self.process(lifted, real), memory, real, memory, torch.zeros_like(x))

    def loss(self, x: Tensor) -> Tensor:
        """Mean cross-entropy of the next larger number, all before it given."""
        seen, order = self.seen(x), x.argsort(dim=1)
        written = seen.candidates[torch.arange(len(x))[:, None], order[:, :-1]]
        _, logits = self.write(self.write.start(seen), torch.cat([self.write.first_input(len(x)), written], dim=1))
        return cross_entropy(logits.flatten(0, 1), order.flatten())

    @torch.inference_mode()
    def sorted(self, x: Tensor) -> Tensor:
        """Places in the order written, each the likeliest."""
        seen = self.seen(x)
        state, previous, order = self.write.start(seen), self.write.first_input(len(x)), list[Tensor]()
        for _ in range(NUMBERS):
            state, logits = self.write(state, previous)
            chosen = logits[:, 0].argmax(dim=1)
            order.append(chosen)
            previous = seen.candidates[torch.arange(len(x)), chosen][:, None]
        return torch.stack(order, dim=1)


def sorting(_: Path) -> Iterator[Row]:
    """Share of sets that come out wholly in order: the more readings the more, and .85 after five."""
    found = list(in_two_workers(accuracy, [(readings,) for readings in READINGS]))
    for readings, right, before in zip(READINGS, found, (0.0, *found), strict=False):
        enough = right > before and (readings < READINGS[-1] or right > 0.85)
        yield Row(
            what=f"five numbers sorted after {readings} readings",
            value={"right": right, "paper": PAPER[readings]},
            must="more than after fewer readings; > .85 after five",
            holds=enough,
            seed=SEED,
            n=TESTED,
        )


def accuracy(readings: int) -> float:
    """Of a model trained for `STEPS` steps, on numbers that it has never met."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model, generator = Sorter(readings), torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(STEPS):
        loss = model.loss(torch.rand(BATCH, NUMBERS, generator=generator))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
    x = torch.rand(TESTED, NUMBERS, generator=generator)
    return float((model.sorted(x) == x.argsort(dim=1)).all(dim=1).float().mean())
