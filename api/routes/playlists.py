"""Playlists: named lists of items."""

from fastapi import APIRouter

from api.deps import RecommenderDep
from api.fields import PathId
from api.problems import documented
from api.schemas import PlaylistContent, StoredPlaylist

router = APIRouter(tags=["playlists"])


@router.put("/v1/playlists/{playlist_id:path}", responses=documented(404, 413, 415))
def put_playlist(playlist_id: PathId, content: PlaylistContent, recommender: RecommenderDep) -> StoredPlaylist:
    """Stores the list, or replaces it. An unknown item is refused."""
    stored = recommender.put_playlist(playlist_id, content.name, content.item_ids)
    return StoredPlaylist.model_validate(stored)


@router.get("/v1/playlists/{playlist_id:path}", responses=documented(404))
def get_playlist(playlist_id: PathId, recommender: RecommenderDep) -> StoredPlaylist:
    """The list as it is stored."""
    return StoredPlaylist.model_validate(recommender.playlist(playlist_id))


@router.delete("/v1/playlists/{playlist_id:path}", status_code=204, responses=documented(404))
def delete_playlist(playlist_id: PathId, recommender: RecommenderDep) -> None:
    """Forgets the list; its items stay."""
    recommender.delete_playlist(playlist_id)
