"""Imports files into the store, in chunks, with a report of rejected rows and their reasons.

Every row is accepted or rejected by itself. Accepted rows are written a chunk at a time; importing the same file again adds
nothing, so an interrupted import is finished by running it again.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from recsys.errors import Busy, EmptyInputFile, InputFileError, StoreError
from recsys.importing import fields
from recsys.importing.chunks import ImportChunk, Numbered, Rejected, chunks
from recsys.importing.duplicate_counter import DuplicateCounter
from recsys.importing.item_import import ItemImport
from recsys.importing.ratings import FileRatings
from recsys.importing.readers import DETECT, Reader, ReadOptions, check_file, reader_of
from recsys.importing.report import Rejects, Report, Row
from recsys.importing.text_files import plain_name
from recsys.store import Store
from recsys.store.records import Event, Playlist

__all__ = ["Report", "import_events", "import_items", "import_playlists"]

ROWS_PER_CHUNK = 20_000
"""Rows in memory, and rows per transaction."""


def import_items(
    store: Store,
    path: Path,
    *,
    reader: Reader | None = None,
    options: ReadOptions = DETECT,
    dry_run: bool = False,
    rejects: Path | Rejects | None = None,
    allow_event_columns: bool = False,
) -> Iterator[Report]:
    """Yields the report after each chunk. Every column that is none of `fields.ITEM_COLUMNS` becomes an attribute.

    A column that the file does not have leaves the stored values alone; an empty value clears.
    """
    import_chunk = ItemImport(store, path, dry_run=dry_run, allow_event_columns=allow_event_columns)
    yield from _import(path, ("item_id",), import_chunk, reader, options, rejects)


def import_events(
    store: Store,
    path: Path,
    *,
    reader: Reader | None = None,
    options: ReadOptions = DETECT,
    dry_run: bool = False,
    rejects: Path | Rejects | None = None,
) -> Iterator[Report]:
    """Yields the report after each chunk. A row without `event_id` gets one from file name, content and count of equal rows."""
    needed = ("user_id", "item_id")
    ratings = FileRatings(lambda: (reader or reader_of(path, options))(path, needed), scale=options.rating_scale)
    with closing(DuplicateCounter()) as duplicates:
        import_chunk = _EventImport(store, plain_name(path), duplicates, ratings, dry_run)
        yield from _import(path, needed, import_chunk, reader, options, rejects)


def import_playlists(
    store: Store,
    path: Path,
    *,
    reader: Reader | None = None,
    options: ReadOptions = DETECT,
    dry_run: bool = False,
    rejects: Path | Rejects | None = None,
) -> Iterator[Report]:
    """Yields the report after each chunk; the lists are written at the end, all or none, each replaced as a whole."""
    lists: dict[str, list[tuple[int, str]]] = {}
    names: dict[str, str | None] = {}
    known: set[str] = set()

    def import_chunk(rows: Sequence[Numbered], report: Report) -> Rejected:
        entries, bad = [], Rejected()
        for number, row, _ in rows:
            try:
                entries.append((number, row, *_entry(row)))
            except ValueError as error:
                bad.append((number, str(error), row))
        _look_up(store, known, {item_id for *_, item_id in entries})
        for number, row, playlist_id, position, item_id in entries:
            try:
                _check_known(item_id, known)
                lists.setdefault(playlist_id, []).append((position, item_id))
                names.setdefault(playlist_id, fields.text(row, "playlist_name"))
                report.accepted += 1
            except ValueError as error:
                bad.append((number, str(error), row))
        return bad

    report = Report()
    for report in _import(path, ("playlist_id", "position", "item_id"), import_chunk, reader, options, rejects):
        yield report
    stored = store.stored_playlists(list(lists))
    imported = [
        Playlist(playlist_id=playlist_id, name=names[playlist_id], item_ids=_in_order(entries))
        for playlist_id, entries in lists.items()
    ]
    new = [playlist for playlist in imported if playlist != stored.get(playlist.playlist_id)]
    if new and not dry_run:
        store.put_playlists(new)
    written = sum(len(playlist.item_ids) for playlist in new)
    report.accepted, report.unchanged = written, report.accepted - written
    yield report


class _EventImport:
    """Imports chunks of one file's events."""

    def __init__(
        self, store: Store, source: str, duplicates: DuplicateCounter, ratings: FileRatings, dry_run: bool
    ) -> None:
        self._store, self._duplicates, self._ratings, self._dry_run = store, duplicates, ratings, dry_run
        self._source = json.dumps(source)
        self._known: set[str] = set()  # items never leave the table, so none needs to be looked up twice

    def __call__(self, rows: Sequence[Numbered], report: Report) -> Rejected:
        events, bad = self._parsed(rows)
        values = self._keyed(events, bad)
        added = self._store.insert_events(values) if values and not self._dry_run else 0
        report.accepted += len(values) if self._dry_run else added
        report.unchanged += 0 if self._dry_run else len(values) - added
        report.kinds.update(value["kind"] for value in values)
        report.notes += self._ratings.notes()
        report.ratings_left_out += sum(fields.leaves_rating_out(row, value["kind"]) for (_, row, _), value in events)
        return bad

    def _parsed(self, rows: Sequence[Numbered]) -> tuple[list[tuple[Numbered, Row]], Rejected]:
        """Rows with their values, and the rows that are no events."""
        events, bad, latest = [], Rejected(), fields.tomorrow()
        for numbered in rows:
            number, row, _ = numbered
            try:
                events.append((numbered, self._ratings.scaled(fields.event(row, latest=latest))))
            except ValueError as error:
                bad.append((number, str(error), row))
        return events, bad

    def _keyed(self, events: Sequence[tuple[Numbered, Row]], bad: Rejected) -> list[Row]:
        """The values with an event id each; rows that cannot be stored go to `bad`."""
        _look_up(self._store, self._known, {value["item_id"] for _, value in events})
        event_ids = [value["event_id"] for _, value in events if value["event_id"] is not None]
        stored = {event.event_id: event for event in self._store.stored_events(event_ids)} if event_ids else {}
        values, ids, digests = list[Row](), set[str](), list[bytes]()
        for (number, row, content), value in events:
            event_id = value["event_id"]
            try:
                _check_known(value["item_id"], self._known)
                if event_id is None:
                    digests.append(hashlib.sha256(f"[{self._source}, {content}]".encode()).digest()[:16])
                else:
                    _check_id(value, ids, stored.get(event_id))
                    ids.add(event_id)
                values.append(value)
            except ValueError as error:
                bad.append((number, str(error), row))
        numbers = self._duplicates.numbers(digests)
        new_ids = (f"{digest.hex()}-{n}" for digest, n in zip(digests, numbers, strict=True))
        for value in values:
            value["event_id"] = value["event_id"] or next(new_ids)
        return values


def _check_id(value: Row, ids: set[str], stored: Event | None) -> None:
    event_id = value["event_id"]
    if event_id in ids:
        raise ValueError(f"duplicate event_id: {event_id!r} came earlier in this file")
    if stored and not stored.same_content(value, with_at=value["at"] is not None):
        raise ValueError(f"stored with other content: event {event_id!r}; give it another event_id")


def _import(
    path: Path,
    needed: Sequence[str],
    import_chunk: ImportChunk,
    reader: Reader | None,
    options: ReadOptions,
    rejects: Path | Rejects | None,
) -> Iterator[Report]:
    check_file(path)
    report, done = Report(), 0
    with closing(Rejects(rejects)) if isinstance(rejects, Path | None) else nullcontext(rejects) as bad:
        source = (reader or reader_of(path, replace(options, note=report.notes.append)))(path, needed)
        try:
            for readable, rejected in chunks(source, max_rows=ROWS_PER_CHUNK):
                with _with_progress_hint(done):
                    rejected += import_chunk(readable, report)
                for number, reason, row in sorted(rejected, key=itemgetter(0)):
                    report.reject(reason)
                    bad.add(path, number, reason, row)
                yield report
                done = report.accepted + report.unchanged + report.rejected
        except InputFileError as error:
            if not done:
                raise
            raise InputFileError(f"{error}; the first {done:,} rows are dealt with") from error
        finally:
            if isinstance(source, Generator):
                source.close()  # the file that it reads, now
    if not done:
        raise EmptyInputFile(f"{path} has no rows: nothing to import")


@contextmanager
def _with_progress_hint(done: int) -> Iterator[None]:
    """Adds to a database error how many rows are imported already."""
    try:
        yield
    except (Busy, StoreError) as error:
        raise type(error)(f"{error}; the first {done:,} rows are dealt with: import again to go on") from error


def _look_up(store: Store, known: set[str], item_ids: set[str]) -> None:
    """Adds to `known` the ids that the store has."""
    if new := [item_id for item_id in item_ids if item_id not in known]:
        known.update(store.known_items(new))


def _check_known(item_id: str, known: set[str]) -> None:
    if item_id not in known:
        raise ValueError(f"unknown item: {item_id!r}; import items first")


def _in_order(entries: list[tuple[int, str]]) -> tuple[str, ...]:
    """The items by position; those of one position in the order of the file."""
    return tuple(item_id for _, item_id in sorted(entries, key=itemgetter(0)))


def _entry(row: Row) -> tuple[str, int, str]:
    """Playlist, position and item."""
    position = fields.whole(row, "position")
    if position is None:
        raise ValueError("missing value: position")
    return fields.identifier(row, "playlist_id"), position, fields.identifier(row, "item_id")
