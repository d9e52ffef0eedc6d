"""What one request works on from its first line to its last."""

from collections.abc import Iterable
from dataclasses import dataclass

from recsys.bundle import Bundle
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import DeployedLists
from recsys.retrieval.serving import Deployed
from recsys.service.items.questions import Degraded
from recsys.service.state.catalogue import Catalogue

NO_LISTS = DeployedLists({}, {}, None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The sources that answer, those for lists, the catalogue they speak of, and their bundle (None: popular items stand in)."""

    deployed: Deployed
    lists: DeployedLists
    catalogue: Catalogue
    bundle: Bundle | None

    @property
    def recommends(self) -> bool:
        """Has the bundle a part that recommends items? One with list encoders alone has none, and popular items stand in."""
        return self.bundle is not None and not self.bundle.default.startswith(PREFIX)

    @property
    def text_encoders(self) -> frozenset[str]:
        """Names of the text encoders whose vectors new items need."""
        return self.deployed.text_encoders | self.lists.text_encoders

    def unknown(self, item_ids: Iterable[str], *, what: str, why: str) -> list[Degraded]:
        """What there is to tell of those that the catalogue lacks: the first ten by name."""
        unknown = list(dict.fromkeys(one for one in item_ids if self.catalogue.row(one) is None))
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        return [Degraded(what, f"{why}: {', '.join(unknown[:10])}{more}")] if unknown else []
