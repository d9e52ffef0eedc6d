"""What comes after a list: a fusion of sources with weights for the length of the list and for whether its order counts.

Of one item the neighbours in stored lists say most; a hundred items need them less. So the weights of the fusion
(`recsys.retrieval.fusion`) are fitted for several lengths, and a list takes those of the length nearest to its own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.continuation_cases import Order
from recsys.errors import BundleError
from recsys.retrieval.fusion import Attribution, Fusion, FusionSource
from recsys.retrieval.lists.sparse import LISTS_PER_BLOCK
from recsys.retrieval.source import Candidates, Query, Source
from recsys.retrieval.stored_settings import check_blend

LIST_FUSION = "list-fusion"
"""The kind of the part that says how sources of continuations are blended."""
MAX_SIZE = 1_000_000
"""Items of a list that weights are for, at most."""
ORDERS: tuple[Order, ...] = ("sensitive", "free")


@dataclass(frozen=True, slots=True, eq=False)
class SizeConditionedFusion:
    """`weights` (2, sizes, 3 * sources): for each of `ORDERS` and `sizes` those of one fusion of `sources`. `figures` are its
    measured qualities."""

    sources: tuple[str, ...]
    sizes: tuple[int, ...]
    weights: NDArray[np.float32]
    depth: int
    about: dict[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)

    def fusion(self, length: int, order: Order, *, without: Collection[str] = ()) -> Fusion:
        """The fusion for a list of `length` items, of all sources but those `without`."""
        columns = [column for column, name in enumerate(self.sources) if name not in without]
        weights = self.weights[ORDERS.index(order), self._nearest(length)].reshape(3, -1)[:, columns]
        return Fusion(tuple(self.sources[column] for column in columns), weights.ravel(), self.depth, {})

    def sole_source(self, length: int, order: Order) -> str | None:
        """The source that has all weight for a list of `length` items, where one has."""
        by_size: dict[str, str] = self.about.get("sole_sources", {}).get(order, {})
        return by_size.get(str(self.sizes[self._nearest(length)]))

    def _nearest(self, length: int) -> int:
        """The number of the size nearest to `length`; the size of a name alone is for a name alone."""
        nearest = int(np.argmin(np.abs(np.log1p(self.sizes) - np.log1p(length))))
        if length and not self.sizes[nearest]:
            nearest = int(np.argmin([size or np.inf for size in self.sizes]))
        return nearest

    def search(
        self,
        sources: Mapping[str, Source],
        queries: Sequence[Query],
        *,
        k: int,
        order: Order,
        without: Collection[str] = (),
    ) -> tuple[Candidates, list[list[Attribution]]]:
        """The `k` best rows of each query, and for each row the sources that it comes from, none of them one of `without`."""
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        attributions: list[list[Attribution]] = [[] for _ in queries]
        fusions = [self.fusion(len(query.history), order, without=without) for query in queries]
        same_weights: dict[bytes, list[int]] = {}
        for i, fusion in enumerate(fusions):
            same_weights.setdefault(fusion.weights.tobytes(), []).append(i)
        for group in same_weights.values():
            blend = FusionSource(fusions[group[0]], sources)
            for start in range(0, len(group), LISTS_PER_BLOCK):
                block = group[start : start + LISTS_PER_BLOCK]
                best, of_block = blend.attributed([queries[i] for i in block], k=k)
                rows[block], scores[block] = best.rows, best.scores
                for i, of_query in zip(block, of_block, strict=True):
                    attributions[i] = of_query
        return Candidates(rows, scores), attributions

    def part(self, name: str) -> Part:
        config = {"sources": list(self.sources), "sizes": list(self.sizes), "depth": self.depth, **self.about}
        return Part(name=name, kind=LIST_FUSION, config=config, arrays={"weights": self.weights}, figures=self.figures)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        """Raises BundleError: there are not as many weights as its sources and sizes need."""
        try:
            sources, sizes = tuple(part.config["sources"]), tuple(part.config["sizes"])
            depth, weights = part.config["depth"], part.arrays["weights"]
        except (KeyError, TypeError) as error:
            raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error
        check_blend(part, sources=sources, depth=depth)
        if not all(type(size) is int and 0 <= size <= MAX_SIZE for size in sizes):
            raise BundleError(f"part {part.name!r} is for lists of sizes={sizes!r:.200}; train it again")
        if weights.shape != (len(ORDERS), len(sizes), 3 * len(sources)):
            raise BundleError(f"part {part.name!r} has weights of shape {weights.shape}; train it again")
        about = {key: value for key, value in part.config.items() if key not in ("sources", "sizes", "depth")}
        sole_sources = about.get("sole_sources", {})
        if not isinstance(sole_sources, dict) or not all(
            isinstance(by_size, dict) for by_size in sole_sources.values()
        ):
            raise BundleError(f"part {part.name!r} has sole_sources={sole_sources!r:.200}; train it again")
        return cls(sources, sizes, weights, depth, about, part.figures)
