"""Immutable view of sources, catalogue and bundle that serves one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from recsys.bundle import Bundle
from recsys.data.feedback import Signals
from recsys.errors import Degraded
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import ListServingModel
from recsys.retrieval.serving import ServingModel
from recsys.service.state.catalogue import Catalogue

NO_LISTS = ListServingModel({}, {}, None)


@dataclass(frozen=True)
class Snapshot:
    """The sources for items, those for lists, the catalogue of their rows, and their bundle (None: popular items stand in)."""

    items: ServingModel
    lists: ListServingModel
    catalogue: Catalogue
    bundle: Bundle | None

    @cached_property
    def signals(self) -> Signals:
        """How events are counted: as the bundle was trained."""
        return Signals.of_manifest(self.bundle.about) if self.bundle else Signals()

    @property
    def recommends(self) -> bool:
        """Has the bundle a part that recommends items? One with list encoders alone has none, and popular items stand in."""
        return self.bundle is not None and not self.bundle.default.startswith(PREFIX)

    @property
    def text_encoders(self) -> frozenset[str]:
        """Names of the text encoders whose vectors new items need."""
        return self.items.text_encoders | self.lists.text_encoders

    def unknown(self, item_ids: Iterable[str], *, what: str, why: str) -> list[Degraded]:
        """A warning of those that the catalogue lacks, the first ten by their ids."""
        unknown = list(dict.fromkeys(item_id for item_id in item_ids if self.catalogue.row(item_id) is None))
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        return [Degraded(what, f"{why}: {', '.join(unknown[:10])}{more}")] if unknown else []
