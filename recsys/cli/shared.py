"""What the commands share: the store, the recommender, the console, and errors printed in one line."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from recsys.errors import InvalidRequest, RecsysError
from recsys.logs import configure
from recsys.private_files import private_umask
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.service import Answer, Degraded, Recommender, Scored
    from recsys.signals import SignalTable
    from recsys.store import Store

WIDE = 160
"""Columns where nothing says how wide the page is, such as in a log."""
FIGURES = 80
"""Columns that a table of figures takes at most."""


def page_width() -> int | None:
    """The columns that `COLUMNS` gives; without it those of the terminal (None), or `WIDE` where the output is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    return None if sys.stdout.isatty() else WIDE


# Titles, ids and paths are other people's text: `[REC]` and `:star:` are printed as they are.
console = Console(width=page_width(), markup=False, emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False)


class Group(TyperGroup):
    """Prints an error of ours in one line, without a traceback, and after an interruption how to go on."""

    def invoke(self, ctx: Any) -> Any:
        try:
            configure(Settings().log_format)
            with private_umask():
                return super().invoke(ctx)
        except (RecsysError, ValueError) as error:
            message = _message(error)
            if message is None:
                raise
            fail(message)
        except KeyboardInterrupt:
            errors.print("interrupted: run the same command again, training with --resume, to go on")
            raise typer.Exit(130) from None


def _message(error: Exception) -> str | None:
    """The line that stands for an error of ours; None for all others."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        name = f"RECSYS_{str(first['loc'][0]).upper()}"
        value = "" if name == "RECSYS_DATABASE_URL" else f"={first['input']!r}"  # which may hold a password
        setting = f"{name}{value}" if error.title == Settings.__name__ else None
        return setting and f"{setting}: {first['msg']}"
    leaves = ("ConfigError", "SchemaError", "ShapeError")  # named, for to import them would load torch or polars
    return str(error) if isinstance(error, RecsysError) or type(error).__name__ in leaves else None


def fail(message: str) -> None:
    """Ends the command with status 1."""
    errors.print(Text.assemble(("error:", "red"), " ", message), soft_wrap=True)
    raise typer.Exit(1)


def device(settings: Settings) -> str:
    """The torch device of the settings; `auto` takes CUDA where there is one.

    Raises:
        InvalidRequest: it is not to be had here.
    """
    import torch

    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=settings.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no class of its own for it
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidRequest(f"RECSYS_DEVICE={settings.device!r}: {reason}; set cpu, cuda or auto") from error
    return settings.device


def signal_table(settings: Settings) -> "SignalTable":
    """What kinds of events count for.

    Raises:
        ConfigError: RECSYS_SIGNALS cannot be read.
    """
    from recsys.signals import SignalTable

    return SignalTable.parse(settings.signals)


@contextmanager
def open_store(settings: Settings) -> Iterator["Store"]:
    """The store of the settings, closed afterwards."""
    from recsys.store import Store

    store = Store.open(settings.database_url)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def open_recommender(settings: Settings, *, bundle: str | None = None) -> Iterator[tuple["Recommender", "Store"]]:
    """The recommender over the store of the settings; both are closed afterwards."""
    from recsys.service import Recommender

    with open_store(settings) as store:
        recommender = Recommender(
            store,
            bundle=bundle,
            device=device(settings),
            text_index=settings.text_index,
            text_lag=settings.text_lag,
            impression_days=settings.impression_days,
            indexes=settings.indexes,
            signals=signal_table(settings),
        )
        try:
            yield recommender, store
        finally:
            recommender.close()


def prepare(settings: Settings, *, seed: int) -> None:
    """Seeds what libraries draw from globally, and limits torch to the threads of the settings."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    torch.set_num_threads(settings.threads)


def print_answer(answer: "Answer") -> None:
    """Prints the items as a table, and below it what was not done as asked."""
    console.print(items_table(answer.items, title=f"{answer.encoder} ({answer.bundle or 'no bundle'})"))
    print_degraded(answer.degraded)


def items_table(items: "Iterable[Scored]", *, title: str) -> Table:
    """One row an item, best first."""
    items = list(items)
    explained = any(item.because is not None for item in items)
    table = Table("rank", "item", "title", "score", "source", *(["because"] if explained else []), title=title)
    for rank, item in enumerate(items, start=1):
        reasons = [", ".join(reason.title or reason.item_id for reason in item.because or ())] if explained else []
        table.add_row(str(rank), item.item_id, item.title or "", f"{item.score:.3f}", item.source, *reasons)
    return table


def print_figures(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, keys: int, title: str | None = None
) -> None:
    """Prints a table as wide as the page, at most `FIGURES`. `columns` that do not fit stand in tables below it, which begin with
    the first `keys` columns, too.
    """
    width, start, unlimited = min(FIGURES, console.width), keys, console.options.update(width=10 * FIGURES)
    while start < len(columns):
        end = start + 1
        table = _table_of(columns, rows, [*range(keys), start])
        while end < len(columns):
            wider = _table_of(columns, rows, [*range(keys), *range(start, end + 1)])
            if Measurement.get(console, unlimited, wider).maximum > width:
                break
            table, end = wider, end + 1
        table.title, title = title, None
        console.print(table, width=width)
        start = end


def _table_of(columns: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[int]) -> Table:
    """The `chosen` columns of a table."""
    table = Table(*(columns[column] for column in chosen))
    for row in rows:
        table.add_row(*(row[column] for column in chosen))
    return table


def print_degraded(degraded: "Iterable[Degraded]") -> None:
    """Prints what was not done as asked, one line each."""
    for entry in degraded:
        console.print(Text.assemble((f"{entry.what}:", "yellow"), " ", entry.why), soft_wrap=True)


def parse_ids(text: str | None) -> list[str]:
    """The ids in `text`, which commas separate."""
    return [item_id.strip() for item_id in (text or "").split(",") if item_id.strip()]
