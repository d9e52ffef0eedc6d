"""Immutable view of sources, catalogue and bundle that serves one request."""

from collections.abc import Iterable
from dataclasses import dataclass

from recsys.bundle import Bundle
from recsys.data.feedback import Signals
from recsys.errors import Degraded, first_ids
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import ListServingModel
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.text_search import SearchWeights, TextSearch
from recsys.retrieval.word_index import WordIndex
from recsys.service.playlists.playlist_index import PlaylistIndex
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.history_cache import HistoryCache
from recsys.service.state.text_service import TextService

NO_LISTS = ListServingModel({}, {}, None)
NO_WORDS = WordIndex.of(())
DEFAULT_WEIGHTS = SearchWeights()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The sources for items, those for lists, the catalogue of their rows, and their bundle (None: popular items stand in).

    Text service, histories and stored lists go by the same rows: a request that takes all of them from one snapshot mixes no two
    bundles. `texts` is None where there is no bundle; `load_problems` says why there is none, or what of it cannot be used.
    `words` is made for the first question that is a text.
    """

    items: ServingModel
    lists: ListServingModel
    catalogue: Catalogue
    bundle: Bundle | None
    texts: TextService | None
    histories: HistoryCache
    playlists: PlaylistIndex
    load_problems: tuple[str, ...] = ()
    words: WordIndex | None = None
    search_weights: SearchWeights = DEFAULT_WEIGHTS

    @property
    def uri(self) -> str | None:
        """The bundle that answers."""
        return self.bundle.uri if self.bundle else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why no bundle answers, or what of it cannot be used."""
        return self.load_problems + (self.texts.problems if self.texts else ())

    @property
    def search(self) -> TextSearch:
        """What answers texts."""
        return TextSearch(self.words or NO_WORDS, self.items, self.meaning, self.search_weights)

    @property
    def meaning(self) -> str | None:
        """The part that finds items by what a text means; None where there is none, or no encoder for it."""
        return self.items.text_search_part() if self.texts and self.texts.encoder() else None

    @property
    def include_seen(self) -> bool:
        """May items of the history come back, when the request does not say?"""
        return bool(self.bundle and self.bundle.about.get("include_seen", False))

    @property
    def signals(self) -> Signals:
        """How events are counted: as the bundle was trained."""
        return self.histories.signals

    @property
    def recommends(self) -> bool:
        """Has the bundle a part that recommends items? One with list encoders alone has none, and popular items stand in."""
        return self.bundle is not None and not self.bundle.default.startswith(PREFIX)

    def unknown(self, item_ids: Iterable[str], *, what: str, why: str) -> list[Degraded]:
        """A warning of those that the catalogue lacks, the first ten by their ids."""
        unknown = [item_id for item_id in item_ids if self.catalogue.row(item_id) is None]
        return [Degraded(what, f"{why}: {first_ids(unknown)}")] if unknown else []

    def unavailable(self, item_ids: Iterable[str], *, what: str, why: str) -> list[Degraded]:
        """A warning of those that are stored and not available, the first ten by their ids."""
        recommendable = self.catalogue.recommendable
        rows = self.catalogue.rows(item_ids)
        rows = rows[rows < len(recommendable)]
        sold_out = rows[self.catalogue.active[rows] & ~recommendable[rows]]
        unavailable = [self.catalogue.item_ids[row] for row in sold_out]
        return [Degraded(what, f"{why}: {first_ids(unavailable)}")] if unavailable else []
