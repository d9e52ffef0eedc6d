"""The command that answers for many users or lists at once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys.cli.lists import continue_options
from recsys.cli.options import (
    HistoryFilters,
    ItemCount,
    LiveModelOptions,
    OrderChoice,
    PartOptions,
    TruncationOptions,
    set_options,
    with_options,
)
from recsys.cli.shared import console, fail, open_recommender, print_degraded
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.service import Options, Recommender
    from recsys.service.playlists.questions import ContinueOptions, SimilarOptions
    from recsys.store import Store

Task = Literal["recommend", "continue", "similar-lists"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchContinuation:
    """Options of `--task continue`. The default None marks an option as not set, so that one of another task is noticed."""

    alternatives: Annotated[int | None, typer.Option(min=1, help="Continue: how many continuations.")] = None
    repeats: Annotated[bool | None, typer.Option("--repeats", help="Continue: items of the list may return.")] = None
    exclude: Annotated[str | None, typer.Option(help="Continue: item ids not to show, by commas.")] = None
    strength: Annotated[float | None, typer.Option(min=0, help="Continue: as in `recsys continue`.")] = None
    same_group: Annotated[float | None, typer.Option(min=0, help="Continue: likewise.")] = None
    most_of_group: Annotated[int | None, typer.Option(min=1, help="Continue: most items of one artist.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilters:
    """Options of `--task similar-lists`."""

    name_contains: Annotated[str | None, typer.Option(help="Similar lists: part of their name.")] = None
    min_length: Annotated[int | None, typer.Option(min=0, help="Similar lists: their fewest items.")] = None
    max_length: Annotated[int | None, typer.Option(min=0, help="Similar lists: their most items.")] = None
    holds: Annotated[str | None, typer.Option(help="Similar lists: an item that they hold.")] = None


@with_options
def batch(
    *,
    out: Annotated[Path, typer.Option(help="File to write: .csv, .tsv, .jsonl (each also with .gz) or .parquet.")],
    task: Annotated[Task, typer.Option(help="What to answer, for each user or list.")] = "recommend",
    histories: Annotated[
        Path | None,
        typer.Option(
            help="Of those not stored: a file as for import, with user_id (for lists playlist_id), item_id, position."
        ),
    ] = None,
    k: ItemCount = 10,
    part: PartOptions,
    live: LiveModelOptions,
    history_filters: HistoryFilters,
    truncation: TruncationOptions,
    order: Annotated[OrderChoice | None, typer.Option(help="Lists: does the order count?")] = None,
    continuation: BatchContinuation,
    filters: BatchFilters,
) -> None:
    """Score all users, or lists, into a file. An interrupted run goes on when it is started again."""
    from recsys.service import Options

    by_task: dict[Task, dict[str, Any]] = {
        "recommend": {**asdict(history_filters), **asdict(live), **asdict(truncation)},
        "continue": {"order": order, **asdict(continuation)},
        "similar-lists": {"order": order, **asdict(filters)},
    }
    if histories is not None and histories.resolve() == out.resolve():
        fail(f"--out would replace {histories}, which --histories reads: write to another file")
    options = _service_options(task, k, part, _options_of_task(task, by_task))
    with open_recommender(Settings(), bundle=part.bundle) as (recommender, store):
        if isinstance(options, Options):
            _score_users(recommender, store, out, options, histories)
        else:
            _score_lists(recommender, store, out, options, histories)


def _options_of_task(task: Task, by_task: Mapping[Task, dict[str, Any]]) -> dict[str, Any]:
    """The options that were set, by name. Ends the command where one of them is of another task."""
    options = {name: value for group in by_task.values() for name, value in set_options(group).items()}
    if foreign := sorted(options.keys() - by_task[task].keys()):
        fail(f"--{foreign[0].replace('_', '-')} says nothing to --task {task}: leave it out")
    return options


def _service_options(
    task: Task, k: int, part: PartOptions, values: dict[str, Any]
) -> "Options | ContinueOptions | SimilarOptions":
    from recsys.service import Options
    from recsys.service.playlists.questions import SimilarOptions

    match task:
        case "recommend":
            return Options(k=k, encoder=part.encoder, **values)
        case "continue":
            return continue_options(k, part, values)
        case "similar-lists":
            return SimilarOptions(k=k, encoder=part.encoder, **values)


def _score_users(
    recommender: "Recommender", store: "Store", out: Path, options: "Options", histories: Path | None
) -> None:
    from recsys.batch.users import UNKNOWN, recommend_all

    with console.status("scoring") as status:
        print_degraded(recommender.unsupported_options(options))
        for done in recommend_all(recommender, store, out, options=options, histories=histories):
            status.update(f"{done.users:,} users")
    console.print(f"{out}: {done.users:,} users", soft_wrap=True)
    if not done.users:
        console.print("  nobody to score: import events, or send --histories FILE")
    if unknown := done.warnings.get(UNKNOWN):
        console.print(f"  {unknown:,} with items that the store does not hold: these were left out")


def _score_lists(
    recommender: "Recommender",
    store: "Store",
    out: Path,
    options: "ContinueOptions | SimilarOptions",
    histories: Path | None,
) -> None:
    from recsys.batch.lists import score_lists

    with console.status("scoring") as status:
        for done in score_lists(recommender, store, out, options=options, histories=histories):
            status.update(f"{done.lists:,} lists")
    console.print(f"{out}: {done.lists:,} lists", soft_wrap=True)
    if done.warnings:
        console.print("not as asked, or of which nothing could be said (the column degraded has the reasons):")
    for option, lists in sorted(done.warnings.items()):
        console.print(f"  {option}: {lists:,} lists")
