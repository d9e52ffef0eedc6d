"""What a training run depends on besides the data, and what it says on the way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from recsys.data.build import Holdout
from recsys.data.feedback import Signals


@dataclass(frozen=True, slots=True)
class Progress:
    """One fact on the way: which part, what happened."""

    part: str
    fact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One training of the part `name`: where its randomness comes from, where it computes, and its checkpoint, if it keeps one.

    A part that is trained more than once in a run has a `stage` for each.
    """

    name: str
    seed: int = 0
    device: str = "cpu"
    checkpoints: Path | None = None
    resume: bool = False
    stage: str = ""

    @property
    def checkpoint(self) -> Path | None:
        stage = f"-{self.stage}" if self.stage else ""
        return self.checkpoints / f"{self.name}-{self.seed}{stage}.ckpt" if self.checkpoints else None

    def at(self, stage: str) -> "RunContext":
        """The same at `stage`, which has a checkpoint of its own."""
        return replace(self, stage=f"{self.stage}-{stage}" if self.stage else stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a training run depends on besides the data. `overrides` has settings by part, as a file gives them.

    `signals` is the table of kinds with what was learned from the events that it counts.
    """

    text_encoder: str
    include_seen: bool
    signals: Signals = field(default_factory=Signals)
    text_encoder_hash: str = ""
    seed: int = 0
    device: str = "cpu"
    epochs: int | None = None
    protocol: Holdout = "leave-one-out"
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checkpoints: Path | None = None
    resume: bool = False

    def context(self, name: str) -> RunContext:
        """Of the training of the part `name`."""
        return RunContext(
            name=name, seed=self.seed, device=self.device, checkpoints=self.checkpoints, resume=self.resume
        )

    def about(self) -> dict[str, Any]:
        """What the bundle says of the run: everything but where and how it was interrupted."""
        return {name: value for name, value in asdict(self).items() if name not in ("checkpoints", "resume")}
