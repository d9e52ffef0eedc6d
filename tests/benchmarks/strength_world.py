"""A large store with a blend over it: MovieLens trained as a user would, then copied with jitter to any number of items.

Training on 100,000 items would take longer than all rows together. So each item gets as many copies as are needed, with
vectors a little off; an item-item matrix is repeated along its diagonal. Every user stays within one copy of the catalogue.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from sqlalchemy import make_url

from features.text import item_text
from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle, save_bundle
from recsys.encoders.base import text_hash
from recsys.retrieval.fusion import FUSION
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.registry import restore_source
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.bundling import BLEND, Trained, train_bundle
from recsys.training.inputs import load_inputs
from recsys.training.plan import Plan
from tests.benchmarks.foundation_runs import imported
from tests.benchmarks.harness import artifact, say
from tests.databases import transaction

SET = "movielens_100k"
WIDTH = 128
WIDE = {name: {"encoder": {"dim": WIDTH}} for name in ("sasrec", "sasrec-hybrid")}
PLAN = Plan(text_encoder="packaged", include_seen=False, overrides=WIDE)
JITTER = 0.3
"""Length of what is added to a copied vector, as a share of its own."""

EVENTS = 20
"""Events of each stored user."""


@dataclass(frozen=True, slots=True)
class World:
    """`url` of the store, whose active bundle lies beside it."""

    url: str
    bundle: str
    users: int
    items: int


def trained(data: Path) -> str:
    """URI of the default blend of the set, item vectors `WIDTH` wide; made once."""
    folder = artifact("strength", SET, PLAN, files=[data / SET / "interactions.parquet"])
    if not (folder / "bundle").exists():
        shutil.rmtree(folder, ignore_errors=True)
        started = time.monotonic()
        store = Store.open(imported(data, SET))
        inputs = load_inputs(store, PLAN)
        store.close()
        for fact in train_bundle([BLEND], inputs.data, inputs.text, inputs.plan, default=BLEND):
            if isinstance(fact, Trained):
                save_bundle(fact.bundle, str(folder), name="bundle")
        say(f"blend of {SET}: {time.monotonic() - started:.0f} s")
    return str(folder / "bundle")


def world(data: Path, *, items: int, users: int) -> World:
    """The store with `items` and `users`, made once."""
    folder = artifact("world", SET, PLAN, items, users, EVENTS, JITTER, files=[data / SET / "interactions.parquet"])
    url = f"sqlite:///{folder}/recsys.db"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = time.monotonic()
        drafts = _drafts(data, items)
        bundle = enlarged(load_bundle(trained(data)), drafts)
        uri = save_bundle(bundle, str(folder), name="bundle")
        upgrade(url)
        store = Store.open(url)
        for start in range(0, items, 1000):
            store.put_items(drafts[start : start + 1000])
        _fill(url, data, items=items, users=users)
        store.add_bundle(uri, {})
        store.activate_bundle(uri)
        store.close()
        (folder / "ready").touch()
        say(f"world of {items:,} items and {users:,} users: {time.monotonic() - started:.0f} s")
    return World(url, str(folder / "bundle"), users, items)


def with_fewer(whole: World, users: int) -> World:
    """The same items and bundle with the first `users` alone, made once."""
    path = Path(whole.bundle).parent / f"first-{users}.db"
    if not path.exists():
        partial = path.with_suffix(".partial")
        shutil.copy(make_url(whole.url).database or "", partial)
        with closing(sqlite3.connect(partial)) as connection:
            for table in ("events", "users"):
                connection.execute(f"DELETE FROM {table} WHERE user_id >= ?", (user_id(users),))
            connection.commit()
        partial.rename(path)
    return replace(whole, url=f"sqlite:///{path}", users=users)


def enlarged(bundle: Bundle, drafts: list[ItemDraft]) -> Bundle:
    """`bundle` over as many items as there are `drafts`: row r is a copy of row r modulo its size."""
    parts = {name: _enlarged(part, len(drafts)) for name, part in bundle.parts.items()}
    texts = tuple(text_hash(item_text(draft.title, draft.attributes)) for draft in drafts)
    return replace(bundle, parts=parts, item_ids=tuple(draft.item_id for draft in drafts), texts=texts, uri=None)


def jittered(vectors: NDArray[np.float32], items: int, *, seed: int) -> NDArray[np.float32]:
    """`items` rows, each a row of `vectors` and `JITTER` of its length in a random direction, as long as it was."""
    rows = vectors[np.arange(items) % len(vectors)]
    noise = np.random.default_rng(seed).normal(size=rows.shape).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    moved = rows + JITTER * lengths / np.linalg.norm(noise, axis=1, keepdims=True) * noise
    return moved * lengths / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)


def _enlarged(part: Part, items: int) -> Part:
    if part.kind == FUSION:
        return part
    source = restore_source(part)
    if isinstance(source, ItemItemSource):
        return _with_copies(source, items).part(part.name)
    arrays = dict(part.arrays)
    for name in ("scores", "known"):
        if name in arrays:
            arrays[name] = np.resize(arrays[name], items)
    if "residual" in arrays:
        arrays["residual"] = arrays["residual"][np.arange(items) % len(arrays["residual"])]
    if "item_vectors" in arrays:
        arrays["item_vectors"] = jittered(arrays["item_vectors"], items, seed=0)
    return restore_source(replace(part, arrays=arrays)).part(part.name)  # with its graph


def _with_copies(source: ItemItemSource, items: int) -> ItemItemSource:
    """`source` over `items` rows, its matrix repeated along the diagonal."""
    copies = -(-items // len(source.known))
    return ItemItemSource(
        sp.block_diag([source.matrix] * copies, format="csr")[:items, :items],
        known=np.resize(source.known, items),
        kind=source.kind,
        decay=source.decay,
        window=source.window,
        config=source.config,
    )


def _drafts(data: Path, items: int) -> list[ItemDraft]:
    """Copies of the set's items in the order in which its bundle has them."""
    store = Store.open(imported(data, SET))
    originals = {item.item_id: item for page in store.items() for item in page}
    store.close()
    order = load_bundle(trained(data)).item_ids
    return [
        ItemDraft(item_id=f"{item.item_id}-{copy}", title=f"{item.title} {copy}", attributes=item.attributes)
        for copy, item in ((row // len(order), originals[order[row % len(order)]]) for row in range(items))
    ]


def _fill(url: str, data: Path, *, items: int, users: int) -> None:
    """The last events of the set's users, over and over, each time within another copy of the catalogue."""
    histories = [items[-EVENTS:] for items in _histories(data)]
    often = copies(data, items)
    with transaction(url) as connection:
        for start in range(0, users, 5000):
            span = range(start, min(users, start + 5000))
            connection.exec_driver_sql(
                "INSERT INTO users (user_id, created) VALUES (?, '2026-01-01 00:00:00.000000')",
                [(user_id(user),) for user in span],
            )
            connection.exec_driver_sql(
                "INSERT INTO events (event_id, user_id, item_id, position, kind, weight) VALUES (?, ?, ?, ?, 'view', 1)",
                list(_events(histories, span, often)),
            )


def _events(histories: list[list[str]], users: range, copies: int) -> Iterator[tuple[str, str, str, int]]:
    for user in users:
        copy = user // len(histories) % copies
        for position, item in enumerate(histories[user % len(histories)]):
            yield f"{user}-{position}", user_id(user), f"{item}-{copy}", position


def rows_of_users(data: Path, made: World) -> list[NDArray[np.int64]]:
    """What each stored user of a world did last, as rows of its bundle, oldest first."""
    catalogue = Catalogue(load_bundle(made.bundle).item_ids)
    histories, often = [items[-EVENTS:] for items in _histories(data)], copies(data, made.items)
    return [
        catalogue.rows(item for _, _, item, _ in _events(histories, range(user, user + 1), often))
        for user in range(made.users)
    ]


def user_id(user: int) -> str:
    return f"u{user:06d}"


def copies(data: Path, items: int) -> int:
    """How often the whole set fits into `items`."""
    return items // len(load_bundle(trained(data)).item_ids)


def bodies(data: Path, *, count: int, length: int, copies: int) -> list[dict[str, Any]]:
    """Bodies of `count` requests with a history of `length` events each that no store holds."""
    pools = [items for items in _histories(data) if len(items) >= length]
    generator = np.random.default_rng(0)
    chosen = [generator.choice(pools[number % len(pools)], size=length, replace=False) for number in range(count)]
    return [{"history": [f"{item}-{number % copies}" for item in items]} for number, items in enumerate(chosen)]


def _histories(data: Path) -> list[list[str]]:
    events = pl.read_parquet(data / SET / "interactions.parquet", columns=["user_id", "item_id", "position"])
    users = events.sort("user_id", "position").group_by("user_id", maintain_order=True).agg("item_id")
    return users["item_id"].to_list()
