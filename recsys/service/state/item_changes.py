"""Stored items, new or changed, as part of a snapshot: their ids and titles at once, their texts once they are encoded."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from recsys.data.history import Rows
from recsys.encoders.base import Vectors
from recsys.errors import Busy, StoreError
from recsys.retrieval.word_index import WordIndex
from recsys.service.state.snapshot import Snapshot
from recsys.service.state.text_service import TextService
from recsys.store import Store
from recsys.store.records import Item

log = logging.getLogger(__name__)

STORE_AWAY = (StoreError, Busy)
"""What is tried again later."""


def publish(snapshot: Snapshot, items: Sequence[Item]) -> list[Item]:
    """Makes `items` part of the next answer from `snapshot`. Returns those whose text its sources do not know yet."""
    active = [item for item in items if item.active]
    sold_out = [item.item_id for item in active if not item.available]
    snapshot.catalogue.upsert([(item.item_id, item.title, item.domain) for item in active], unavailable=sold_out)
    snapshot.catalogue.delete([item.item_id for item in items if not item.active])
    return snapshot.texts.changed_items(active, snapshot.catalogue) if snapshot.texts else []


def with_words(snapshot: Snapshot, items: Sequence[Item]) -> Snapshot:
    """The snapshot that finds `items`, which its catalogue has, by the words of their texts, if it finds any so."""
    active = [item for item in items if item.active]
    if snapshot.words is None or not active:
        return snapshot
    rows = snapshot.catalogue.rows(item.item_id for item in active)
    return replace(snapshot, words=snapshot.words.with_texts(rows, [item.text for item in active]))


def with_word_index(snapshot: Snapshot, store: Store) -> Snapshot:
    """The snapshot that finds all items of its catalogue by their words."""
    texts = [""] * len(snapshot.catalogue)
    for page in store.items():
        for item in page:
            row = snapshot.catalogue.row(item.item_id)
            if item.active and row is not None and row < len(texts):
                texts[row] = item.text
    return replace(snapshot, words=WordIndex.of(texts))


def with_encoded(snapshot: Snapshot, items: Sequence[Item]) -> Snapshot:
    """The snapshot whose sources know the texts of `items`, which it has as changed."""
    try:
        return with_vectors(with_texts(snapshot, items), items, try_to_encode(snapshot.texts, items))
    except STORE_AWAY:  # they are read again with the next poll
        if snapshot.texts:
            snapshot.texts.forget(items)
        raise


def with_some_encoded(
    snapshot: Snapshot, items: Sequence[Item], *, is_waiting: Callable[[Item], bool]
) -> tuple[Snapshot, list[Item]]:
    """As `with_encoded`, for those of `items` that are not waiting; second those that are."""
    flags = [is_waiting(item) for item in items]  # asked once each: they may stop to wait meanwhile
    snapshot = with_encoded(snapshot, [item for item, flag in zip(items, flags, strict=True) if not flag])
    return snapshot, [item for item, flag in zip(items, flags, strict=True) if flag]


def try_to_encode(texts: TextService | None, items: Sequence[Item]) -> Mapping[int, Vectors]:
    """The texts of `items` after each exit of the encoder; nothing where that fails, or there is no encoder."""
    try:
        return texts.encode(items) if texts else {}
    except STORE_AWAY:
        raise
    except Exception:  # whatever a text encoder makes of one text: all else goes on
        log.exception("texts of %d items cannot be read, %s the first", len(items), items[0].item_id)
        if texts:
            texts.forget(items)
        return {}


def with_texts(snapshot: Snapshot, items: Sequence[Item]) -> Snapshot:
    """The snapshot whose sources know those of `items` by their texts whose texts were last seen so, as far as these need no
    encoding."""
    texts = snapshot.texts
    current = [item for item in items if texts and texts.is_current(item)]
    if not current:
        return snapshot
    rows = snapshot.catalogue.rows(item.item_id for item in current)
    return replace(snapshot, items=snapshot.items.with_texts(rows, [item.text for item in current]))


def with_vectors(snapshot: Snapshot, items: Sequence[Item], exits: Mapping[int, Vectors]) -> Snapshot:
    """The snapshot whose sources know the vectors of `items` by exit, if there are any, apart from items without a text: to a
    source all texts without a word are the same, so that such items would be recommended for each other."""
    texts = snapshot.texts
    if not exits or not texts:
        return snapshot
    rows = snapshot.catalogue.rows(item.item_id for item in items)
    lists = snapshot.lists.with_items(rows, exits[max(exits)])
    snapshot = replace(snapshot, items=snapshot.items.with_items(rows, exits), lists=lists)
    silent = rows[[texts.is_silent(row) for row in rows.tolist()]]
    return without_texts(snapshot, silent) if len(silent) else snapshot


def without_texts(snapshot: Snapshot, rows: Rows) -> Snapshot:
    """The snapshot after the items at `rows` lost their texts."""
    return replace(snapshot, items=snapshot.items.without_texts(rows), lists=snapshot.lists.without_texts(rows))
