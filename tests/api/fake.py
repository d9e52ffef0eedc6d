"""A recommender in memory that keeps every promise of the real one, with a rule simple enough to check by hand.

An item scores its number of events, and ten more for each item of the history that has its domain.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi.testclient import TestClient

from api.app import create_app
from recsys.errors import Conflict, InvalidRequest, NotFound, RecsysError
from recsys.service import Answer, Degraded, Options, Question, Readiness, Scored
from recsys.store.records import Event, EventDraft, Item, ItemDraft, Playlist
from tests.api.fake_lists import FakeLists

FILMS = (("50", "Star Wars", "space"), ("181", "Return of the Jedi", "space"), ("1", "Toy Story", "toys"))


class FakeRecommender:
    def __init__(self, *, trained: bool = True) -> None:
        self.trained = trained
        self.fails: Exception | None = None  # raised by every question, when set
        self.items: dict[str, Item] = {}
        self.events: dict[str, Event] = {}
        self.playlists: dict[str, Playlist] = {}
        self.requests: list[tuple[str | None, tuple[str, ...], Options]] = []
        self.texts: list[Question] = []
        self.lists = FakeLists(self.items, self.playlists)
        self.put_items([ItemDraft(item_id=item_id, title=title, domain=domain) for item_id, title, domain in FILMS])

    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]:
        return [self._answer_one(question) for question in questions]

    def _answer_one(self, question: Question) -> Answer | RecsysError:
        try:
            if question.text is not None:
                return self.search(question)
            return self.similar(question) if question.item_id is not None else self.recommend(question)
        except RecsysError as error:
            return error

    def recommend(self, question: Question) -> Answer:
        user_id, history = question.user_id, question.history
        sent = history is not None
        item_ids = tuple(history or () if sent else (e.item_id for e in self.events.values() if e.user_id == user_id))
        self.requests.append((user_id, item_ids, question.options))
        unknown = [item_id for item_id in item_ids if item_id not in self.items]
        degraded = [Degraded("history", f"unknown items left out: {', '.join(unknown)}")] if unknown else []
        if not item_ids:
            what, why = ("history", "no known item in it") if sent else ("user", f"no events of user {user_id!r}")
            degraded.append(Degraded(what, f"{why}: popular items are shown"))
        return self._answer(item_ids, question.options, degraded, question.request_id)

    def similar(self, question: Question) -> Answer:
        item_id = self.item(question.item_id or "").item_id
        return self._answer((item_id,), question.options, [], question.request_id)

    def search(self, question: Question) -> Answer:
        """Items whose title has a word of the text, by their number of these."""
        self.requests.append((None, (question.text or "", question.domain or ""), question.options))
        self.texts.append(question)
        words = set((question.text or "").lower().split())
        matches = {i: len(words & set((item.title or "").lower().split())) for i, item in self.items.items()}
        hidden = [i for i in matches if not matches[i] or question.domain not in (None, self.items[i].domain)]
        item_ids = sorted((i for i in matches if i not in hidden), key=lambda i: -matches[i])
        exclude = (*question.options.exclude, *hidden)
        options = replace(question.options, exclude=exclude, include_seen=True)
        return self._answer(item_ids, options, [], question.request_id)

    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]:
        for d in drafts:
            before = self.items.get(d.item_id)
            number = before.number if before else len(self.items) + 1
            stored = before.available if before else True
            self.items[d.item_id] = Item(
                item_id=d.item_id,
                domain=d.domain,
                title=d.title,
                attributes=d.attributes,
                number=number,
                content_hash="",
                active=True,
                available=stored if d.available is None else d.available,
            )
        return [self.items[d.item_id] for d in drafts]

    def set_availability(self, available: Mapping[str, bool]) -> int:
        before = {item_id: self.item(item_id).available for item_id in available}
        self.items |= {item_id: replace(self.items[item_id], available=flag) for item_id, flag in available.items()}
        return sum(before[item_id] is not flag for item_id, flag in available.items())

    def item(self, item_id: str) -> Item:
        if item_id not in self.items:
            raise NotFound(f"unknown item {item_id!r}: PUT it first or leave it out")
        return self.items[item_id]

    def delete_item(self, item_id: str) -> None:
        del self.items[self.item(item_id).item_id]

    def find_items(self, text: str, *, limit: int) -> list[Item]:
        return [i for i in self.items.values() if text.lower() in f"{i.title}\n{i.item_id}".lower()][:limit]

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        made = [self._event(draft) for draft in drafts]
        for event in made:
            if self.events.get(event.event_id, event).item_id != event.item_id:
                raise Conflict(f"event {event.event_id!r} is stored with other content: give it another event_id")
        self.events.update({event.event_id: event for event in made})
        return made

    def delete_event(self, event_id: str) -> None:
        if self.events.pop(event_id, None) is None:
            raise NotFound(f"unknown event {event_id!r}")

    def delete_user(self, user_id: str) -> None:
        mine = [event.event_id for event in self.events.values() if event.user_id == user_id]
        for event_id in mine:
            del self.events[event_id]

    def put_playlist(self, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
        for item_id in item_ids:
            self.item(item_id)
        self.playlists[playlist_id] = Playlist(playlist_id=playlist_id, name=name, item_ids=tuple(item_ids))
        return self.playlists[playlist_id]

    def playlist(self, playlist_id: str) -> Playlist:
        if playlist_id not in self.playlists:
            raise NotFound(f"unknown playlist {playlist_id!r}")
        return self.playlists[playlist_id]

    def delete_playlist(self, playlist_id: str) -> None:
        del self.playlists[self.playlist(playlist_id).playlist_id]

    def models(self) -> dict[str, Any]:
        if not self.trained:
            return {"bundle": None, "default": "popular", "about": {}, "parts": []}
        ndcg = {"mean": 0.1234, "low": 0.1, "high": 0.15}
        parts = [
            {"name": name, "kind": kind, "hash": "0", "settings": {}, "figures": {"ndcg@10": ndcg}}
            for name, kind in (("blend", "fusion"), ("popular", "popular"))
        ]
        about = {"protocol": "leave-one-out", "seed": 1}
        return {"bundle": "bundles/blend-1", "default": "blend", "about": about, "parts": parts}

    def readiness(self) -> Readiness:
        reasons = () if self.trained else ("no active bundle: run `recsys train blend`",)
        return Readiness(self.trained, reasons, bundle=self.models()["bundle"], active_bundle="bundles/blend-2")

    def _answer(
        self, item_ids: Sequence[str], options: Options, degraded: list[Degraded], request_id: str | None
    ) -> Answer:
        if self.fails:
            raise self.fails
        if options.encoder not in (None, "blend", "popular"):
            raise InvalidRequest(f"unknown encoder {options.encoder!r}: choose one of blend, popular")
        if not self.trained:
            degraded.append(Degraded("bundle", "no active bundle: popular items are shown"))
        domains = Counter(self.items[i].domain for i in item_ids if i in self.items and options.encoder != "popular")
        events = Counter(event.item_id for event in self.events.values())
        gone = {*options.exclude, *(() if options.include_seen else item_ids)}
        scored = [
            Scored(i.item_id, i.title, events[i.item_id] + 10.0 * domains[i.domain], *_why(domains[i.domain]))
            for i in self.items.values()
            if i.available and i.item_id not in gone and (options.allow is None or i.item_id in options.allow)
        ]
        scored.sort(key=lambda item: -item.score)
        return Answer(
            request_id=request_id or uuid.uuid4().hex,
            bundle="bundles/blend-1" if self.trained else None,
            encoder=options.encoder or "blend",
            items=tuple(scored[: options.k]),
            degraded=tuple(degraded),
        )

    def _event(self, d: EventDraft) -> Event:
        self.item(d.item_id)
        return Event(
            number=len(self.events) + 1,
            event_id=d.event_id or uuid.uuid4().hex,
            user_id=d.user_id,
            item_id=d.item_id,
            at=d.at.timestamp() if d.at else 0.0,
            position=d.position,
            kind=d.kind,
            weight=d.weight,
            session_id=d.session_id,
        )


def _why(matches: int) -> tuple[str, tuple[str, ...]]:
    return ("domain", ("domain", "popular")) if matches else ("popular", ("popular",))


def client_over(recommender: FakeRecommender) -> TestClient:
    """A client that gets 500s as answers, as over a network."""
    return TestClient(create_app(recommender), raise_server_exceptions=False)
