"""Playlists (named lists of items): storage, similar ones, and continuations."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import RecommenderDep, RequestIdDep
from api.json_body import JsonRoute
from api.problems import error_responses
from api.schemas.fields import PathId
from api.schemas.playlists import ContinueRequest, PlaylistContent, SimilarListsQuery, SimilarListsRequest
from api.schemas.responses import ContinuedList, SimilarLists, StoredPlaylist

router = APIRouter(tags=["playlists"], route_class=JsonRoute)


@router.post("/v1/playlists/similar", responses=error_responses(413, 415, 503))
def similar_to_list(body: SimilarListsRequest, recommender: RecommenderDep, request_id: RequestIdDep) -> SimilarLists:
    """The stored lists most like the one in the body, which need not be stored."""
    answer = recommender.lists.similar(body.item_ids, body.name, body.options(), request_id=request_id)
    return SimilarLists.model_validate(answer)


@router.post("/v1/playlists/continue", responses=error_responses(413, 415, 503))
def continue_list(body: ContinueRequest, recommender: RecommenderDep, request_id: RequestIdDep) -> ContinuedList:
    """What comes after the list in the body: by its items, or by its name alone."""
    answer = recommender.lists.continued(body.item_ids, body.name, body.options(), request_id=request_id)
    return ContinuedList.model_validate(answer)


@router.get("/v1/playlists/{playlist_id:path}/similar", responses=error_responses(404, 503))
def similar_playlists(
    playlist_id: PathId,
    query: Annotated[SimilarListsQuery, Query()],
    recommender: RecommenderDep,
    request_id: RequestIdDep,
) -> SimilarLists:
    """The stored lists most like a stored one, as they stand now."""
    answer = recommender.lists.similar_to(playlist_id, query.options(), request_id=request_id)
    return SimilarLists.model_validate(answer)


@router.put("/v1/playlists/{playlist_id:path}", responses=error_responses(404, 413, 415))
def put_playlist(playlist_id: PathId, content: PlaylistContent, recommender: RecommenderDep) -> StoredPlaylist:
    """Stores the list, or replaces it. An unknown item is refused."""
    stored = recommender.put_playlist(playlist_id, content.name, content.item_ids)
    return StoredPlaylist.model_validate(stored)


@router.get("/v1/playlists/{playlist_id:path}", responses=error_responses(404))
def get_playlist(playlist_id: PathId, recommender: RecommenderDep) -> StoredPlaylist:
    """The list as it is stored."""
    return StoredPlaylist.model_validate(recommender.playlist(playlist_id))


@router.delete("/v1/playlists/{playlist_id:path}", status_code=204, responses=error_responses(404))
def delete_playlist(playlist_id: PathId, recommender: RecommenderDep) -> None:
    """Forgets the list; its items stay."""
    recommender.delete_playlist(playlist_id)
