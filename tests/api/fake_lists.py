"""Questions about lists with rules simple enough to check by hand: the share of common items, and the catalogue's order."""

from collections.abc import Mapping, Sequence

from recsys.errors import InvalidRequest, NotFound
from recsys.service import Degraded, Scored
from recsys.service.playlists.questions import (
    Alternative,
    ContinuedList,
    ContinueOptions,
    ScoredList,
    SimilarLists,
    SimilarOptions,
)
from recsys.store.records import Item, Playlist


class FakeLists:
    def __init__(self, items: Mapping[str, Item], playlists: Mapping[str, Playlist]) -> None:
        self.items, self.playlists = items, playlists

    def similar_to(self, playlist_id: str, options: SimilarOptions, *, request_id: str | None = None) -> SimilarLists:
        if playlist_id not in self.playlists:
            raise NotFound(f"unknown playlist {playlist_id!r}")
        answer = self.similar(self.playlists[playlist_id].item_ids, None, options, request_id=request_id)
        others = tuple(playlist for playlist in answer.playlists if playlist.playlist_id != playlist_id)
        return SimilarLists(
            request_id=answer.request_id, bundle=answer.bundle, encoder="mean", playlists=others, degraded=()
        )

    def similar(
        self, item_ids: Sequence[str], name: str | None, options: SimilarOptions, *, request_id: str | None = None
    ) -> SimilarLists:
        if not item_ids and not name:
            raise InvalidRequest("an empty list without a name says nothing: send item_ids, or a name")
        query = set(item_ids)
        scored = [
            ScoredList(stored.playlist_id, stored.name, len(stored.item_ids), _jaccard(query, set(stored.item_ids)))
            for stored in self.playlists.values()
            if stored.item_ids
        ]
        scored.sort(key=lambda playlist: -playlist.score)
        return SimilarLists(
            request_id=request_id or "1",
            bundle="bundles/blend-1",
            encoder="mean",
            playlists=tuple(scored[: options.k]),
            degraded=(),
        )

    def continued(
        self, item_ids: Sequence[str], name: str | None, options: ContinueOptions, *, request_id: str | None = None
    ) -> ContinuedList:
        if not item_ids and not name:
            raise InvalidRequest("an empty list without a name says nothing: send item_ids, or a name")
        unknown = [item_id for item_id in item_ids if item_id not in self.items]
        candidates = [item for item in self.items.values() if options.repeats or item.item_id not in item_ids]
        scored = tuple(Scored(item.item_id, item.title, 1.0, "popular", ("popular",)) for item in candidates)
        return ContinuedList(
            request_id=request_id or "1",
            bundle="bundles/blend-1",
            encoder="continue",
            alternatives=tuple(Alternative(scored[i:][: options.k]) for i in range(options.alternatives)),
            degraded=(Degraded("items", f"unknown items left out: {', '.join(unknown)}"),) if unknown else (),
        )


def _jaccard(left: set[str], right: set[str]) -> float:
    return len(left & right) / max(1, len(left | right))
