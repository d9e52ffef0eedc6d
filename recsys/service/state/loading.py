"""Makes the snapshot that serves a bundle, beside the one that answers meanwhile."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.bundle_io import load_bundle
from recsys.data.feedback import Signals
from recsys.indexes.build import Kind
from recsys.ranking.trial import check_answers
from recsys.retrieval.lists.serving import list_serving_model
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.serving import popular_only, serving_model
from recsys.retrieval.text_search import SearchWeights
from recsys.service.items.questions import MAX_HISTORY
from recsys.service.playlists.playlist_index import PlaylistIndex
from recsys.service.playlists.vectorizers import ItemVectorizer, NameVectorizer
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.history_cache import HistoryCache
from recsys.service.state.item_changes import publish, with_some_encoded
from recsys.service.state.snapshot import NO_LISTS, Snapshot
from recsys.service.state.text_service import TextService
from recsys.signals import NEUTRAL, SignalTable, is_rating
from recsys.store import Store
from recsys.store.records import Item


class SnapshotLoader:
    """Loads snapshots over `store`, with the settings of text encoders and their indexes."""

    def __init__(self, store: Store, *, device: str, text_index: Kind, indexes: Path | None) -> None:
        self._store, self._device, self._text_index, self._indexes = store, device, text_index, indexes

    def load(self, uri: str) -> Snapshot:
        """The bundle at `uri`, each part of which has answered a question; items of the store are still to come.

        Raises:
            BundleError: it cannot be read, or a part cannot answer.
            StoreError: the store does not answer.
        """
        bundle = load_bundle(uri)
        snapshot = replace(
            self._over(bundle.item_ids, Signals.of_manifest(bundle.about)),
            bundle=bundle,
            lists=list_serving_model(bundle),
            search_weights=SearchWeights.from_manifest(bundle.about),
        )
        items = serving_model(bundle)
        check_answers(items, snapshot.lists, size=len(bundle.item_ids))
        if not snapshot.recommends:
            problem = f"{bundle.uri} has parts for lists alone: `recsys train blend` has some for items"
            snapshot = replace(snapshot, load_problems=(problem,))
        else:
            popular = snapshot.items.sources[POPULAR]  # which stands in where the others find nothing
            snapshot = replace(
                snapshot, items=items if POPULAR in items.sources else items.with_source(POPULAR, popular)
            )
        texts = TextService(
            self._store,
            bundle,
            snapshot.items.text_encoders | snapshot.lists.text_encoders,
            reads_texts=snapshot.items.reads_texts or bool(snapshot.lists.text_encoders),
            device=self._device,
            text_index=self._text_index,
            indexes=self._indexes,
        )
        return replace(snapshot, texts=texts)

    def without_bundle(self, problem: str) -> Snapshot:
        """All items of the store by their popularity, which stands in because of `problem`."""
        item_ids = tuple(item.item_id for page in self._store.items() for item in page)
        return replace(self._over(item_ids, Signals()), load_problems=(problem,))

    def with_stored_items(
        self, snapshot: Snapshot, *, is_waiting: Callable[[Item], bool] = lambda _: False
    ) -> tuple[Snapshot, list[Item]]:
        """The snapshot with all items of the store, and by their texts those that are new since the training; apart from items
        that are waiting, which come second and are to be encoded later."""
        changed = [item for page in self._store.items() for item in publish(snapshot, page)]
        if (texts := snapshot.texts) is None:
            return snapshot, []
        snapshot, waiting = with_some_encoded(snapshot, changed, is_waiting=is_waiting)
        return replace(snapshot, items=texts.with_vectors(snapshot.items, snapshot.catalogue)), waiting

    def _over(self, item_ids: Sequence[str], signals: Signals) -> Snapshot:
        """The popular ones of these items, of which none is active yet; events count by `signals`."""
        counts = self._popularity(signals.table)
        catalogue = Catalogue(item_ids)
        return Snapshot(
            items=popular_only(np.array([counts[item_id] for item_id in item_ids], dtype=np.int64)),
            lists=NO_LISTS,
            catalogue=catalogue,
            bundle=None,
            texts=None,
            histories=HistoryCache(self._store, catalogue.row, signals, limit=MAX_HISTORY),
            playlists=PlaylistIndex(self._store),
        )

    def _popularity(self, table: SignalTable) -> Counter[str]:
        """How many events of each item speak for it: of ratings, those from the middle up."""
        kinds = [count.kind for count in self._store.kind_counts() if table.weight(count.kind) > 0]
        ratings = [kind for kind in kinds if is_rating(kind)]
        others = [kind for kind in kinds if not is_rating(kind)]
        return Counter(self._store.item_counts(others)) + Counter(self._store.item_counts(ratings, least=NEUTRAL))


def warm_up(snapshot: Snapshot, store: Store) -> None:
    """Loads the text encoder and encodes all stored lists now, so that no first question waits for them."""
    if snapshot.texts and (encoder := snapshot.texts.encoder()):
        encoder.encode_documents(["warm"])
    for list_encoder in snapshot.lists.encoders.values():
        snapshot.playlists.now(ItemVectorizer(list_encoder, snapshot.catalogue, store))
    snapshot.playlists.now(NameVectorizer())
