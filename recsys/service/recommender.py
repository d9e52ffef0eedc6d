"""Answers questions and takes writes: requests read one immutable snapshot of `LiveState`; writes go to the store first, then
replace the snapshot, so that the next request sees them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.bundle import Bundle
from recsys.data.history import NO_ROWS, History
from recsys.encoders.catalogue import KIND
from recsys.errors import InvalidRequest, NotFound, NotReady, RecsysError
from recsys.indexes.build import Kind
from recsys.ranking.filters import allowed
from recsys.retrieval.fusion import Why
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.source import Candidates, Query
from recsys.retrieval.truncation import Truncation, truncations_of
from recsys.service.items.questions import (
    DEFAULT,
    MAX_HISTORY,
    MAX_K,
    UNKNOWN_EXCLUDED,
    Answer,
    Degraded,
    Options,
    Question,
    Readiness,
    Scored,
)
from recsys.service.playlists.service import PlaylistService
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot
from recsys.service.state.text_service import readable
from recsys.store import Store
from recsys.store.journal import Journal
from recsys.store.records import Event, EventDraft, Impression, Item, ItemDraft, Playlist


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A question as the sources are asked it: the part `name` at one of its sizes. A text is still to be read."""

    question: Question
    name: str
    size: Truncation | None
    query: Query
    degraded: list[Degraded]


class Recommender:
    """Answers and takes writes. Any number of threads may call it.

    `bundle` is the URI of the one to serve; without it the store's active bundle is served, and popular items where there
    is none or it is damaged. `text_index` is how the vectors of a text encoder inside the bundle are searched, at each of its
    sizes; what takes long to build of that outlives the process in the folder `indexes`, if one is given. `lists` answers
    questions about lists.

    Raises (constructor):
        BundleError: the bundle named cannot be read.
        StoreError: the store does not answer.
    """

    def __init__(
        self,
        store: Store,
        *,
        bundle: str | None = None,
        device: str = "cpu",
        text_index: Kind = "auto",
        indexes: Path | None = None,
    ) -> None:
        self._store = store
        self._live = LiveState(store, bundle=bundle, device=device, text_index=text_index, indexes=indexes)
        self._journal = Journal(store.add_impressions)
        self.lists = PlaylistService(store, self._live)

    def close(self) -> None:
        """Writes the last impressions. The store stays open: it belongs to the caller."""
        self._journal.close()

    # Questions

    def recommend(
        self, *, user_id: str | None = None, history: Sequence[str] | None = None, options: Options = DEFAULT
    ) -> Answer:
        """The items that fit best after the stored history of `user_id`, or after `history` (item ids, oldest first).

        Raises:
            InvalidRequest: neither or both are given, `history` is too long, `k` or `encoder` is out of range.
        """
        return self._one(Question(user_id=user_id, history=history, options=options))

    def similar(self, item_id: str, *, options: Options = DEFAULT) -> Answer:
        """The items that fit best beside `item_id`: the answer to a history of this one item, without the item itself.

        Raises:
            NotFound: the store does not hold the item.
            InvalidRequest: `k` or `encoder` is out of range.
        """
        return self._one(Question(item_id=item_id, options=options))

    def find(self, text: str, *, domain: str | None = None, options: Options = DEFAULT) -> Answer:
        """The items whose text is nearest to `text`, of `domain` alone where it is given.

        Raises:
            InvalidRequest: nothing in `text` can be read, or an option is out of range.
            NotReady: no part that answers reads texts.
        """
        return self._one(Question(text=text, domain=domain, options=options))

    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]:
        """An answer to each question, or what `recommend` or `similar` would raise. Together they cost less than one by one."""
        self._live.poll_changes()
        live = self._live.snapshot
        answers: dict[int, Answer | RecsysError] = {}
        groups: dict[tuple[int, str, Truncation | None, bool], list[tuple[int, _Prepared]]] = {}
        for place, question in enumerate(questions):
            try:
                prepared = self._prepared(live, question)
            except RecsysError as error:
                answers[place] = error
                continue
            key = (question.options.k, prepared.name, prepared.size, question.text is not None)
            groups.setdefault(key, []).append((place, prepared))
        for (k, name, size, texts), group in groups.items():
            try:
                queries = self._read(live, [one for _, one in group]) if texts else [one.query for _, one in group]
            except RecsysError as error:
                answers |= {place: error for place, _ in group}
                continue
            found, why = live.deployed.search(queries, k=k, encoder=name, size=size, fill=not texts)
            for (place, one), rows, scores, reasons in zip(
                group, found.rows.tolist(), found.scores.tolist(), why, strict=True
            ):
                answers[place] = self._shown(live, one, rows, scores, reasons)
        return [answers[place] for place in range(len(questions))]

    def stored_history(self, user_id: str) -> History:
        """The last events of a stored user, oldest first; empty for an unknown one."""
        return self._live.histories.read(user_id)[0]

    def stored_histories(self, user_ids: Sequence[str]) -> list[History]:
        """The same for many: a piece of all users in ascending order, read at once."""
        return self._live.histories.read_many(user_ids)

    def sent_history(self, item_ids: Sequence[str], degraded: list[Degraded]) -> History:
        """The history that `item_ids` make, oldest first; what is unknown or missing is told in `degraded`.

        Raises:
            InvalidRequest: it is too long.
        """
        if len(item_ids) > MAX_HISTORY:
            raise InvalidRequest(f"a history of {len(item_ids)} items: send the last {MAX_HISTORY} at most")
        live = self._live.snapshot
        degraded += live.unknown(item_ids, what="history", why="unknown items left out")
        past = History.undated(live.catalogue.rows(item_ids))
        if not len(past):
            degraded.append(Degraded("history", "no known item in it: popular items are shown"))
        return past

    def search(self, histories: Sequence[History], options: Options) -> tuple[Candidates, list[list[Why]]]:
        """The best rows after each history and, per row, the leading source and all sources: what routes and batch share.

        Raises:
            InvalidRequest: `k` or `encoder` is out of range.
        """
        live = self._live.snapshot
        name = live.deployed.name(options.encoder)
        size, _ = live.deployed.size(name, layers=options.layers, dims=options.dims)
        queries = [self._query(live, past, options, name=name) for past in histories]
        return live.deployed.search(queries, k=options.k, encoder=options.encoder, size=size)

    def unmet(self, options: Options) -> list[Degraded]:
        """What of `options` no answer meets: a size that the part does not offer."""
        _, unmet = self._live.snapshot.deployed.size(options.encoder, layers=options.layers, dims=options.dims)
        return [Degraded(*one) for one in unmet]

    # Writes

    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]:
        """Stores the items and makes them recommendable for the next request."""
        with self._live.writing():
            return self._store.put_items(drafts)

    def delete_item(self, item_id: str) -> None:
        """Takes the item out of every later answer.

        Raises:
            NotFound: the store does not hold the item.
        """
        with self._live.writing():
            self._store.delete_item(item_id)

    def item(self, item_id: str) -> Item:
        return self._store.item(item_id)

    def find_items(self, text: str, *, limit: int) -> list[Item]:
        return self._store.find_items(text, limit=limit)

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        events = self._store.add_events(drafts)
        self._live.histories.invalidate()
        return events

    def delete_event(self, event_id: str) -> None:
        self._store.delete_event(event_id)
        self._live.histories.invalidate()

    def delete_user(self, user_id: str) -> None:
        self._store.delete_user(user_id)
        self._live.histories.invalidate()

    def put_playlist(self, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
        return self._store.put_playlist(playlist_id, name, item_ids)

    def playlist(self, playlist_id: str) -> Playlist:
        return self._store.playlist(playlist_id)

    def delete_playlist(self, playlist_id: str) -> None:
        self._store.delete_playlist(playlist_id)

    # State of the service

    @property
    def catalogue(self) -> Catalogue:
        """Which row is which item."""
        return self._live.snapshot.catalogue

    @property
    def bundle(self) -> Bundle | None:
        """What answers; None while popular items stand in."""
        return self._live.snapshot.bundle

    @property
    def include_seen(self) -> bool:
        """May items of the history come back, when the request does not say?"""
        bundle = self._live.snapshot.bundle
        return bool(bundle and bundle.about.get("include_seen", False))

    def models(self) -> dict[str, Any]:
        """The active bundle and its parts with settings and measured figures; those that answer questions about lists apart."""
        bundle = self._live.snapshot.bundle
        if bundle is None:
            return {"bundle": None, "default": "popular", "about": {}, "parts": [], "lists": []}
        told = [
            {
                "name": part.name.removeprefix(PREFIX),
                "kind": part.kind,
                "hash": part.hash,
                "settings": part.config,
                "figures": part.figures,
                "sizes": [setting.shown() for setting in truncations_of(part).settings] if part.kind == KIND else [],
            }
            for part in bundle.parts.values()
        ]
        of_lists = [name.startswith(PREFIX) for name in bundle.parts]
        return {
            "bundle": bundle.uri,
            "default": bundle.default if self._live.snapshot.recommends else "popular",
            "about": bundle.about,
            "parts": [one for one, apart in zip(told, of_lists, strict=True) if not apart],
            "lists": [one for one, apart in zip(told, of_lists, strict=True) if apart],
        }

    def readiness(self) -> Readiness:
        """Ready means that a trained bundle answers."""
        return Readiness(self._live.snapshot.bundle is not None, self._live.problems)

    def warm_up(self) -> None:
        """Loads the text encoders and reads the stored lists now, so that the first question does not wait for them."""
        self._live.warm_up()
        self.lists.warm_up()

    # Inside

    def _one(self, question: Question) -> Answer:
        (answer,) = self.answer([question])
        if isinstance(answer, RecsysError):
            raise answer
        return answer

    def _prepared(self, live: Snapshot, question: Question) -> _Prepared:
        options = question.options
        name = live.deployed.name(options.encoder) if question.text is None else self._reader(live, options)
        size, unmet = live.deployed.size(name, layers=options.layers, dims=options.dims)
        degraded = [Degraded(*one) for one in unmet]
        match question:
            case Question(user_id=str() as user_id, history=None, item_id=None, text=None):
                past = self._live.histories.get(user_id)
                if not len(past):
                    degraded.append(Degraded("user", f"no events of user {user_id!r}: popular items are shown"))
            case Question(user_id=None, history=Sequence() as history, item_id=None, text=None):
                past = self.sent_history(history, degraded)
            case Question(user_id=None, history=None, item_id=str() as item_id, text=None):
                row = live.catalogue.row(item_id)
                if row is None or row >= len(live.catalogue) or not live.catalogue.active[row]:
                    raise NotFound(f"unknown item {item_id!r}: PUT it first or leave it out")
                past, options = History.undated(live.catalogue.rows([item_id])), replace(options, include_seen=False)
                if live.deployed.goes_by_text(name) and self._live.reading and self._live.reading.is_silent(row):
                    degraded.append(Degraded("item", f"it has no text, and {name} goes by nothing else"))
            case Question(user_id=None, history=None, item_id=None, text=str() as text):
                past, question = History.undated(NO_ROWS), replace(question, text=readable(text))
            case _:
                raise InvalidRequest("give either a user, a history, an item or a text")
        if not live.recommends:
            degraded.append(Degraded("bundle", f"{'; '.join(self._live.problems)}: popular items are shown"))
        if self._live.store_unreachable:
            degraded.append(
                Degraded("store", "the database does not answer: what was written meanwhile may be missing")
            )
        degraded += live.unknown(options.allow or (), what="allow", why="unknown items, which cannot be shown")
        degraded += live.unknown(options.exclude, what="exclude", why=UNKNOWN_EXCLUDED)
        query = self._query(live, past, options, name=name)
        if question.domain is not None and self._live.reading:
            kept, unmet = self._live.reading.restrict_to_domain(question.domain, live.catalogue, query.allowed)
            query, degraded = replace(query, allowed=kept), degraded + [Degraded(*one) for one in unmet]
            if live.catalogue.of_domain(question.domain) is None:
                question = replace(question, domain=None)  # all are searched, so all experts read
        return _Prepared(question, name, size, query, degraded)

    def _reader(self, live: Snapshot, options: Options) -> str:
        """The part that is asked a text."""
        if live.bundle is None:
            raise NotReady("; ".join(self._live.problems))
        return live.deployed.name(options.encoder) if options.encoder else live.deployed.reader()

    def _read(self, live: Snapshot, asked: Sequence[_Prepared]) -> list[Query]:
        """The queries of questions that are texts, all of one part and size, with the vectors of their texts."""
        assert self._live.reading is not None
        texts = [(one.question.text or "", one.question.domain) for one in asked]
        vectors = self._live.reading.of_questions(live.deployed, asked[0].name, asked[0].size, texts)
        for one, (text, _) in zip(asked, texts, strict=True):
            one.degraded.extend(Degraded(*unmet) for unmet in self._live.reading.unmet(text))
        return [replace(one.query, vector=vector) for one, vector in zip(asked, vectors, strict=True)]

    def _query(self, live: Snapshot, past: History, options: Options, *, name: str) -> Query:
        if not 1 <= options.k <= MAX_K:
            raise InvalidRequest(f"k={options.k}: ask for 1 to {MAX_K} items")
        seen = self.include_seen if options.include_seen is None else options.include_seen
        without = [past.rows] if not seen else []
        if options.exclude:
            without.append(live.catalogue.rows(options.exclude))
        only = None if options.allow is None else live.catalogue.rows(options.allow)
        shown = allowed(live.catalogue.active, only=only, without=without)
        if self._live.reading and live.deployed.goes_by_text(name):
            shown = self._live.reading.with_text(shown)
        return Query(past, shown)

    def _shown(
        self, live: Snapshot, asked: _Prepared, rows: Sequence[int], scores: Sequence[float], why: Sequence[Why]
    ) -> Answer:
        """The answer, whose impression is on its way to the store."""
        options, degraded = asked.question.options, asked.degraded
        titles, ids = live.catalogue.titles, live.catalogue.item_ids
        items = tuple(
            Scored(ids[row], titles[row], score, *because)
            for row, score, because in zip(rows, scores, why, strict=False)
            if row >= 0
        )
        if len(items) < options.k:
            degraded.append(Degraded("k", f"only {len(items)} of the {options.k} items asked for can be shown"))
        answer = Answer(
            request_id=asked.question.request_id or uuid.uuid4().hex,
            bundle=live.bundle.uri if live.bundle else None,
            encoder=asked.name,
            items=items,
            degraded=tuple(degraded),
        )
        shown = [item.item_id for item in items]
        user_id = asked.question.user_id
        self._journal.add(Impression(answer.request_id, user_id, answer.bundle, shown, datetime.now(UTC)))
        return answer
