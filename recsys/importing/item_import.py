"""Imports chunks of one file's items: what a file does not say of an item stays as it is stored."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recsys.errors import InputFileError
from recsys.importing import fields
from recsys.importing.chunks import Numbered, Rejected
from recsys.importing.report import Report, Row
from recsys.store import Store
from recsys.store.records import Item, ItemDraft

FOREIGN_COLUMNS = {"user_id": "events", "event_id": "events", "playlist_id": "playlists"}
"""Columns that a file of items does not have, and what a file that has them holds."""


class ItemImport:
    """Imports chunks of the file `path`. Without `allow_event_columns`, a file with `FOREIGN_COLUMNS` is refused."""

    def __init__(self, store: Store, path: Path, *, dry_run: bool, allow_event_columns: bool) -> None:
        self._store, self._path, self._dry_run = store, path, dry_run
        self._foreign = () if allow_event_columns else tuple(FOREIGN_COLUMNS)
        self._seen: set[str] = set()
        self._is_first = True

    def __call__(self, rows: Sequence[Numbered], report: Report) -> Rejected:
        if self._is_first and rows:
            self._is_first = False
            self._check_file(rows[0][1])
        drafts, columns, bad = dict[str, ItemDraft](), dict[str, Row](), Rejected()
        for number, row, _ in rows:
            try:
                self._check_row(row)
                draft = fields.item(row)
                if draft.item_id in self._seen:
                    raise ValueError(f"duplicate item_id: {draft.item_id!r} came earlier in this file")
                self._seen.add(draft.item_id)
                drafts[draft.item_id], columns[draft.item_id] = draft, row
            except ValueError as error:
                bad.append((number, str(error), row))
        differing = self._store.changed_drafts(list(drafts.values()))
        stored = {item.item_id: item for item in self._stored([draft.item_id for draft in differing])}
        new = [draft for draft in differing if draft.item_id not in stored]
        merged = [_merged(drafts[item_id], columns[item_id], item) for item_id, item in stored.items()]
        changed = self._store.changed_drafts(merged)
        if (new or changed) and not self._dry_run:
            self._store.put_items(new + changed)
        report.accepted += len(new) + len(changed)
        report.changed += len(changed)
        report.unchanged += len(drafts) - len(new) - len(changed)
        return bad

    def _stored(self, item_ids: Sequence[str]) -> list[Item]:
        return self._store.active_items(item_ids) if item_ids else []

    def _check_file(self, first: Row) -> None:
        """Raises InputFileError: its first row has columns of another kind of file."""
        for name in filter(first.__contains__, self._foreign):
            kind = FOREIGN_COLUMNS[name]
            raise InputFileError(
                f"{self._path} has a column {name!r}, so that it seems to hold {kind}: "
                f"recsys import {kind}; as items it is imported with --allow-event-columns"
            )

    def _check_row(self, row: Row) -> None:
        """Raises ValueError: a later row has columns of another kind of file."""
        for name in filter(row.__contains__, self._foreign):
            raise ValueError(f"column of {FOREIGN_COLUMNS[name]}: {name}; --allow-event-columns makes it an attribute")


def _merged(draft: ItemDraft, row: Row, stored: Item) -> ItemDraft:
    """The draft with what is stored in columns that the row does not have; an empty value of a column clears it."""
    others = {name: value for name, value in stored.attributes.items() if name not in row}
    return replace(
        draft,
        domain=draft.domain if "domain" in row else stored.domain,
        title=draft.title if "title" in row else stored.title,
        attributes={**others, **draft.attributes},
    )
