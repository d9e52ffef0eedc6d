"""What one request works on from its first line to its last."""

from dataclasses import dataclass

from recsys.bundle import Bundle
from recsys.data.catalogue import Catalogue
from recsys.retrieval.deployed import Deployed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The sources that answer, the catalogue they speak of, and the bundle they come from (None: popular items stand in)."""

    deployed: Deployed
    catalogue: Catalogue
    bundle: Bundle | None
