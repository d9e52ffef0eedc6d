"""What the commands share: settings, the store, the console, and errors said in one line."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from recsys.errors import InvalidRequest, RecsysError
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.service import Answer, Degraded, Recommender
    from recsys.store import Store

WIDE = 160
"""Columns where nothing says how wide the page is, such as in a log."""

# Titles, ids and paths are other people's text: `[REC]` and `:star:` are printed as they are.
console = Console(width=None if sys.stdout.isatty() else WIDE, markup=False, emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False)


class Group(TyperGroup):
    """Says an error of ours in one line, without a traceback; an interrupted command says how to go on."""

    def invoke(self, ctx: Any) -> Any:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            return super().invoke(ctx)
        except RecsysError as error:
            fail(str(error))
        except ValidationError as error:
            if error.title != Settings.__name__:
                raise
            first = error.errors()[0]
            fail(f"RECSYS_{str(first['loc'][0]).upper()}={first['input']!r}: {first['msg']}")
        except ValueError as error:
            if type(error).__name__ not in ("ConfigError", "SchemaError", "ShapeError"):  # theirs need torch or polars
                raise
            fail(str(error))
        except KeyboardInterrupt:
            errors.print("interrupted: run the same command again, training with --resume, to go on")
            raise typer.Exit(130) from None


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
            indexes=settings.indexes,
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


def show(answer: "Answer") -> None:
    """The answer as a table, what was not done as asked below it."""
    from rich.table import Table

    table = Table(
        "rank", "item", "title", "score", "source", title=f"{answer.encoder} ({answer.bundle or 'no bundle'})"
    )
    for rank, item in enumerate(answer.items, start=1):
        table.add_row(str(rank), item.item_id, item.title or "", f"{item.score:.3f}", item.source)
    console.print(table)
    tell(answer.degraded)


def tell(degraded: "Iterable[Degraded]") -> None:
    """What was not done as asked, one a line."""
    for one in degraded:
        console.print(Text.assemble((f"{one.what}:", "yellow"), " ", one.why), soft_wrap=True)


def ids(given: str | None) -> tuple[str, ...]:
    """Those that were given, separated by commas."""
    return tuple(one.strip() for one in (given or "").split(",") if one.strip())
