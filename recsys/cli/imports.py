"""Runs imports file by file, prints what became of their rows, and fails where too many were rejected."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from recsys.cli.shared import console, fail, open_store, signal_table
from recsys.errors import EmptyInputFile, InputFileError
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.importing.files import Report
    from recsys.importing.layouts.detect import ImportFile
    from recsys.importing.readers import ReadOptions
    from recsys.signals import SignalTable

MAX_REJECTED_PERCENT = 5.0
DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """Options of a whole import: how files are read, and what becomes of rejected rows. `max_rejected` is in percent."""

    how: "ReadOptions | None" = None
    dry_run: bool = False
    max_rejected: float = MAX_REJECTED_PERCENT
    rejected: Path | None = None


DEFAULTS = ImportOptions()


def parse_read_options(
    renames: Sequence[str] | None, delimiter: str | None, encoding: str | None, *, rating_scale: float | None = None
) -> "ReadOptions":
    """Raises InputFileError: an option that cannot be."""
    from recsys.importing.fields import LARGEST_RATING
    from recsys.importing.readers import ReadOptions

    delimiter = delimiter and DELIMITERS.get(delimiter.lower(), delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputFileError(f"--delimiter {delimiter!r}: give one character, or tab")
    if rating_scale is not None and not 0 < rating_scale <= LARGEST_RATING:
        raise InputFileError(f"--rating-scale {rating_scale:g}: give the best rating, at most {LARGEST_RATING:g}")
    return ReadOptions(
        delimiter=delimiter, encoding=encoding, renames=_renames(renames or ()), rating_scale=rating_scale
    )


def _renames(options: Sequence[str]) -> Mapping[str, str]:
    """Our names of columns, by theirs."""
    renames: dict[str, str] = {}
    for pair in (pair for option in options for pair in option.split(",") if pair.strip()):
        name, _, ours = (part.strip() for part in pair.rpartition("="))
        if not name or not ours:
            raise InputFileError(f"--map {pair!r}: give NAME=OURS, such as id=item_id")
        if renames.setdefault(name, ours) != ours:
            raise InputFileError(f"--map names {name!r} twice, as {renames[name]!r} and as {ours!r}: leave one out")
    return renames


def run_imports(
    run: "Callable[..., Iterator[Report]]",
    files: "Iterable[ImportFile]",
    options: ImportOptions = DEFAULTS,
) -> None:
    """Imports the files and prints what became of their rows; at the end the command fails where too many were rejected or a file
    cannot be read, which stops no other file.

    Rejected rows go to the file of the options, else of each file to `FILE.rejected.jsonl` in the same folder, those of a dry
    run to `FILE.would-be-rejected.jsonl`.
    """
    from recsys.importing.readers import DETECT
    from recsys.importing.report import Rejects

    failures, empty, imported = list[str](), list[EmptyInputFile](), 0
    settings = Settings()
    table = signal_table(settings)
    with open_store(settings) as store, closing(Rejects(options.rejected)) as shared:
        for file in files:
            if file.problem is not None:
                failures.append(file.problem)
                continue
            path = file.path
            default_rejects = path.with_name(f"{path.name}.{'would-be-' if options.dry_run else ''}rejected.jsonl")
            reports = run(
                store,
                path,
                reader=file.reader,
                options=options.how or DETECT,
                dry_run=options.dry_run,
                rejects=shared if options.rejected else default_rejects,
            )
            try:
                report = _last(path, reports)
            except EmptyInputFile as error:
                empty.append(error)
                continue
            except InputFileError as error:
                failures.append(str(error) if str(path) in str(error) else f"{path}: {error}")
                continue
            imported += 1
            _print_report(path, report, options.rejected or default_rejects, dry_run=options.dry_run)
            _print_kinds(report, table)
            failures += _failure(path, report, options)
    if empty and not imported and not failures:
        raise empty[0]
    for skipped in empty:
        console.print(str(skipped), soft_wrap=True)
    if failures:
        fail("\n".join(dict.fromkeys(failures)))


def _last(path: Path, reports: "Iterator[Report]") -> "Report":
    """The report of the whole file; meanwhile its counts are shown."""
    with console.status(Text(path.name)) as status:
        for report in reports:
            status.update(Text(f"{path.name}: {report.accepted + report.unchanged + report.rejected:,} rows"))
    return report


def _print_report(path: Path, report: "Report", rejects: Path, *, dry_run: bool) -> None:
    would_be = "would be " if dry_run else ""
    changed = f"{report.changed:,} {would_be}changed, " if report.changed else ""
    console.print(
        f"{path}: {report.accepted - report.changed:,} {would_be}new, {changed}{report.unchanged:,} unchanged, "
        f"{report.rejected:,} rejected",
        soft_wrap=True,
    )
    for note in report.notes:
        console.print(f"  {note}", soft_wrap=True)
    for reason, count in report.reasons.most_common():
        console.print(f"  {count:,} x {reason}", soft_wrap=True)
    if report.rejected:
        console.print(f"  rejected rows with their reasons: {rejects}", soft_wrap=True)


def _failure(path: Path, report: "Report", options: ImportOptions) -> list[str]:
    """What is wrong with the import of a file, if anything."""
    valid = report.accepted + report.unchanged
    percent = 100 * report.rejected / (valid + report.rejected)
    if not valid:
        return [f"{path}: no row was valid; mend the file, then import again"]
    if percent <= options.max_rejected:
        return []
    landed = "would be" if options.dry_run else "are"
    return [
        f"{path}: {percent:.3g} % of the rows were rejected, more than --max-rejected {options.max_rejected:g}; the valid "
        f"rows {landed} imported. Mend the others and import again, or raise the limit"
    ]


def _print_kinds(report: "Report", table: "SignalTable") -> None:
    """Says once for the file what of its kinds does not count as it may seem to."""
    from recsys.data.signal_summary import unknown_kinds

    if unknown := unknown_kinds(report.kinds, table):
        console.print(f"  {unknown}", soft_wrap=True)
    if report.ratings_left_out:
        console.print(
            f"  {report.ratings_left_out:,} ratings of events of another kind are left out: without a `kind` they count",
            soft_wrap=True,
        )
