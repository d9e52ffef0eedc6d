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
from tests.benchmarks.harness import artifact
from tests.benchmarks.playlists_continuation import READER
from tests.benchmarks.playlists_data import files, lists, titles
from tests.benchmarks.playlists_learned import ENCODERS, weighed

STORED = 1000
"""Lists."""
ITEMS_PER_WRITE = 5000


def served(data: Path) -> str:
    """The URL of the store, whose active bundle it is."""
    folder = artifact("served", ENCODERS, STORED, files=files(data, "mpd_popular"))
    url = f"sqlite:///{folder}/recsys.db"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _fill(data, folder, url)
        (folder / "ready").touch()
    return url


def _fill(data: Path, folder: Path, url: str) -> None:
    playlists = lists(data, "mpd_popular")
    upgrade(url)
    store = Store.open(url)
    items = zip(playlists.data.item_ids, titles(data, "mpd_popular"), playlists.attributes, strict=True)
    drafts = [ItemDraft(item_id=item_id, title=title, attributes=attributes) for item_id, title, attributes in items]
    for start in range(0, len(drafts), ITEMS_PER_WRITE):
        store.put_items(drafts[start : start + ITEMS_PER_WRITE])
    for owner, rows in list(zip(playlists.data.users, playlists.rows(), strict=True))[:STORED]:
        store.put_playlist(owner, None, [playlists.data.item_ids[row] for row in rows.tolist()])
    bundle = Bundle(
        parts=weighed(data),
        default=f"{PREFIX}{CONTINUE}",
        item_ids=playlists.data.item_ids,
        about={"seed": 0, "text_encoder_hash": text_encoder(READER).hash},
        texts=tuple(text_hash(text) for text in playlists.data.texts),
    )
    uri = save_bundle(bundle, str(folder), name="bundle")
    store.add_bundle(uri, read_manifest(uri))
    store.activate_bundle(uri)
    store.close()
