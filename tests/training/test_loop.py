"""The loop: learns, stops in time, resumes to the same bits after a kill, and says where it broke."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.errors import TrainingError
from recsys.training.loop import Epoch, LoopConfig, run
from recsys.training.plan import RunContext

CONFIG = LoopConfig(epochs=4, learning_rate=0.05, warmup_steps=2)
DATA = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))


def model() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(3, 1)


def batches(size: int) -> Callable[[np.random.Generator], list[Tensor]]:
    return lambda generator: list(torch.split(DATA[torch.from_numpy(generator.permutation(24))], size))


def loss_of(net: nn.Module) -> Callable[[Any, np.random.Generator], Tensor]:
    return lambda batch, _: ((net(batch).squeeze(1) - batch.sum(1)) ** 2).mean()


def context(checkpoints: Path | None = None, *, seed: int = 0, resume: bool = False) -> RunContext:
    return RunContext(name="x", seed=seed, checkpoints=checkpoints, resume=resume)


def fitted(
    net: nn.Linear,
    config: LoopConfig = CONFIG,
    *,
    size: int = 6,
    seed: int = 0,
    checkpoints: Path | None = None,
    resume: bool = False,
    **more: Any,
) -> list[Epoch]:
    more = {"validate": None} | more
    where = context(checkpoints, seed=seed, resume=resume)
    return list(run(net, batches=batches(size), loss=loss_of(net), config=config, context=where, **more))


def test_the_loss_falls_and_every_epoch_is_reported() -> None:
    epochs = fitted(model(), replace(CONFIG, epochs=20))
    assert [epoch.number for epoch in epochs] == list(range(1, 21))
    assert epochs[-1].loss < 0.1 * epochs[0].loss


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    nets = [model() for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        fitted(net, seed=seed)
    assert torch.equal(nets[0].weight, nets[1].weight)
    assert not torch.equal(nets[0].weight, nets[2].weight)


def test_a_weight_may_move_faster_than_the_others() -> None:
    one, three = model(), model()
    once = replace(CONFIG, epochs=1)
    before = {name: weight.detach().clone() for name, weight in one.named_parameters()}
    fitted(one, once, size=24)
    fitted(three, once, size=24, faster=lambda name: 3.0 if name == "bias" else 1.0)
    assert torch.equal(one.weight, three.weight)
    torch.testing.assert_close(three.bias - before["bias"], 3 * (one.bias - before["bias"]))


@pytest.mark.parametrize("accumulate", [3, 5])  # of 12 batches; 5 leaves 2 for the last step of an epoch
def test_accumulated_gradients_equal_the_larger_batch(accumulate: int) -> None:
    small, large = model(), model()
    fitted(small, replace(CONFIG, accumulate=accumulate, schedule="constant"), size=2)
    fitted(large, replace(CONFIG, schedule="constant"), size=2 * accumulate)
    torch.testing.assert_close(small.weight, large.weight)


def test_it_stops_early_and_keeps_the_best_weights() -> None:
    net, figures, seen = model(), iter([0.1, 0.5, 0.2, 0.2, 0.9]), list[Tensor]()

    def validate() -> float:
        seen.append(net.weight.detach().clone())
        return next(figures)

    epochs = fitted(net, replace(CONFIG, epochs=9, patience=2), validate=validate)
    assert [epoch.best for epoch in epochs] == [1, 2, 2, 2]
    assert torch.equal(net.weight, seen[1])


def test_a_loss_that_is_not_finite_says_where() -> None:
    net = model()
    calls = iter(range(100))

    def broken(batch: Tensor, _: np.random.Generator) -> Tensor:
        return net(batch).sum() * (torch.nan if next(calls) == 5 else 1)

    with pytest.raises(
        TrainingError, match=r"loss is nan at epoch 2, batch 1, step 5: lower the learning rate \(0.05\)"
    ):
        list(run(net, batches=batches(6), loss=broken, validate=None, config=CONFIG, context=context()))


def test_a_run_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    whole, cut = model(), model()
    fitted(whole)
    started = run(cut, batches=batches(6), loss=loss_of(cut), validate=None, config=CONFIG, context=context(tmp_path))
    assert [next(started).number, next(started).number] == [1, 2]
    started.close()
    resumed = model()
    epochs = fitted(resumed, checkpoints=tmp_path, resume=True)
    assert [epoch.number for epoch in epochs] == [3, 4]
    assert torch.equal(resumed.weight, whole.weight)


def test_a_run_that_had_ended_knows_its_best_epoch_when_it_is_resumed(tmp_path: Path) -> None:
    def best(net: nn.Linear) -> int:
        figures = iter([0.1, 0.5, 0.2, 0.2])
        started = run(
            net,
            batches=batches(6),
            loss=loss_of(net),
            validate=lambda: next(figures),
            config=replace(CONFIG, patience=2),
            context=context(tmp_path, resume=True),
        )
        while True:
            try:
                next(started)
            except StopIteration as end:
                return int(end.value)

    whole, again = model(), model()
    assert [best(whole), best(again)] == [2, 2]
    assert torch.equal(whole.weight, again.weight)


def test_the_same_run_twice_at_once_is_refused(tmp_path: Path) -> None:
    net = model()
    first = run(net, batches=batches(6), loss=loss_of(net), validate=None, config=CONFIG, context=context(tmp_path))
    next(first)
    with pytest.raises(TrainingError, match="the same run is at work already"):
        fitted(model(), checkpoints=tmp_path)
    first.close()
    fitted(model(), checkpoints=tmp_path)


def test_a_checkpoint_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x-0.partial").mkdir()
    with pytest.raises(TrainingError, match="free space or set RECSYS_CHECKPOINTS"):
        fitted(model(), checkpoints=tmp_path)


def test_a_checkpoint_that_is_damaged_or_of_another_model_is_refused(tmp_path: Path) -> None:
    fitted(model(), checkpoints=tmp_path)
    other = nn.Linear(4, 1)
    with pytest.raises(TrainingError, match="does not fit this run"):
        list(
            run(
                other,
                batches=batches(6),
                loss=loss_of(other),
                validate=None,
                config=CONFIG,
                context=context(tmp_path, resume=True),
            )
        )
    (tmp_path / "x-0.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="delete it or train without --resume"):
        fitted(model(), checkpoints=tmp_path, resume=True)


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from recsys.data.splits import split_by_fold
from recsys.training.loop import LoopConfig
from recsys.training.plan import RunContext
from recsys.training.sequence import train
from recsys.training.sequence_model import SequenceRecipe
from models.encoders.sequence import SequenceConfig
from tests.training.planted import dataset
torch.set_num_threads(1)
recipe = SequenceRecipe(encoder=SequenceConfig(dim=16, max_length=10), loop=LoopConfig(epochs=6), tokens=256)
folds = split_by_fold(dataset())
context = RunContext(name="x", seed=0, checkpoints=Path(sys.argv[1]), resume=True)
for fact in train(recipe, fit=folds.fit, validation=folds.validation, text=None, context=context):
    print(getattr(fact, "number", None) or fact.hash, flush=True)
"""


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    def start(checkpoints: Path) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(checkpoints)], stdout=subprocess.PIPE, text=True)

    whole, killed = start(tmp_path / "whole"), start(tmp_path / "killed")
    assert killed.stdout is not None
    assert [killed.stdout.readline(), killed.stdout.readline()] == ["1\n", "2\n"]
    time.sleep(0.02)  # somewhere inside the third epoch
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    again = start(tmp_path / "killed")
    (resumed, _), (reference, _) = again.communicate(), whole.communicate()
    assert resumed.splitlines()[0] in ("3", "4")
    assert resumed.splitlines()[-1] == reference.splitlines()[-1]
    assert len(reference.splitlines()[-1]) == 64
