"""Commands that fill the store."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from recsys.cli.shared import Group, console, open_store
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.importing.files import Report
    from recsys.importing.layouts.detect import ImportFile, Kind

db = typer.Typer(cls=Group, no_args_is_help=True, help="The database at RECSYS_DATABASE_URL.")
imports = typer.Typer(
    cls=Group, no_args_is_help=True, help="Files into the store: CSV, JSONL, Parquet, or a known layout."
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


@db.command("upgrade")
def upgrade() -> None:
    """Create or migrate the tables. Doing it again changes nothing."""
    from recsys.store.sessions import upgrade as migrate
    from recsys.store.urls import shown_url

    url = Settings().database_url
    migrate(url)
    console.print(f"{shown_url(url)} is up to date", soft_wrap=True)


@imports.command("items")
def items(files: Files, layout: LayoutName = None, dry_run: DryRun = False) -> None:
    """Columns: item_id, optional domain, title and available (true or false); every other column becomes an attribute."""
    from recsys.importing.files import import_items

    run_imports(import_items, _detect(files, "items", layout), dry_run=dry_run)


@imports.command("events")
def events(files: Files, layout: LayoutName = None, dry_run: DryRun = False) -> None:
    """Columns: user_id, item_id, optional at or timestamp (epoch seconds or ISO 8601), position, event_id, kind, rating."""
    from recsys.importing.files import import_events

    run_imports(import_events, _detect(files, "events", layout), dry_run=dry_run)


@imports.command("playlists")
def playlists(files: Files, layout: LayoutName = None, dry_run: DryRun = False) -> None:
    """Columns: playlist_id, position, item_id, optional playlist_name."""
    from recsys.importing.files import import_playlists

    run_imports(import_playlists, _detect(files, "playlists", layout), dry_run=dry_run)


def run_imports(
    run: "Callable[..., Iterator[Report]]", files: "Iterable[ImportFile]", *, dry_run: bool = False
) -> None:
    """Imports the files and prints what became of their rows. Rejected rows go to `FILE.rejected.jsonl` in the same folder,
    those of a dry run to `FILE.would-be-rejected.jsonl`.
    """
    settings = Settings()
    with open_store(settings) as store:
        for file in files:
            path = file.path
            rejects = path.with_name(f"{path.name}.{'would-be-' if dry_run else ''}rejected.jsonl")
            report = None
            with console.status(Text(path.name)) as status:
                for report in run(store, path, reader=file.reader, dry_run=dry_run, rejects=rejects):
                    status.update(Text(f"{path.name}: {report.accepted + report.unchanged + report.rejected:,} rows"))
            if report is not None:
                _print_report(path, report, rejects, dry_run=dry_run)


def _detect(files: list[Path], kind: "Kind", layout: str | None) -> "Iterator[ImportFile]":
    from recsys.importing.layouts.detect import detect

    for path in files:
        yield from detect(path, kind, layout=layout)


def _print_report(path: Path, report: "Report", rejects: Path, *, dry_run: bool) -> None:
    done = "would be new" if dry_run else "new"
    console.print(
        f"{path}: {report.accepted:,} {done}, {report.unchanged:,} unchanged, {report.rejected:,} rejected",
        soft_wrap=True,
    )
    for reason, count in report.reasons.most_common():
        console.print(f"  {count:,} x {reason}", soft_wrap=True)
    if report.rejected:
        console.print(f"  rejected rows with their reasons: {rejects}", soft_wrap=True)


def fetch_samples() -> None:
    """Fetch the sample data of the quickstart into RECSYS_DATA and say under which terms it stands."""
    from recsys.importing.samples import fetch

    for fact in fetch(Settings().data):
        console.print(str(fact), soft_wrap=True)
