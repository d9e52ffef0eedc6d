"""Whether a bundle counts events as the settings say."""

from collections.abc import Iterator, Mapping
from typing import Any

from recsys.data.feedback import Signals
from recsys.service.state.snapshot import Snapshot
from recsys.signals import SignalTable

MAX_KINDS = 5
"""Kinds whose weights are named."""


def drift_of(snapshot: Snapshot, table: SignalTable | None) -> list[str]:
    """That the bundle which answers counts events otherwise than by `table`, if it does."""
    if table is None or snapshot.bundle is None or not snapshot.recommends:
        return []
    drift = signal_drift(snapshot.bundle.about, table)
    return [drift] if drift else []


def signal_drift(about: Mapping[str, Any], table: SignalTable) -> str | None:
    """Why a bundle with this `about` must be trained again to count events by `table`; None where it does.

    Raises:
        BundleError: what it says of its table cannot be read.
    """
    if "signals" not in about:
        return "the bundle was trained before events counted by their kind: train again"
    trained = Signals.of_manifest(about).table
    if trained == table:
        return None
    changes = list(_changes(trained, table))
    more = f" and {len(changes) - MAX_KINDS} more" if len(changes) > MAX_KINDS else ""
    return f"the bundle was trained with another table of kinds ({', '.join(changes[:MAX_KINDS])}{more}): train again"


def _changes(trained: SignalTable, table: SignalTable) -> Iterator[str]:
    for kind in sorted({*trained.kinds, *table.kinds}):
        if trained.kinds.get(kind) != table.kinds.get(kind):
            yield f"{kind} {trained.effect(kind)}, now {table.effect(kind)}"
    if trained.neutral != table.neutral:
        yield f"neutral {trained.neutral}, now {table.neutral}"
