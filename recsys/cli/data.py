"""Commands that fill the store."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys.cli.imports import MAX_REJECTED_PERCENT, ImportOptions, parse_read_options, run_imports
from recsys.cli.shared import Group, console
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.importing.layouts.detect import ImportFile, Kind
    from recsys.importing.readers import ReadOptions

db = typer.Typer(cls=Group, no_args_is_help=True, help="The database at RECSYS_DATABASE_URL.")
imports = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Files into the store: CSV, JSON, Parquet, XLSX (text also compressed), or a known layout.",
)

Files = Annotated[list[Path], typer.Argument(help="Files or folders to import, one after the other.")]
LayoutName = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="recbole, movielens, listenbrainz, spotify-mpd, jspf or m3u; by default what the names of the files say.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the files and report; write nothing to the store.")]
Renames = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=OURS,...", help="Columns of yours that are ours: id=item_id,time=at."),
]
Delimiter = Annotated[
    str | None, typer.Option("--delimiter", help="Of CSV: one character, or tab. By default it is detected.")
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", help="Of text, such as windows-1251. By default it is detected.")
]
MaxRejected = Annotated[
    float,
    typer.Option(
        "--max-rejected",
        metavar="PERCENT",
        min=0,
        max=100,
        help="Exit status 1 where more rows of a file are rejected, or all are. Valid rows are imported all the same.",
    ),
]
Rejected = Annotated[
    Path | None,
    typer.Option(
        "--rejected",
        metavar="FILE",
        help="Where rejected rows go, with their reasons (JSONL). By default FILE.rejected.jsonl beside each file.",
    ),
]
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
def items(
    files: Files,
    layout: LayoutName = None,
    dry_run: DryRun = False,
    renames: Renames = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    max_rejected: MaxRejected = MAX_REJECTED_PERCENT,
    rejected: Rejected = None,
    allow_event_columns: AllowEventColumns = False,
) -> None:
    """Columns: item_id, optional domain, title and available (true or false); every other column becomes an attribute.

    A column that a file does not have leaves what is stored alone; an empty value clears it.
    """
    from recsys.importing.files import import_items

    importer = partial(import_items, allow_event_columns=allow_event_columns)
    how = parse_read_options(renames, delimiter, encoding)
    options = ImportOptions(how=how, dry_run=dry_run, max_rejected=max_rejected, rejected=rejected)
    run_imports(importer, _detect(files, "items", layout, how), options)


@imports.command("events")
def events(
    files: Files,
    layout: LayoutName = None,
    dry_run: DryRun = False,
    renames: Renames = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    max_rejected: MaxRejected = MAX_REJECTED_PERCENT,
    rejected: Rejected = None,
    rating_scale: Annotated[
        float | None,
        typer.Option(help="The best rating of the files; by default 1, 5, 10 or 100, as the largest one tells."),
    ] = None,
) -> None:
    """Columns: user_id, item_id, optional at or timestamp, position, event_id, session_id, kind, weight, rating.

    A time is epoch seconds, ISO 8601, or a date such as 2024-01-31 or 20240131.
    """
    from recsys.importing.files import import_events

    how = parse_read_options(renames, delimiter, encoding, rating_scale=rating_scale)
    options = ImportOptions(how=how, dry_run=dry_run, max_rejected=max_rejected, rejected=rejected)
    run_imports(import_events, _detect(files, "events", layout, how), options)


@imports.command("playlists")
def playlists(
    files: Files,
    layout: LayoutName = None,
    dry_run: DryRun = False,
    renames: Renames = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    max_rejected: MaxRejected = MAX_REJECTED_PERCENT,
    rejected: Rejected = None,
) -> None:
    """Columns: playlist_id, position, item_id, optional playlist_name."""
    from recsys.importing.files import import_playlists

    how = parse_read_options(renames, delimiter, encoding)
    options = ImportOptions(how=how, dry_run=dry_run, max_rejected=max_rejected, rejected=rejected)
    run_imports(import_playlists, _detect(files, "playlists", layout, how), options)


def fetch_samples() -> None:
    """Fetch the sample data of the quickstart into RECSYS_DATA and say under which terms it stands."""
    from recsys.importing.samples import fetch

    for fact in fetch(Settings().data):
        console.print(str(fact), soft_wrap=True)


def _detect(files: list[Path], kind: "Kind", layout: str | None, options: "ReadOptions") -> "Iterator[ImportFile]":
    """Raises InputFileError: what `options` say does not apply to a file of a layout."""
    from recsys.errors import InputFileError
    from recsys.importing.layouts.detect import detect

    for path in files:
        for file in detect(path, kind, layout=layout):
            if file.reader is not None and (options.renames or options.delimiter or options.encoding):
                raise InputFileError(
                    f"{file.path} is of a known layout: --map, --delimiter and --encoding do not apply"
                )
            yield file
