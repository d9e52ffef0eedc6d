"""What the events of a store count for, in words."""

from collections.abc import Iterable, Sequence
from itertools import islice

from recsys.data.feedback import Signals
from recsys.signals import SignalTable, is_rating
from recsys.store.records import KindCount

MAX_KINDS = 20
"""Kinds that are named; a file may have one for each row."""


def kinds_line(counts: Sequence[KindCount], table: SignalTable) -> str:
    """The kinds with their number of events and the weight of each, such as `1,200 view x1, 80 purchase x4`."""
    return _listed(f"{count.events:,} {count.kind} {table.effect(count.kind)}" for count in counts)


def signals_line(counts: Sequence[KindCount], signals: Signals) -> str:
    """How a training counts events: by kind, and by session."""
    if not counts:
        return "no events: each playlist is a history"
    return (
        f"events: {kinds_line(counts, signals.table)}; sessions end after {signals.gap / 60:.0f} min; "
        f"{100 * signals.repeats_in_session:.0f} % of items come again in one"
    )


def unknown_kinds(kinds: Iterable[str], table: SignalTable) -> str | None:
    """A warning of the kinds that the table lacks, if there are any."""
    unknown = table.unknown(kinds)
    if not unknown:
        return None
    return f"unknown kinds: {_listed(unknown)}; each counts as a view: give them weights in RECSYS_SIGNALS, as {unknown[0]}=2"


def all_against(counts: Sequence[KindCount], table: SignalTable) -> bool:
    """Are there events, and none of them speaks for its item?"""
    return bool(counts) and not any(
        table.weight(count.kind) > 0 and (count.positive or is_rating(count.kind)) for count in counts
    )


def _listed(names: Iterable[str]) -> str:
    remaining = iter(names)
    first, more = list(islice(remaining, MAX_KINDS)), sum(1 for _ in remaining)
    return ", ".join(first) + (f" and {more:,} more" if more else "")
