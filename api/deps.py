"""What the routes are given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from api.metrics import Metrics
from api.together import Together
from recsys.errors import RecsysError
from recsys.service import Answer, Question, Readiness
from recsys.service.list_questions import ContinuedList, ContinueOptions, SimilarLists, SimilarOptions
from recsys.store.records import Event, EventDraft, Item, ItemDraft, Playlist


class Lists(Protocol):
    """Questions about lists: `recsys.service.lists.ListQuestions`, or a stand-in."""

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
    """What the routes ask of: `recsys.service.Recommender`, or a stand-in with the same methods."""

    @property
    def lists(self) -> Lists: ...
    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]: ...
    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]: ...
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


async def _asking(request: Request) -> "Asking":
    return Asking(request.app.state.together, request.app.state.metrics, request.state.request_id)


@dataclass(frozen=True, slots=True)
class Asking:
    """Where a route asks, under the id of its request."""

    together: Together
    metrics: Metrics
    request_id: str

    async def __call__(self, question: Question) -> Answer:
        answer = await self.together.ask(replace(question, request_id=self.request_id))
        self.metrics.answer(answer)
        return answer


async def _request_id(request: Request) -> str:
    request_id: str = request.state.request_id
    return request_id


RequestIdDep = Annotated[str, Depends(_request_id)]
RecommenderDep = Annotated[Service, Depends(_recommender)]
AskingDep = Annotated[Asking, Depends(_asking)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
