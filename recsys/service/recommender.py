"""One object for everything that is asked and written: requests read one immutable snapshot; writes go to the store first, then
replace the snapshot, so that the next request sees them.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recsys.bundle import Bundle
from recsys.data.history import History
from recsys.errors import Degraded, RecsysError
from recsys.indexes.build import Kind
from recsys.ranking.pipeline import Ranking
from recsys.service.items.questions import DEFAULT, Answer, Options, Question, Readiness
from recsys.service.items.service import ItemService
from recsys.service.models import described
from recsys.service.playlists.service import PlaylistService
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.live import TEXT_LAG, LiveState
from recsys.service.state.live_counts import LiveCounts
from recsys.service.state.signal_drift import drift_of
from recsys.signals import SignalTable
from recsys.store import Store
from recsys.store.journal import Journal
from recsys.store.records import Event, EventDraft, Item, ItemDraft, Playlist

log = logging.getLogger(__name__)


class Recommender:
    """Answers and takes writes. Any number of threads may call it.

    `bundle` is the URI of the one to serve; without it the store's active bundle is served, and popular items where there
    is none or it is damaged. `text_index` is how the vectors of a text encoder inside the bundle are searched, at each of its
    truncations; indexes that take long to build outlive the process in the folder `indexes`, if one is given. Texts that other
    processes wrote count at most `text_lag` seconds after they were encoded. Impressions are deleted after `impression_days`.
    A bundle counts events by the table that it was trained with; where that is not `signals`, a log line and the readiness say
    so. `lists` answers questions about lists.

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
        text_lag: float = TEXT_LAG,
        impression_days: int = 90,
        signals: SignalTable | None = None,
    ) -> None:
        self._store, self._signals = store, signals
        self._live = LiveState(
            store,
            counts=LiveCounts(store, signals or SignalTable()),
            bundle=bundle,
            device=device,
            text_index=text_index,
            indexes=indexes,
            text_lag=text_lag,
        )
        self._journal = Journal(store.add_impressions, partial(store.tidy, impression_days=impression_days))
        self._items = ItemService(self._live, self._journal)
        self.lists = PlaylistService(store, self._live)
        for drift in drift_of(self._live.snapshot, self._signals):
            log.warning(drift)

    def close(self) -> None:
        """Stops following the store and writes the last impressions. The store stays open: it belongs to the caller."""
        self._live.close()
        self._journal.close()

    def recommend(
        self, *, user_id: str | None = None, history: Sequence[str] | None = None, options: Options = DEFAULT
    ) -> Answer:
        """The items that fit best after the stored history of `user_id`, or after `history` (item ids, oldest first).

        Raises:
            InvalidRequest: neither or both are given, `history` is too long, `k` or `encoder` is out of range.
        """
        return self._answer_one(Question(user_id=user_id, history=history, options=options))

    def similar(self, item_id: str, *, options: Options = DEFAULT) -> Answer:
        """The items that fit best beside `item_id`: the answer to a history of this one item, without the item itself.

        Raises:
            NotFound: the store does not hold the item.
            InvalidRequest: `k` or `encoder` is out of range.
        """
        return self._answer_one(Question(item_id=item_id, options=options))

    def search_text(
        self,
        text: str,
        *,
        domain: str | None = None,
        user_id: str | None = None,
        history: Sequence[str] | None = None,
        options: Options = DEFAULT,
    ) -> Answer:
        """The items that fit `text` best by its words and by what it means, of `domain` alone where it is given. After the stored
        history of `user_id`, or after `history`, what else is recommended then counts, too.

        `options.encoder` may be `lexical`, words alone, or a part that goes by meaning alone.

        Raises:
            InvalidRequest: nothing in `text` can be read, or an option is out of range.
            NotReady: the part asked by meaning alone has no text encoder here.
        """
        return self._answer_one(Question(text=text, domain=domain, user_id=user_id, history=history, options=options))

    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]:
        """An answer to each question, or what `recommend` or `similar` would raise. Together they cost less than one by one."""
        return self._items.answer(questions)

    def stored_history(self, user_id: str) -> History:
        """The last events of a stored user, oldest first; empty for an unknown one."""
        return self._live.snapshot.histories.load(user_id)

    def stored_histories(self, user_ids: Sequence[str]) -> list[History]:
        """Histories of a chunk of all users in ascending order, loaded at once."""
        return self._live.snapshot.histories.load_many(user_ids)

    def history_of_items(self, item_ids: Sequence[str], degraded: list[Degraded]) -> History:
        """The history that `item_ids` make, oldest first; warnings of unknown items are added to `degraded`.

        Raises:
            InvalidRequest: it is too long.
        """
        return self._items.history_of_items(item_ids, degraded)

    def rank_users(self, users: Sequence[tuple[str, History]], options: Options) -> Ranking:
        """The best rows for users of these histories: what routes answer and batch scoring writes.

        Raises:
            InvalidRequest: `k` or `encoder` is out of range.
        """
        return self._items.rank_users(users, options)

    def unsupported_options(self, options: Options) -> list[Degraded]:
        """Warnings of `options` that no answer follows: a truncation that the part does not offer."""
        return self._items.unsupported_options(options)

    # Writes

    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]:
        """Stores the items and makes them recommendable for the next request."""
        with self._live.writing([draft.item_id for draft in drafts]):
            return self._store.put_items(drafts)

    def delete_item(self, item_id: str) -> None:
        """Takes the item out of every later answer.

        Raises:
            NotFound: the store does not hold the item.
        """
        with self._live.writing():
            self._store.delete_item(item_id)

    def set_availability(self, available: Mapping[str, bool]) -> int:
        """Sets which items, by id, may be recommended from the next request on. Returns how many it changed.

        Raises:
            NotFound: items that the store does not hold; nothing is changed.
        """
        with self._live.writing():
            return self._store.set_availability(available)

    def item(self, item_id: str) -> Item:
        return self._store.item(item_id)

    def find_items(self, text: str, *, limit: int) -> list[Item]:
        return self._store.find_items(text, limit=limit)

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        events = self._store.add_events(drafts)
        self._live.snapshot.histories.invalidate()
        return events

    def delete_event(self, event_id: str) -> None:
        with self._live.counts.deleting(lambda: self._store.stored_events([event_id])):
            self._store.delete_event(event_id)
        self._live.snapshot.histories.invalidate()

    def delete_user(self, user_id: str) -> None:
        with self._live.counts.deleting(lambda: self._store.recent_events(user_id, limit=sys.maxsize)):
            self._store.delete_user(user_id)
        self._live.snapshot.histories.forget(user_id)

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
        return self._items.include_seen

    def models(self) -> dict[str, Any]:
        """The active bundle and its parts with settings and measured figures; those that answer questions about lists apart."""
        texts = self._live.snapshot.texts
        return described(self._live.snapshot) | {"text_encoder": None if texts is None else texts.description}

    def readiness(self) -> Readiness:
        """Ready means that a trained bundle answers, the active one or the one before it."""
        snapshot, active, problem = self._live.snapshot, self._live.update.active, self._live.update.problem
        problems = snapshot.problems if snapshot.bundle or problem is None else ()  # which `problem` says anew
        reasons = (*problems, *([problem] if problem else []), *self._live.delays, *drift_of(snapshot, self._signals))
        return Readiness(snapshot.bundle is not None, reasons, bundle=snapshot.uri, active_bundle=active)

    def warm_up(self) -> None:
        """Loads the text encoders and encodes the stored lists now, so that the first question does not wait for them."""
        self._live.warm_up()

    def follow_activations(self) -> None:
        """Serves whatever bundle the store names as the active one from now on, without a pause. Only for those who take each
        answer as a whole: rows of one bundle mean nothing to the next."""
        self._live.update.start()

    def _answer_one(self, question: Question) -> Answer:
        (answer,) = self.answer([question])
        if isinstance(answer, RecsysError):
            raise answer
        return answer
