"""Files into the store, in pieces, with a report of what was rejected and why.

Every row is taken or rejected by itself. Taken rows are written a piece at a time; running the same file again adds
nothing, so an interrupted import is finished by running it again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from operator import itemgetter
from pathlib import Path

from recsys.errors import InputFileError, StoreError
from recsys.importing import fields
from recsys.importing.duplicate_counter import DuplicateCounter
from recsys.importing.readers import Reader, check_file, reader_of
from recsys.importing.report import Rejects, Report, Row
from recsys.store import Store
from recsys.store.events import insert_events, same_event, stored_events
from recsys.store.items import content_hash, content_hashes, known_items, put_items
from recsys.store.playlists import put_playlist, stored_playlists
from recsys.store.records import Event, Playlist
from recsys.store.sessions import reading, writing

__all__ = ["Report", "import_events", "import_items", "import_playlists"]

PIECE = 20_000
"""Rows held in memory and written at once."""

Numbered = tuple[int, Row, str]
"""A row with its number (the first data row is 1) and its content as text."""
Rejected = list[tuple[int, str, Row]]
"""Number, reason and content of rows that were not taken."""
Piece = Callable[[Sequence[Numbered], Report], Rejected]


def import_items(
    store: Store, path: Path, *, reader: Reader | None = None, dry_run: bool = False, rejects: Path | None = None
) -> Iterator[Report]:
    """Yields the report after each piece. Every column beyond `item_id`, `domain` and `title` becomes an attribute."""
    seen: set[str] = set()

    def piece(rows: Sequence[Numbered], report: Report) -> Rejected:
        drafts, bad = [], Rejected()
        for number, row, _ in rows:
            try:
                draft = fields.item(row)
                if draft.item_id in seen:
                    raise ValueError(f"duplicate item_id: {draft.item_id!r} came earlier in this file")
                seen.add(draft.item_id)
                drafts.append(draft)
            except ValueError as error:
                bad.append((number, str(error), row))
        with reading(store.engine) as connection:
            held = content_hashes(connection, [draft.item_id for draft in drafts])
        new = [draft for draft in drafts if held.get(draft.item_id) != content_hash(draft)]
        if new and not dry_run:
            with writing(store.engine) as connection:
                put_items(connection, new)
        report.accepted += len(new)
        report.unchanged += len(drafts) - len(new)
        return bad

    yield from _import(path, ("item_id",), piece, reader, rejects)


def import_events(
    store: Store, path: Path, *, reader: Reader | None = None, dry_run: bool = False, rejects: Path | None = None
) -> Iterator[Report]:
    """Yields the report after each piece. Without `event_id` a row is known by file name, content and which equal row it is."""
    with closing(DuplicateCounter()) as equal:
        yield from _import(path, ("user_id", "item_id"), _Events(store, path.name, equal, dry_run), reader, rejects)


def import_playlists(
    store: Store, path: Path, *, reader: Reader | None = None, dry_run: bool = False, rejects: Path | None = None
) -> Iterator[Report]:
    """Yields the report after each piece; the lists are written at the end, all or none, each replaced as a whole."""
    lists: dict[str, list[tuple[int, str]]] = {}
    names: dict[str, str | None] = {}
    known: set[str] = set()

    def piece(rows: Sequence[Numbered], report: Report) -> Rejected:
        taken, bad = [], Rejected()
        for number, row, _ in rows:
            try:
                taken.append((number, row, *_member(row)))
            except ValueError as error:
                bad.append((number, str(error), row))
        _look_up(store, known, {item_id for *_, item_id in taken})
        for number, row, playlist_id, place, item_id in taken:
            try:
                _check_known(item_id, known)
                lists.setdefault(playlist_id, []).append((place, item_id))
                names.setdefault(playlist_id, fields.text(row, "playlist_name"))
                report.accepted += 1
            except ValueError as error:
                bad.append((number, str(error), row))
        return bad

    report = Report()
    for report in _import(path, ("playlist_id", "position", "item_id"), piece, reader, rejects):
        yield report
    with reading(store.engine) as connection:
        held = stored_playlists(connection, list(lists))
    given = [Playlist(playlist_id=one, name=names[one], item_ids=_in_order(members)) for one, members in lists.items()]
    new = [one for one in given if one != held.get(one.playlist_id)]
    if new and not dry_run:
        with writing(store.engine) as connection:
            for one in new:
                put_playlist(connection, one.playlist_id, one.name, one.item_ids)
    written = sum(len(one.item_ids) for one in new)
    report.accepted, report.unchanged = written, report.accepted - written
    yield report


class _Events:
    """Takes pieces of one file's events into the store."""

    def __init__(self, store: Store, source: str, equal: DuplicateCounter, dry_run: bool) -> None:
        self._store, self._equal, self._dry_run = store, equal, dry_run
        self._source = json.dumps(source)
        self._known: set[str] = set()  # items never leave the table, so none needs to be looked up twice

    def __call__(self, rows: Sequence[Numbered], report: Report) -> Rejected:
        taken, bad = self._checked(rows)
        values = self._keyed(taken, bad)
        added = 0
        if values and not self._dry_run:
            with writing(self._store.engine) as connection:
                added = insert_events(connection, values)
        report.accepted += len(values) if self._dry_run else added
        report.unchanged += 0 if self._dry_run else len(values) - added
        return bad

    def _checked(self, rows: Sequence[Numbered]) -> tuple[list[tuple[Numbered, Row]], Rejected]:
        """Rows with their values, and the rows that are no events."""
        taken, bad, latest = [], Rejected(), fields.tomorrow()
        for one in rows:
            try:
                taken.append((one, fields.event(one[1], latest=latest)))
            except ValueError as error:
                bad.append((one[0], str(error), one[1]))
        return taken, bad

    def _keyed(self, taken: Sequence[tuple[Numbered, Row]], bad: Rejected) -> list[Row]:
        """The values under their event ids; what cannot be stored goes to `bad`."""
        _look_up(self._store, self._known, {value["item_id"] for _, value in taken})
        given = [value["event_id"] for _, value in taken if value["event_id"] is not None]
        with reading(self._store.engine) as connection:
            stored = {event.event_id: event for event in stored_events(connection, given)} if given else {}
        kept, ids, digests = list[Row](), set[str](), list[bytes]()
        for (number, row, content), value in taken:
            event_id = value["event_id"]
            try:
                _check_known(value["item_id"], self._known)
                if event_id is None:
                    digests.append(hashlib.sha256(f"[{self._source}, {content}]".encode()).digest()[:16])
                else:
                    _check_id(value, ids, stored.get(event_id))
                    ids.add(event_id)
                kept.append(value)
            except ValueError as error:
                bad.append((number, str(error), row))
        made = (f"{digest.hex()}-{n}" for digest, n in zip(digests, self._equal.numbers(digests), strict=True))
        for value in kept:
            value["event_id"] = value["event_id"] or next(made)
        return kept


def _check_id(value: Row, ids: set[str], stored: Event | None) -> None:
    event_id = value["event_id"]
    if event_id in ids:
        raise ValueError(f"duplicate event_id: {event_id!r} came earlier in this file")
    if stored and not same_event(stored, value, with_at=value["at"] is not None):
        raise ValueError(f"stored with other content: event {event_id!r}; give it another event_id")


def _import(
    path: Path, needed: Sequence[str], piece: Piece, reader: Reader | None, rejects: Path | None
) -> Iterator[Report]:
    report = Report()
    with closing(Rejects(report, rejects)) as bad:
        check_file(path)
        rows = enumerate((reader or reader_of(path))(path, needed), start=1)
        while part := list(islice(rows, PIECE)):
            readable, rejected = _readable(part)
            with _going_on(part[0][0] - 1):
                rejected += piece(readable, report)
            for one in sorted(rejected, key=itemgetter(0)):
                bad.add(path.name, *one)
            yield report
        if not report.accepted + report.unchanged + report.rejected:
            raise InputFileError(f"{path} has no rows: nothing to import")


@contextmanager
def _going_on(done: int) -> Iterator[None]:
    """Says how far the import came, where the database fails it."""
    try:
        yield
    except StoreError as error:
        raise StoreError(f"{error}; the first {done:,} rows are dealt with: import again to go on") from error


def _readable(rows: Sequence[tuple[int, Row | ValueError]]) -> tuple[list[Numbered], Rejected]:
    readable, bad = [], Rejected()
    for number, row in rows:
        if isinstance(row, ValueError):
            bad.append((number, str(row), {}))
            continue
        try:
            readable.append((number, row, fields.content(row)))
        except ValueError as error:
            bad.append((number, str(error), row))
    return readable, bad


def _look_up(store: Store, known: set[str], item_ids: set[str]) -> None:
    """Adds to `known` those of `item_ids` that the store holds."""
    if new := [item_id for item_id in item_ids if item_id not in known]:
        with reading(store.engine) as connection:
            known.update(known_items(connection, new))


def _check_known(item_id: str, known: set[str]) -> None:
    if item_id not in known:
        raise ValueError(f"unknown item: {item_id!r}; import items first")


def _in_order(members: list[tuple[int, str]]) -> tuple[str, ...]:
    """The items by position; those of one position in the order of the file."""
    return tuple(item_id for _, item_id in sorted(members, key=itemgetter(0)))


def _member(row: Row) -> tuple[str, int, str]:
    """Playlist, position and item."""
    place = fields.whole(row, "position")
    if place is None:
        raise ValueError("missing value: position")
    return fields.identifier(row, "playlist_id"), place, fields.identifier(row, "item_id")
