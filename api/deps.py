"""What the routes depend on: the service, its metrics and the id of the request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from api.metrics import Metrics
from recsys.errors import RecsysError
from recsys.service import Answer, Question, Readiness
from recsys.service.playlists.questions import ContinuedList, ContinueOptions, SimilarLists, SimilarOptions
from recsys.store.records import Event, EventDraft, Item, ItemDraft, Playlist


class Lists(Protocol):
    """Questions about lists: `recsys.service.playlists.service.ListQuestions`, or a stand-in."""

    def similar_to(
        self, playlist_id: str, options: SimilarOptions, *, request_id: str | None = None
    ) -> SimilarLists: ...
    def similar(
        self, item_ids: Sequence[str], name: str | None, options: SimilarOptions, *, request_id: str | None = None
    ) -> SimilarLists: ...
    def continued(
        self, item_ids: Sequence[str], name: str | None, options: ContinueOptions, *, request_id: str | None = None
    ) -> ContinuedList: ...


class Service(Protocol):
    """`recsys.service.Recommender`, or a stand-in with the methods that the routes call."""

    @property
    def lists(self) -> Lists: ...
    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]: ...
    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]: ...
    def set_availability(self, available: Mapping[str, bool]) -> int: ...
    def item(self, item_id: str) -> Item: ...
    def delete_item(self, item_id: str) -> None: ...
    def find_items(self, text: str, *, limit: int) -> list[Item]: ...
    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]: ...
    def delete_event(self, event_id: str) -> None: ...
    def delete_user(self, user_id: str) -> None: ...
    def put_playlist(self, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist: ...
    def playlist(self, playlist_id: str) -> Playlist: ...
    def delete_playlist(self, playlist_id: str) -> None: ...
    def models(self) -> dict[str, Any]: ...
    def readiness(self) -> Readiness: ...


# `async def`, for FastAPI would send a plain function to the thread pool only to read an attribute.


async def _recommender(request: Request) -> Service:
    recommender: Service = request.app.state.recommender
    return recommender


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def answer_question(request: Request, question: Question) -> Answer:
    """Answers `question` under the id of `request` and counts it. Not a FastAPI dependency: solving one costs more than this."""
    state = request.app.state
    answer: Answer = await state.batcher.ask(replace(question, request_id=request.state.request_id))
    state.metrics.answer(answer)
    return answer


async def _request_id(request: Request) -> str:
    request_id: str = request.state.request_id
    return request_id


RequestIdDep = Annotated[str, Depends(_request_id)]
RecommenderDep = Annotated[Service, Depends(_recommender)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
