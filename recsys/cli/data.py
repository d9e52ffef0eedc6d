"""Commands that fill the store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.imports import MAX_REJECTED_PERCENT, ImportOptions, parse_read_options, run_imports
from recsys.cli.options import with_options
from recsys.cli.shared import Group, console
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.importing.files import Report
    from recsys.importing.layouts.detect import ImportFile, Kind
    from recsys.importing.readers import ReadOptions

db = typer.Typer(cls=Group, no_args_is_help=True, help="The database at RECSYS_DATABASE_URL.")
imports = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Files into the store: CSV, JSON, Parquet, XLSX (text also compressed), or a known layout.",
)

Files = Annotated[list[Path], typer.Argument(help="Files or folders to import, one after the other.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """How files are read, and what becomes of rejected rows."""

    layout: Annotated[
        str | None,
        typer.Option(
            help="recbole, movielens, listenbrainz, spotify-mpd, jspf or m3u; by default what the names of the files say."
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the files and report; write nothing to the store.")
    ] = False
    renames: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=OURS,...", help="Columns of yours that are ours: id=item_id,time=at."),
    ] = None
    delimiter: Annotated[str | None, typer.Option(help="Of CSV: one character, or tab. By default it is detected.")] = (
        None
    )
    encoding: Annotated[str | None, typer.Option(help="Of text, such as windows-1251. By default it is detected.")] = (
        None
    )
    max_rejected: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            min=0,
            max=100,
            help="Exit status 1 where more rows of a file are rejected, or all are. Valid rows are imported all the same.",
        ),
    ] = MAX_REJECTED_PERCENT
    rejected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where rejected rows go, with their reasons (JSONL). By default FILE.rejected.jsonl beside each file.",
        ),
    ] = None


AllowEventColumns = Annotated[
    bool,
    typer.Option("--allow-event-columns", help="Import a file with user_id, event_id or playlist_id as items."),
]


@db.command("upgrade")
def upgrade() -> None:
    """Create or migrate the tables. Doing it again changes nothing."""
    from recsys.store.sessions import upgrade as migrate
    from recsys.store.urls import shown_url

    url = Settings().database_url
    migrate(url)
    console.print(f"{shown_url(url)} is up to date", soft_wrap=True)


@imports.command("items")
@with_options
def items(files: Files, options: FileOptions, allow_event_columns: AllowEventColumns = False) -> None:
    """Columns: item_id, optional domain, title and available (true or false); every other column becomes an attribute.

    A column that a file does not have leaves what is stored alone; an empty value clears it.
    """
    from recsys.importing.files import import_items

    _import(partial(import_items, allow_event_columns=allow_event_columns), files, "items", options)


@imports.command("events")
@with_options
def events(
    files: Files,
    options: FileOptions,
    rating_scale: Annotated[
        float | None,
        typer.Option(help="The best rating of the files; by default 1, 5, 10 or 100, as the largest one tells."),
    ] = None,
) -> None:
    """Columns: user_id, item_id, optional at or timestamp, position, event_id, session_id, kind, weight, rating.

    A time is epoch seconds, ISO 8601, or a date such as 2024-01-31 or 20240131.
    """
    from recsys.importing.files import import_events

    _import(import_events, files, "events", options, rating_scale=rating_scale)


@imports.command("playlists")
@with_options
def playlists(files: Files, options: FileOptions) -> None:
    """Columns: playlist_id, position, item_id, optional playlist_name."""
    from recsys.importing.files import import_playlists

    _import(import_playlists, files, "playlists", options)


def _import(
    run: "Callable[..., Iterator[Report]]",
    files: list[Path],
    kind: "Kind",
    options: FileOptions,
    *,
    rating_scale: float | None = None,
) -> None:
    how = parse_read_options(options.renames, options.delimiter, options.encoding, rating_scale=rating_scale)
    import_options = ImportOptions(
        how=how, dry_run=options.dry_run, max_rejected=options.max_rejected, rejected=options.rejected
    )
    run_imports(run, _detect(files, kind, options.layout, how), import_options)


def fetch_samples() -> None:
    """Fetch the sample data of the quickstart into RECSYS_DATA and say under which terms it stands."""
    from recsys.importing.samples import fetch

    for fact in fetch(Settings().data):
        console.print(str(fact), soft_wrap=True)


def _detect(paths: list[Path], kind: "Kind", layout: str | None, options: "ReadOptions") -> "Iterator[ImportFile]":
    """The files of `kind` at the `paths`; a path that has none, or to which `options` do not apply, comes with its problem."""
    from recsys.errors import InputFileError
    from recsys.importing.layouts.detect import ImportFile

    for path in paths:
        try:
            yield from _files_at(path, kind, layout, options)
        except InputFileError as error:
            yield ImportFile(path, problem=str(error))


def _files_at(path: Path, kind: "Kind", layout: str | None, options: "ReadOptions") -> "Iterator[ImportFile]":
    """Raises InputFileError: what `options` say does not apply to a file of a layout."""
    from recsys.errors import InputFileError
    from recsys.importing.layouts.detect import detect

    for file in detect(path, kind, layout=layout):
        if file.reader is not None and (options.renames or options.delimiter or options.encoding):
            raise InputFileError(f"{file.path} is of a known layout: --map, --delimiter and --encoding do not apply")
        yield file
