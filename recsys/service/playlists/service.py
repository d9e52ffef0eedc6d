"""Questions about lists: which stored ones are like this one, and what comes next.

A list is stored, or sent along and never stored. Both read one snapshot of what is live, as other questions do.
"""

import uuid
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History
from recsys.errors import InvalidRequest, NothingKnown, NotReady
from recsys.ranking.diversity import alternatives
from recsys.ranking.filters import allowed
from recsys.retrieval.fusion import Why
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.parts import reads
from recsys.retrieval.lists.serving import NAMES, NO_PARTS
from recsys.retrieval.lists.sparse import ListQuery
from recsys.retrieval.lists.words import ngrams
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.source import Allowed
from recsys.service.items.questions import MAX_HISTORY, UNKNOWN_EXCLUDED, Degraded, Scored
from recsys.service.playlists.playlist_index import PlaylistIndex
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
from recsys.service.playlists.vectorizers import ItemVectorizer, ListVectorizer, NameVectorizer
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot
from recsys.store import Store
from recsys.store.records import Playlist

SIMILAR, CONTINUING = SimilarOptions(), ContinueOptions()
POOL = 200
"""Candidates from which alternatives are chosen, at least, and twice what they hold: a writer knows not all of them. Ten times as
many where some may not stand together."""


class PlaylistService:
    """Answers for any number of threads; `live` is the recommender's own."""

    def __init__(self, store: Store, live: LiveState) -> None:
        self._store, self._live = store, live
        self._stored = PlaylistIndex(store)

    def similar_to(self, playlist_id: str, options: SimilarOptions, *, request_id: str | None = None) -> SimilarLists:
        """The lists most like a stored one, without itself.

        Raises:
            NotFound: no such playlist.
            InvalidRequest, NotReady: as `similar`.
        """
        stored = self._store.playlist(playlist_id)
        told, items = list[Degraded](), stored.item_ids
        if len(items) > MAX_HISTORY:
            told.append(Degraded("items", f"only the last {MAX_HISTORY:,} of its {len(items):,} items are read"))
            items = items[-MAX_HISTORY:]
        return self._similar(items, stored.name, options, told, without=playlist_id, request_id=request_id)

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
        live, degraded = self._live.snapshot, list[Degraded]()
        encoder = live.lists.continuer(options.encoder)
        past = self._sent(live, item_ids, name, degraded)
        degraded += _unread(live, encoder, past, name, options)
        read = self._read(live, name, degraded)
        degraded += live.unknown(options.exclude, what="exclude", why=UNKNOWN_EXCLUDED)
        query = ListQuery(past, _shown(live, past, options), name=name, read=read)
        pool = max(POOL, 2 * options.k * options.alternatives) * (1 if options.most_of_group is None else 10)
        if live.lists.fusion is None and not len(past):
            raise NothingKnown(f"{encoder!r} alone continues lists by their items: send one that it knows")
        found, why = live.lists.search([query], k=pool, encoder=encoder, order=options.order or "sensitive")
        real = found.rows[0] >= 0
        rows, scores = found.rows[0][real], found.scores[0][real]
        if not len(rows):
            because = "has nothing to go by, or nothing that may be shown: send what it knows, or leave encoder out"
            degraded.append(Degraded("encoder", f"{encoder} {because}"))
        elif encoder != POPULAR:
            degraded += _found_by(item_ids, why[0], known=len(past) > 0)
        if len(rows) < options.k:
            degraded.append(Degraded("k", f"only {len(rows)} of the {options.k} items asked for can be shown"))
        groups = live.lists.groups(rows)
        for penalty in ("same_group", "most_of_group"):
            if getattr(options, penalty) and len(rows) and groups.max() < 0:
                degraded.append(
                    Degraded(penalty, "no item here shares an artist, brand or other attribute with another")
                )
        lists = self._chosen(live, encoder, past, rows, scores, groups, options)
        if not lists and len(rows):
            lists = _ranked(rows, scores, groups, options)
            because = f"{encoder} knows no item of the list, or none that may follow: what was found for it is shown"
            degraded.append(Degraded("encoder", because))
        elif (shortest := min((len(one) for one in lists), default=0)) < min(options.k, len(rows)):
            most = options.most_of_group
            few = "knows only" if most is None else f"shows, with {most} of a group at most, only"
            degraded.append(Degraded("k", f"{encoder} {few} {shortest} of the {options.k} items asked for"))
        if len(lists) < options.alternatives:
            told = "differ: raise strength, or ask for fewer items" if lists else "can be made"
            degraded.append(Degraded("alternatives", f"only {len(lists)} of {options.alternatives} {told}"))
        places = {row: place for place, row in enumerate(rows.tolist())}
        shown = tuple(
            Alternative(
                tuple(_scored(live.catalogue, row, scores[places[row]], why[0][places[row]]) for row in one.tolist())
            )
            for one in lists
        )
        return ContinuedList(
            request_id=request_id or uuid.uuid4().hex,
            bundle=live.bundle.uri if live.bundle else None,
            encoder=encoder,
            alternatives=shown,
            degraded=tuple(degraded),
        )

    def warm_up(self) -> None:
        """Reads all stored lists by each encoder and by name now, so that the first question does not wait for it."""
        live = self._live.snapshot
        for encoder in live.lists.encoders.values():
            self._stored.now(self._reader(live, encoder))
        self._stored.now(NameVectorizer())

    def stored(self, playlist_id: str) -> Playlist:
        """Raises NotFound: no such playlist."""
        return self._store.playlist(playlist_id)

    def _read(self, live: Snapshot, name: str | None, degraded: list[Degraded]) -> NDArray[np.float32] | None:
        """What the text encoder of the bundle reads in a name, where the parts ask for it."""
        if not live.lists.reads_names or not (name or "").strip():
            return None
        encoder = self._live.reading.encoder() if self._live.reading else None
        if encoder is None:
            why = "; ".join(self._live.problems) or "the text encoder of the bundle cannot be had"
            degraded.append(Degraded("name", f"{why}: names are compared by their letters"))
            return None
        read: NDArray[np.float32] = encoder.encode([name or ""])[0]
        return read

    def _reader(self, live: Snapshot, encoder: ListEncoder) -> ListVectorizer:
        return ItemVectorizer(encoder, live.catalogue, self._store)

    def _chosen(
        self,
        live: Snapshot,
        encoder: str,
        past: History,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        groups: NDArray[np.int64],
        options: ContinueOptions,
    ) -> list[NDArray[np.int64]]:
        """Rows of each continuation."""
        if not len(rows):
            return []
        writer = live.lists.writer(encoder)
        if writer is None:
            return _ranked(rows, scores, groups, options)
        prior = None if live.lists.fusion is None else scores  # without a fusion they are the model's own
        written = writer.decode(past.rows, among=rows, prior=prior, groups=groups, wanted=options.decoding())
        return [one.rows for one in written]

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
        live = self._live.snapshot
        encoder, kept = live.lists.encoder(options.encoder, options.order)
        past = self._sent(live, item_ids, name, degraded)
        if options.holds is not None:
            degraded += live.unknown([options.holds], what="holds", why="unknown items, which no list holds")
        vector = None if encoder is None else encoder.encode([past.rows])
        if encoder is not None and vector is not None and not vector.any() and options.encoder is None:
            encoder, vector = self._instead(live, encoder, past, degraded)
            kept = options.order is None or encoder.order_sensitive == (options.order == "sensitive")
        if encoder is not None and vector is not None and vector.any():
            if not kept:
                degraded.append(Degraded("order", _other_order(encoder)))
            used: str = encoder.name
            reader: ListVectorizer = self._reader(live, encoder)
        elif (name or "").strip():
            used, reader, vector = NAMES, NameVectorizer(), ngrams([name])
            degraded.append(Degraded("items", "no item to compare: lists with similar names are shown"))
            if options.order is not None:
                degraded.append(Degraded("order", "names have no order of items"))
        elif encoder is None:
            raise NotReady(NO_PARTS)
        else:
            raise NothingKnown("no item of the list is known to the encoder and it has no name: send one of both")
        now = self._stored.now(reader)
        rows, cosines = nearest(self._store, now, reader.key, vector, options, without=without)
        lists = tuple(
            ScoredList(now.lists.item_ids[row], now.lists.titles[row], int(now.lengths[row]), score)
            for row, score in zip(rows.tolist(), cosines.tolist(), strict=True)
        )
        if len(lists) < options.k:
            degraded.append(Degraded("k", f"only {len(lists)} of the {options.k} lists asked for can be shown"))
        return SimilarLists(
            request_id=request_id or uuid.uuid4().hex,
            bundle=live.bundle.uri if live.bundle else None,
            encoder=used,
            playlists=lists,
            degraded=tuple(degraded),
        )

    def _instead(
        self, live: Snapshot, encoder: ListEncoder, past: History, degraded: list[Degraded]
    ) -> tuple[ListEncoder, NDArray[np.float32]]:
        """Another encoder that knows an item of the list, and what it reads; `encoder` itself where none does."""
        alike = sorted(live.lists.encoders.values(), key=lambda one: one.order_sensitive != encoder.order_sensitive)
        for other in alike:
            if (vector := other.encode([past.rows])).any():
                degraded.append(Degraded("encoder", f"{encoder.name} knows none of the items: {other.name} answers"))
                return other, vector
        return encoder, encoder.encode([past.rows])

    def _sent(self, live: Snapshot, item_ids: Sequence[str], name: str | None, degraded: list[Degraded]) -> History:
        """The known items of a list; what is unknown is told in `degraded`."""
        named = bool((name or "").strip())
        if not item_ids and not named:
            raise NothingKnown("an empty list without a name says nothing: send item_ids, or a name")
        if len(item_ids) > MAX_HISTORY:
            raise InvalidRequest(f"a list of {len(item_ids)} items: send {MAX_HISTORY} at most")
        degraded += live.unknown(item_ids, what="items", why="unknown items left out")
        return History.undated(live.catalogue.rows(item_ids))


def _unread(
    live: Snapshot, encoder: str, past: History, name: str | None, options: ContinueOptions
) -> Iterator[Degraded]:
    """What of the question the one part that answers takes no account of; a fusion takes account of everything.

    Raises InvalidRequest: a list encoder was named that does the opposite of `order`.
    """
    source = live.lists.sources.get(encoder)
    if source is None:
        return
    own, blended = reads(source), live.lists.writer(encoder) is not None and live.lists.fusion is not None
    instead = "leave encoder out" if options.encoder else "train blend"
    if options.order is not None and own.order != (options.order == "sensitive"):
        if encoder in live.lists.encoders:
            live.lists.encoder(options.encoder, options.order)  # refused where it was named
        does = "takes every list in its order" if own.order else "takes no account of the order of a list"
        yield Degraded("order", f"{encoder} {does}: {instead}, or leave order out")
    if len(past) and not own.items:
        yield Degraded("items", f"{encoder} takes no account of the items of a list: {instead}")
    if (name or "").strip() and not own.name and not blended:
        yield Degraded("name", f"{encoder} takes no account of the name of a list: {instead}")


def _other_order(encoder: ListEncoder) -> str:
    """Why `order` is not kept where `encoder` answers."""
    if encoder.order_sensitive:
        return f"every encoder here is sensitive to order, {encoder.name} answers: train set or blend"
    return f"no encoder here is sensitive to order, {encoder.name} answers: train playlist-seq2seq"


def _found_by(item_ids: Sequence[str], why: Sequence[Why], *, known: bool) -> Iterator[Degraded]:
    """What answers where it is popularity, or for a list of which no item is `known`."""
    missing = "no item of the list is known" if item_ids else "nothing is known of the name"
    if known:
        missing = "the lists learned from do not tell what goes with these items"
    if {name for _, names in why for name in names} == {POPULAR}:
        yield Degraded("items" if item_ids else "name", f"{missing}: popular items answer")
    elif item_ids and not known:
        yield Degraded("items", f"{missing}: its name alone answers")


def _ranked(
    rows: NDArray[np.int64], scores: NDArray[np.float32], groups: NDArray[np.int64], options: ContinueOptions
) -> list[NDArray[np.int64]]:
    """Rows of each continuation by their scores, less what makes alternatives and groups alike."""
    return [rows[places] for places in alternatives(scores, groups, options.decoding())]


def _shown(live: Snapshot, past: History, options: ContinueOptions) -> Allowed:
    """Without a fusion, whose sources find what goes together, a model proposes any item that it knows: those of the list's own
    domains are kept."""
    without = [] if options.repeats else [past.rows]
    if options.exclude:
        without.append(live.catalogue.rows(options.exclude))
    shown = allowed(live.catalogue.active, without=without)
    if live.lists.fusion is None:
        domains = live.catalogue.domains
        shown &= np.isin(domains[: len(shown)], domains[past.rows])
    return shown


def _scored(catalogue: Catalogue, row: int, score: float, why: Why) -> Scored:
    return Scored(catalogue.item_ids[row], catalogue.titles[row], float(score), *why)
