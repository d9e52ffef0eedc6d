"""The demo's store with the parts for lists of a blend, and continuations of its lists that no source has learned."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from recsys.bundle import Bundle
from recsys.bundle_io import read_manifest, save_bundle
from recsys.data.playlists import playlists, with_name_vectors
from recsys.encoders.resolve import text_encoder
from recsys.importing.files import import_items, import_playlists
from recsys.importing.samples import fetch, write_files
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import CONTINUE
from recsys.service import Recommender
from recsys.settings import Settings
from recsys.store import Store
from recsys.store.records import Playlist
from recsys.store.sessions import upgrade
from recsys.training.lists.blend import train_list_parts
from recsys.training.plan import Plan
from tests.benchmarks.harness import ARTIFACTS, artifact

SEED = 0


@contextmanager
def demo() -> Iterator[tuple[Recommender, Store]]:
    """The demo as it is served, without its parts for items."""
    folder = artifact("demo", SEED)
    url = f"sqlite:///{folder}/recsys.db"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _fill(url, str(folder))
        (folder / "ready").touch()
    store = Store.open(url)
    recommender = Recommender(store)
    try:
        yield recommender, store
    finally:
        recommender.close()
        store.close()


def stored_lists(store: Store) -> Sequence[Playlist]:
    return [store.playlist(playlist_id) for playlist_id in store.playlist_ids()]


def _fill(url: str, folder: str) -> None:
    samples = ARTIFACTS.parent / Settings().data.name
    list(fetch(samples))
    files = write_files(samples)
    upgrade(url)
    store = Store.open(url)
    for import_files, paths in ((import_items, files.items), (import_playlists, files.playlists)):
        for path in paths:
            list(import_files(store, path))
    reader = text_encoder("auto")
    lists = playlists(store, seed=SEED)
    *_, parts = train_list_parts(
        with_name_vectors(lists, reader.encode_documents), Plan(text_encoder="auto", include_seen=False, seed=SEED)
    )
    assert isinstance(parts, dict)
    bundle = Bundle(
        parts=parts,
        default=f"{PREFIX}{CONTINUE}",
        item_ids=lists.data.item_ids,
        about={"seed": SEED, "text_encoder": "auto", "text_encoder_hash": reader.hash},
    )
    uri = save_bundle(bundle, folder, name="bundle")
    store.add_bundle(uri, read_manifest(uri))
    store.activate_bundle(uri)
    store.close()
