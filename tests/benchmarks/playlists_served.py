"""A store with the items and the first lists of mpd_popular, served by the parts of a blend with both learned encoders."""

import shutil
from pathlib import Path

from recsys.bundle import Bundle
from recsys.bundle_io import read_manifest, save_bundle
from recsys.encoders.base import text_hash
from recsys.encoders.resolve import text_encoder
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import CONTINUE
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.benchmarks.harness import place
from tests.benchmarks.playlists_continuation import READER
from tests.benchmarks.playlists_data import files, lists, titles
from tests.benchmarks.playlists_learned import ENCODERS, weighed

STORED = 1000
"""Lists."""
PIECE = 5000
"""Items written at once."""


def served(data: Path) -> str:
    """The URL of the store, whose active bundle it is."""
    kept = place("served", ENCODERS, STORED, files=files(data, "mpd_popular"))
    url = f"sqlite:///{kept}/recsys.db"
    if not (kept / "ready").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        _fill(data, kept, url)
        (kept / "ready").touch()
    return url


def _fill(data: Path, kept: Path, url: str) -> None:
    found = lists(data, "mpd_popular")
    upgrade(url)
    store = Store.open(url)
    told = zip(found.data.item_ids, titles(data, "mpd_popular"), found.attributes, strict=True)
    drafts = [ItemDraft(item_id=one, title=title, attributes=attributes) for one, title, attributes in told]
    for start in range(0, len(drafts), PIECE):
        store.put_items(drafts[start : start + PIECE])
    for owner, rows in list(zip(found.data.users, found.rows(), strict=True))[:STORED]:
        store.put_playlist(owner, None, [found.data.item_ids[row] for row in rows.tolist()])
    bundle = Bundle(
        parts=weighed(data),
        default=f"{PREFIX}{CONTINUE}",
        item_ids=found.data.item_ids,
        about={"seed": 0, "deploy": False, "text_encoder_hash": text_encoder(READER).hash},
        texts=tuple(text_hash(text) for text in found.data.texts),
    )
    uri = save_bundle(bundle, str(kept), name="bundle")
    store.add_bundle(uri, read_manifest(uri))
    store.activate_bundle(uri)
    store.close()
