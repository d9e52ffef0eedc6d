"""What a training run depends on: runs of one key go on from each other's checkpoints, and others can say what has changed."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys.data.dataset import Dataset, texts_hash
from recsys.data.playlists import Playlists
from recsys.training.plan import Plan

WHAT = ("its settings", "its items, events or lists", "the texts or domains of items")
"""What the digests in the name of a run's folder stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey:
    """`settings`, `events` and `texts` are JSON; `texts` is None for a run that reads none."""

    model: str
    settings: Any
    events: Any
    texts: Any = None

    @property
    def folder(self) -> str:
        """Name of the folder of the run's checkpoints: the model, and a digest of each of the others."""
        return ".".join((self.model, *self._digests()))

    def changes(self, checkpoints: Path) -> list[str]:
        """What is other than in the run of this model that wrote the last checkpoint; nothing where there is none."""
        written = [
            path for path in checkpoints.glob(f"{self.model}.*/*.ckpt") if path.parent.name.count(".") == len(WHAT)
        ]
        if not written:
            return []
        last = max(written, key=lambda path: path.stat().st_mtime)
        digests = last.parent.name.split(".")[1:]
        pairs = zip(WHAT, digests, self._digests(), strict=True)
        return [f"{what} have changed" for what, before, now in pairs if before != now]

    def _digests(self) -> Iterator[str]:
        for part in (self.settings, self.events, self.texts):
            yield hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()[:12]


def run_key(
    model: str,
    plan: Plan,
    data: Dataset,
    *,
    reads_texts: bool,
    included: Sequence[str] = (),
    lists: Playlists | None = None,
) -> RunKey:
    """The key of a run over `data`, and over the `lists` of a blend; `included` has the hashes of parts trained before."""
    texts = texts_hash(data.texts, data.domains) if reads_texts else None
    stored = None if lists is None else (lists.data.events_hash, lists.names)
    return RunKey(model=model, settings=(asdict(plan), included), events=(data.events_hash, stored), texts=texts)
