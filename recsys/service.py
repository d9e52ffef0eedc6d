"""The one object that the API, the command line and batch scoring all ask.

A `Recommender` holds the catalogue and the sources of the active bundle in memory and the store beside them. Requests read
one immutable snapshot; writes go to the store first, then replace the snapshot, so that the next request sees them.
"""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from recsys.bundle import Bundle, load_bundle
from recsys.data.catalogue import Catalogue
from recsys.data.history import History
from recsys.data.texts import TextEncoder
from recsys.errors import BundleError, InvalidRequest
from recsys.ranking.filters import allowed
from recsys.retrieval.deployed import Deployed, deploy, popular_only
from recsys.retrieval.source import Candidates, Query
from recsys.store import Store
from recsys.store.journal import Journal
from recsys.store.records import Event, EventDraft, Impression, Item, ItemDraft, Playlist

MAX_HISTORY = 10_000
"""Events read of a stored user and accepted in a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to answer. `include_seen=None` takes the bundle's rule, `encoder=None` its default part."""

    k: int = 10
    exclude: tuple[str, ...] = ()
    include_seen: bool | None = None
    encoder: str | None = None


@dataclass(frozen=True, slots=True)
class Degraded:
    """Something that was asked and not done, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer: `source` contributed most to its score, `sources` are all that had an opinion."""

    item_id: str
    title: str | None
    score: float
    source: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Items best first, with everything needed to trace them."""

    request_id: str
    bundle: str | None
    encoder: str
    items: tuple[Scored, ...]
    degraded: tuple[Degraded, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether recommendations come from a trained bundle, and if not, what is missing."""

    ready: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Live:
    """What one request works on from its first line to its last."""

    deployed: Deployed
    bundle: Bundle | None


class Recommender:
    """Answers and takes writes. Any number of threads may call it.

    Raises (constructor):
        NotReady: the store is not migrated.
        BundleError: the given bundle cannot be read.
    """

    def __init__(self, store: Store, *, bundle: str | None = None, encoder_name: str = "auto") -> None:
        self._store = store
        self._writing = threading.RLock()
        self._encoder_name = encoder_name
        self._encoder: TextEncoder | None = None
        self._trouble: tuple[str, ...] = ()
        self._live = self._load(bundle)
        self._journal = Journal(store.add_impressions)

    def close(self) -> None:
        """Writes the last impressions. The store stays open: it belongs to the caller."""
        self._journal.close()

    # Questions

    def recommend(
        self, *, user_id: str | None = None, history: Sequence[str] | None = None, options: Options = Options()
    ) -> Answer:
        """The items that fit best after the stored history of `user_id`, or after `history` (item ids, oldest first).

        Raises:
            InvalidRequest: neither or both are given, `history` is too long, `k` or `encoder` is out of range.
        """
        if (user_id is None) == (history is None):
            raise InvalidRequest("give either a user or a history")
        live, degraded = self._live, list[Degraded]()
        if history is not None:
            past = self._sent(history, degraded)
        else:
            assert user_id is not None
            past = self.stored_history(user_id)
            if not len(past):
                degraded.append(Degraded("user", f"no events of user {user_id!r}: popular items are shown"))
        return self._answer(live, past, options, degraded, user_id=user_id)

    def similar(self, item_id: str, *, options: Options = Options()) -> Answer:
        """The items that fit best beside `item_id`: the answer to a history of this one item, without the item itself.

        Raises:
            NotFound: the store does not hold the item.
            InvalidRequest: `k` or `encoder` is out of range.
        """
        self._store.item(item_id)
        live = self._live
        past = History.undated(live.deployed.catalogue.rows([item_id]))
        exclude = (*options.exclude, item_id)
        return self._answer(
            live, past, Options(k=options.k, exclude=exclude, include_seen=False, encoder=options.encoder), []
        )

    def stored_history(self, user_id: str) -> History:
        """The last events of a stored user, oldest first; empty for an unknown one."""
        events = self._store.recent_events(user_id, limit=MAX_HISTORY)
        catalogue = self._live.deployed.catalogue
        known = [(row, event.at) for event in events if (row := catalogue.row(event.item_id)) is not None]
        rows = np.array([row for row, _ in known], dtype=np.int64)
        return History(rows, np.array([at.timestamp() if at else np.nan for _, at in known], dtype=np.float64))

    def search(
        self, histories: Sequence[History], options: Options, *, exclude: Sequence[str] = ()
    ) -> tuple[Candidates, list[list[tuple[str, tuple[str, ...]]]]]:
        """Best rows for each history with, per row, the leading source and all sources: what routes and batch share.

        Raises:
            InvalidRequest: `k` or `encoder` is out of range.
        """
        return self._search(self._live, histories, options, exclude=exclude)

    # Writes

    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]:
        """Stores the items and makes them recommendable for the next request."""
        with self._writing:
            items = self._store.put_items(drafts)
            self._publish(items)
            return items

    def delete_item(self, item_id: str) -> None:
        """Takes the item out of every later answer.

        Raises:
            NotFound: the store does not hold the item.
        """
        with self._writing:
            self._store.delete_item(item_id)
            self._live.deployed.catalogue.delete(item_id)

    def item(self, item_id: str) -> Item:
        return self._store.item(item_id)

    def find_items(self, text: str, *, limit: int) -> list[Item]:
        return self._store.find_items(text, limit=limit)

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        return self._store.add_events(drafts)

    def delete_event(self, event_id: str) -> None:
        self._store.delete_event(event_id)

    def delete_user(self, user_id: str) -> None:
        self._store.delete_user(user_id)

    def put_playlist(self, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
        return self._store.put_playlist(playlist_id, name, item_ids)

    def playlist(self, playlist_id: str) -> Playlist:
        return self._store.playlist(playlist_id)

    def delete_playlist(self, playlist_id: str) -> None:
        self._store.delete_playlist(playlist_id)

    # State of the service

    def models(self) -> dict[str, Any]:
        """The active bundle and its parts with settings and measured figures."""
        bundle = self._live.bundle
        if bundle is None:
            return {"bundle": None, "default": "popular", "about": {}, "parts": []}
        parts = [
            {"name": part.name, "kind": part.kind, "hash": part.hash, "settings": part.config, "figures": part.figures}
            for part in bundle.parts.values()
        ]
        return {"bundle": bundle.uri, "default": bundle.default, "about": bundle.about, "parts": parts}

    def readiness(self) -> Readiness:
        if self._live.bundle is not None:
            return Readiness(True, ())
        return Readiness(False, self._trouble or ("no active bundle: run `recsys train blend`, then restart",))

    # Inside

    def _answer(
        self, live: _Live, past: History, options: Options, degraded: list[Degraded], *, user_id: str | None = None
    ) -> Answer:
        if live.bundle is None:
            degraded.append(Degraded("bundle", f"{'; '.join(self.readiness().reasons)}: popular items are shown"))
        found, sources = self._search(live, [past], options, exclude=options.exclude)
        catalogue = live.deployed.catalogue
        items = tuple(
            Scored(catalogue.item_ids[row], catalogue.titles[row], float(score), *why)
            for row, score, why in zip(found.rows[0].tolist(), found.scores[0], sources[0], strict=False)
            if row >= 0
        )
        if len(items) < options.k:
            degraded.append(Degraded("k", f"only {len(items)} of the {options.k} items asked for can be shown"))
        answer = Answer(
            request_id=uuid.uuid4().hex,
            bundle=live.bundle.uri if live.bundle else None,
            encoder=live.deployed.name(options.encoder),
            items=items,
            degraded=tuple(degraded),
        )
        shown = [item.item_id for item in items]
        self._journal.add(Impression(answer.request_id, user_id, answer.bundle, shown, datetime.now(UTC)))
        return answer

    def _search(
        self, live: _Live, histories: Sequence[History], options: Options, *, exclude: Sequence[str] = ()
    ) -> tuple[Candidates, list[list[tuple[str, tuple[str, ...]]]]]:
        if not 1 <= options.k <= 1000:
            raise InvalidRequest(f"k={options.k}: ask for 1 to 1000 items")
        include_seen = options.include_seen
        if include_seen is None:
            include_seen = bool(live.bundle and live.bundle.about.get("include_seen", False))
        active = live.deployed.catalogue.active
        excluded = live.deployed.catalogue.rows(exclude)
        queries = [
            Query(past, allowed(active, without=[excluded] if include_seen else [excluded, past.rows]))
            for past in histories
        ]
        return live.deployed.search(queries, k=options.k, encoder=options.encoder)

    def _sent(self, history: Sequence[str], degraded: list[Degraded]) -> History:
        """The rows of a history sent along; what is unknown or missing is told in `degraded`."""
        if len(history) > MAX_HISTORY:
            raise InvalidRequest(f"a history of {len(history)} items: send the last {MAX_HISTORY} at most")
        catalogue = self._live.deployed.catalogue
        unknown = list(dict.fromkeys(item_id for item_id in history if catalogue.row(item_id) is None))
        if unknown:
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            degraded.append(Degraded("history", f"unknown items left out: {', '.join(unknown[:10])}{more}"))
        past = History.undated(catalogue.rows(history))
        if not len(past):
            degraded.append(Degraded("history", "no known item in it: popular items are shown"))
        return past

    def _load(self, uri: str | None) -> _Live:
        """The bundle at `uri`, or the active one, over what the store holds now; popular items where there is none."""
        record = None if uri else self._store.active_bundle()
        uri = uri or (record.uri if record else None)
        bundle: Bundle | None = None
        if uri:
            try:
                bundle = load_bundle(uri)
            except BundleError as error:
                if record is None:  # asked for by name: say so at once
                    raise
                self._trouble = (str(error),)
        catalogue = Catalogue(bundle.item_ids if bundle else ())
        deployed = deploy(bundle, catalogue) if bundle else popular_only(catalogue, self._store.item_counts())
        self._live = _Live(deployed, bundle)
        self._publish(self._store.items())
        return self._live
