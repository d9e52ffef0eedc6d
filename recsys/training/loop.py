"""One training run: batches, steps, validation, early stop, checkpoints that resume to the same bits."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import TrainingError, check_ranges
from recsys.training.checkpoints import Resumed, exclusive_lock, load_checkpoint, save_checkpoint
from recsys.training.plan import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """`patience` counts epochs without a better validation figure; without validation the run takes all `epochs`.

    The learning rate rises over `warmup_steps`; a linear schedule then lets it fall to 0 at the end of `epochs`. `stop`:
    end after this epoch without shortening the schedule, so that a refit repeats the selected run step for step.
    """

    epochs: int = 60
    stop: int | None = None
    patience: int = 8
    schedule: Literal["constant", "linear"] = "linear"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 50
    accumulate: int = 1
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, epochs=(1, inf), patience=(1, inf), warmup_steps=(1, inf), accumulate=(1, inf))
        check_ranges(self, learning_rate=(0, inf), weight_decay=(0, inf), clip=(0, inf))


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave; `best` is the epoch (from 1) of the best figure so far, `figure` None without validation."""

    number: int
    loss: float
    figure: float | None
    best: int
    seconds: float


def run(
    model: nn.Module,
    *,
    batches: Callable[[np.random.Generator], Iterable[Any]],
    loss: Callable[[Any, np.random.Generator], Tensor],
    validate: Callable[[], float] | None,
    config: LoopConfig,
    context: RunContext,
    faster: Callable[[str], float] = lambda _: 1.0,
) -> Generator[Epoch, None, int]:
    """Trains `model` in place and yields after each epoch; at the end it holds the weights of the best epoch, whose number
    is what the generator returns: also where a resumed run had nothing left to do and yields nothing. `faster` says by how
    much the rate of a parameter, by name, is multiplied.

    All randomness of epoch n comes from (seed, n), and a checkpoint is written after each epoch, so that a run resumed
    after a kill goes on to the same bits.

    Raises:
        TrainingError: the loss is no longer finite, and the message says where; or another process is at this run.
    """
    optimizer = torch.optim.AdamW(
        _groups(model, faster), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.98), fused=True
    )
    checkpoint = context.checkpoint
    with exclusive_lock(checkpoint):
        resumed = context.resume and checkpoint is not None and checkpoint.exists()
        state = load_checkpoint(checkpoint, model, optimizer) if resumed and checkpoint else None
        done, step, best = (state.epoch, state.step, state.best) if state else (0, 0, 0)
        best_figure = state.best_figure if state else -np.inf
        best_weights = state.best_weights if state else None
        for number in range(done + 1, (config.stop or config.epochs) + 1):
            if validate and number - 1 - best >= config.patience and best:
                break
            started = time.monotonic()
            generator = np.random.default_rng([context.seed, number])
            torch.manual_seed(int(generator.integers(2**62)))
            step, mean = _epoch(
                model, optimizer, list(batches(generator)), loss, config, generator, step=step, number=number
            )
            figure = None
            if validate:
                figure = validate()
                if figure > best_figure:
                    best, best_figure = number, figure
                    best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
            else:
                best = number
            if checkpoint:
                save_checkpoint(
                    checkpoint, model, optimizer, Resumed(number, step, best, float(best_figure), best_weights)
                )
            yield Epoch(number, mean, figure, best, time.monotonic() - started)
        if best_weights is not None:
            model.load_state_dict(best_weights)
        return best


def _groups(model: nn.Module, faster: Callable[[str], float]) -> list[dict[str, Any]]:
    """The parameters by what their rate is multiplied by."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        groups.setdefault(faster(name), []).append(weight)
    return [{"params": weights, "faster": times} for times, weights in groups.items()]


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Any],
    loss: Callable[[Any, np.random.Generator], Tensor],
    config: LoopConfig,
    generator: np.random.Generator,
    *,
    step: int,
    number: int,
) -> tuple[int, float]:
    """One pass over `batches`: (steps taken so far, mean loss)."""
    model.train()
    losses: list[float] = []
    pending = 0
    for index, batch in enumerate(batches):
        value = loss(batch, generator)
        losses.append(float(value.detach()))
        if not np.isfinite(losses[-1]):
            raise TrainingError(
                f"loss is {losses[-1]} at epoch {number}, batch {index}, step {step}: lower the learning rate "
                f"({config.learning_rate}) or look at that batch; the last checkpoint is kept"
            )
        accumulated = min(config.accumulate, len(batches) - index + pending)  # the last ones of an epoch may be fewer
        (value / accumulated).backward()  # type: ignore[no-untyped-call]
        pending += 1
        if pending == config.accumulate or index == len(batches) - 1:
            rate = learning_rate(config, step=step, epochs=number - 1 + index / len(batches))
            step, pending = _update(model, optimizer, rate, clip=config.clip, step=step), 0
    return step, float(np.mean(losses))


def learning_rate(config: LoopConfig, *, step: int, epochs: float) -> float:
    """The rate of the next step after `step` of them, with `epochs` of the schedule gone; nothing else is remembered."""
    rate = config.learning_rate * min(1.0, (step + 1) / config.warmup_steps)
    return rate if config.schedule == "constant" else rate * (1 - epochs / config.epochs)


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, rate: float, *, clip: float, step: int) -> int:
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["faster"]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return step + 1
