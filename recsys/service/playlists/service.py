"""Answers questions about lists: which stored ones are like this one, and what comes next.

A list is stored, or sent along and never stored. Both are answered from one snapshot of the live state, as other questions are.
"""

import uuid
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History
from recsys.errors import Degraded, InvalidRequest, NothingKnown, StoreError
from recsys.ranking import pipeline
from recsys.ranking.filters import allowed
from recsys.ranking.pipeline import RankingOptions
from recsys.retrieval.lists.sparse import ListQuery
from recsys.retrieval.source import Allowed
from recsys.service.items.answers import scored_items
from recsys.service.items.questions import MAX_HISTORY, UNKNOWN_EXCLUDED
from recsys.service.items.warnings import of_store
from recsys.service.playlists import warnings
from recsys.service.playlists.list_vectors import list_vector
from recsys.service.playlists.playlist_index import PlaylistSnapshot
from recsys.service.playlists.questions import (
    Alternative,
    ContinuedList,
    ContinueOptions,
    ScoredList,
    SimilarLists,
    SimilarOptions,
    check,
    check_similar,
)
from recsys.service.playlists.search import nearest
from recsys.service.playlists.vectorizers import ListVectorizer
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot
from recsys.store import Store
from recsys.store.records import Playlist

SIMILAR, CONTINUING = SimilarOptions(), ContinueOptions()


class PlaylistService:
    """Answers for any number of threads; `live` is the recommender's own."""

    def __init__(self, store: Store, live: LiveState) -> None:
        self._store, self._live = store, live

    def similar_to(self, playlist_id: str, options: SimilarOptions, *, request_id: str | None = None) -> SimilarLists:
        """The lists most like a stored one, without itself.

        Raises:
            NotFound: no such playlist.
            InvalidRequest, NotReady: as `similar`.
        """
        stored = self._store.playlist(playlist_id)
        degraded, items = list[Degraded](), stored.item_ids
        if len(items) > MAX_HISTORY:
            degraded.append(warnings.cut_to(MAX_HISTORY, len(items)))
            items = items[-MAX_HISTORY:]
        return self._similar(items, stored.name, options, degraded, without=playlist_id, request_id=request_id)

    def similar(
        self,
        item_ids: Sequence[str],
        name: str | None,
        options: SimilarOptions = SIMILAR,
        *,
        request_id: str | None = None,
    ) -> SimilarLists:
        """The stored lists most like one that is sent along; its name is used where none of its items is known.

        Raises:
            InvalidRequest: neither items nor name, too many items, contradictory options, an unknown encoder.
            NotReady: nothing here encodes lists.
        """
        return self._similar(item_ids, name, options, [], without=None, request_id=request_id)

    def continued(
        self,
        item_ids: Sequence[str],
        name: str | None,
        options: ContinueOptions = CONTINUING,
        *,
        request_id: str | None = None,
    ) -> ContinuedList:
        """What comes after a list that is sent along: by its items, or by its name alone.

        Raises:
            InvalidRequest: neither items nor name, too many items, an option out of range, an unknown encoder.
            NotReady: nothing here continues lists.
        """
        check(options)
        self._live.poll_changes()
        snapshot, degraded = self._live.snapshot, list[Degraded]()
        part = snapshot.lists.part_name(options.encoder)
        query = self._continuation_query(snapshot, part, item_ids, name, options, degraded)
        decoding = options.decoding()
        order, pool = options.order or "sensitive", pipeline.pool_size(decoding)
        how = RankingOptions(part=part, k=pool, order=order, explain=options.explain)
        candidates, continuations = pipeline.continue_list(snapshot.lists, query, decoding, how)
        attributions = candidates.attributions[0]
        leading = continuations.leading()
        sole_source = snapshot.lists.sole_source(part, len(query.history), order)
        degraded += warnings.of_sources(part, item_ids, leading, known=len(query.history) > 0, sole_source=sole_source)
        if len(attributions) < options.k:
            degraded.append(Degraded("k", f"only {len(attributions)} of the {options.k} items asked for can be shown"))
        degraded += continuations.degraded
        lengths = [len(ranking.attributions[0]) for ranking in continuations.rankings]
        degraded += warnings.of_continuations(part, lengths, len(attributions), options, decoded=continuations.decoded)
        return ContinuedList(
            request_id=request_id or uuid.uuid4().hex,
            bundle=snapshot.uri,
            encoder=sole_source if sole_source and leading == {sole_source} else part,
            alternatives=tuple(
                Alternative(scored_items(snapshot.catalogue, query.history, ranking, 0))
                for ranking in continuations.rankings
            ),
            degraded=(*degraded, *of_store(self._live)),
        )

    def _stored_lists(self, snapshot: Snapshot, vectorizer: ListVectorizer) -> PlaylistSnapshot:
        """The stored lists as vectors, or those known while the store does not answer."""
        try:
            return snapshot.playlists.now(vectorizer)
        except StoreError:
            self._live.store_unreachable = True
            if (now := snapshot.playlists.last_known(vectorizer)) is None:
                raise
            return now

    def stored(self, playlist_id: str) -> Playlist:
        """Raises NotFound: no such playlist."""
        return self._store.playlist(playlist_id)

    def _continuation_query(
        self,
        snapshot: Snapshot,
        part: str,
        item_ids: Sequence[str],
        name: str | None,
        options: ContinueOptions,
        degraded: list[Degraded],
    ) -> ListQuery:
        history = self._known_items(snapshot, item_ids, name, degraded)
        degraded += warnings.ignored_inputs(snapshot.lists, part, history, name, options)
        if options.order == "free" and not snapshot.lists.uses_order(part):
            history = History.undated(np.sort(history.rows))  # the same bits, however the list is ordered
        vector = self._name_vector(snapshot, name, degraded)
        degraded += snapshot.unknown(options.exclude, what="exclude", why=UNKNOWN_EXCLUDED)
        if snapshot.lists.fusion is None and not len(history):
            raise NothingKnown(f"{part!r} alone continues lists by their items: send one that it knows")
        return ListQuery(history, _allowed(snapshot, history, options), name=name, name_vector=vector)

    def _name_vector(
        self, snapshot: Snapshot, name: str | None, degraded: list[Degraded]
    ) -> NDArray[np.float32] | None:
        """The text vector of a name, where the parts ask for it."""
        if not snapshot.lists.reads_names or not (name or "").strip():
            return None
        encoder = snapshot.texts.encoder() if snapshot.texts else None
        if encoder is None:
            reason = "; ".join(snapshot.problems) or "the text encoder of the bundle cannot be had"
            degraded.append(Degraded("name", f"{reason}: names are compared by their letters"))
            return None
        vector: NDArray[np.float32] = encoder.encode_documents([name or ""])[0]
        return vector

    def _similar(
        self,
        item_ids: Sequence[str],
        name: str | None,
        options: SimilarOptions,
        degraded: list[Degraded],
        *,
        without: str | None,
        request_id: str | None,
    ) -> SimilarLists:
        check_similar(options)
        self._live.poll_changes()
        snapshot = self._live.snapshot
        encoder, _ = snapshot.lists.encoder(options.encoder, options.order)
        history = self._known_items(snapshot, item_ids, name, degraded)
        if options.holds is not None:
            degraded += snapshot.unknown([options.holds], what="holds", why="unknown items, which no list holds")
        query = list_vector(self._store, snapshot, encoder, history, name, options, degraded)
        now = self._stored_lists(snapshot, query.vectorizer)
        rows, cosines = nearest(self._store, now, query.vectorizer.key, query.vector, options, without=without)
        lists = tuple(
            ScoredList(now.lists.item_ids[row], now.lists.titles[row], int(now.lengths[row]), score)
            for row, score in zip(rows.tolist(), cosines.tolist(), strict=True)
        )
        return SimilarLists(
            request_id=request_id or uuid.uuid4().hex,
            bundle=snapshot.uri,
            encoder=query.encoder,
            playlists=lists,
            degraded=(*degraded, *warnings.fewer_lists(len(lists), options.k), *of_store(self._live)),
        )

    def _known_items(
        self, snapshot: Snapshot, item_ids: Sequence[str], name: str | None, degraded: list[Degraded]
    ) -> History:
        """The known items of a list; warnings of unknown ones are added to `degraded`."""
        if not item_ids and not (name or "").strip():
            raise NothingKnown("an empty list without a name says nothing: send item_ids, or a name")
        if len(item_ids) > MAX_HISTORY:
            raise InvalidRequest(f"a list of {len(item_ids)} items: send {MAX_HISTORY} at most")
        degraded += snapshot.unknown(item_ids, what="items", why="unknown items left out")
        return History.undated(snapshot.catalogue.rows(item_ids))


def _allowed(snapshot: Snapshot, history: History, options: ContinueOptions) -> Allowed:
    """Without a fusion, whose sources find what goes together, a decoder proposes any item that it knows: only those of the
    list's own domains are allowed."""
    without = [] if options.repeats else [history.rows]
    if options.exclude:
        without.append(snapshot.catalogue.rows(options.exclude))
    flags = allowed(snapshot.catalogue.recommendable, without=without)
    if snapshot.lists.fusion is None:
        domains = snapshot.catalogue.domains
        flags &= np.isin(domains[: len(flags)], domains[history.rows])
    return flags
