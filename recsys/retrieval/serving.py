"""The sources of one bundle as they serve: over the live catalogue, grown by items that came after training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.data.history import Rows
from recsys.encoders.catalogue import KIND
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.indexes.index import Index
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.fusion import Fusion, FusionSource, Why
from recsys.retrieval.item_text import ItemTextSource, empty
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.near_duplicates import DuplicateBackoff, NearDuplicates
from recsys.retrieval.popular import POPULAR, PopularSource
from recsys.retrieval.registry import restore
from recsys.retrieval.source import Candidates, Query, Source
from recsys.retrieval.text import TextAware, TextSource
from recsys.retrieval.truncation import Truncation, Unmet

NO_TWINS = NearDuplicates(0)

STEPS = 1000
"""Steps in which the scores of filled-in items fall by one."""


@dataclass(frozen=True, eq=False)
class Deployed:
    """Named sources, immutable: `with_items` gives a new one. `fusions` say how parts are blended."""

    sources: Mapping[str, Source]
    fusions: Mapping[str, Fusion]
    default: str
    twins: NearDuplicates = NO_TWINS

    def name(self, encoder: str | None) -> str:
        """The part that answers when `encoder` was asked for.

        Raises:
            InvalidRequest: there is no such part.
        """
        name = encoder or self.default
        if name not in self.sources and name not in self.fusions:
            known = ", ".join(sorted([*self.sources, *self.fusions]))
            raise InvalidRequest(f"unknown encoder {name!r}: choose one of {known}")
        return name

    def source(self, encoder: str | None, size: Truncation | None = None) -> Source:
        """The part itself, at `size` if it offers several; a fusion is bound to the sources it blends."""
        name = self.name(encoder)
        if name in self.fusions:
            return self._fused[name]
        source = self.sources[name]
        return source.at(size or source.sizes.whole) if isinstance(source, ItemTextSource) else source

    def size(
        self, encoder: str | None, *, layers: int | None, dims: int | None
    ) -> tuple[Truncation | None, list[Unmet]]:
        """The size at which the part answers when these were asked for, and what of the question is not met.

        Raises:
            InvalidRequest: there is no such part, or it has fewer layers or dims.
        """
        name = self.name(encoder)
        source = self.sources.get(name)
        if isinstance(source, ItemTextSource):
            return source.sizes.choose(layers=layers, dims=dims)
        sized = [other for other, one in self.sources.items() if isinstance(one, ItemTextSource)]
        way = f"; encoder={sized[0]} has several" if sized else ""
        asked = (("layers", layers), ("dims", dims))
        return None, [(what, f"{name} has one size, its whole{way}") for what, n in asked if n is not None]

    def goes_by_text(self, name: str) -> bool:
        """Does the part `name` know nothing of an item but its text?"""
        return isinstance(self.sources.get(name), ItemTextSource | TextSource)

    def reader(self) -> str:
        """The part that answers questions that are texts: one of several sizes before the text neighbours.

        Raises:
            NotReady: there is none.
        """
        for kind in (ItemTextSource, TextSource):
            for name, source in self.sources.items():
                if isinstance(source, kind):
                    return name
        raise NotReady(
            "no part that answers can be asked a text: train `item-text`, `text` or `blend`, and activate it"
        )

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        encoder: str | None,
        size: Truncation | None = None,
        fill: bool = True,
    ) -> tuple[Candidates, list[list[Why]]]:
        """The `k` best rows of each query, and per row why. Where the part finds too few, popular items `fill` the rest."""
        name, source = self.name(encoder), self.source(encoder, size)
        if isinstance(source, FusionSource):
            found, why = source.explained(queries, k=k)
        else:
            found = source.search(queries, k=k)
            why = [[(name, (name,))] * int((rows >= 0).sum()) for rows in found.rows]
        return self._filled(queries, found, why, k=k) if fill else (found, why)

    @property
    def text_encoders(self) -> frozenset[str]:
        """Names of the text encoders whose vectors new items need."""
        aware = (source for source in self.sources.values() if isinstance(source, TextAware | ItemTextSource))
        return frozenset({source.text_encoder for source in aware} - {""})

    def with_items(self, rows: Rows, exits: Mapping[int, NDArray[np.float32]]) -> "Deployed":
        """The same with text vectors (rows, text_dim) after each exit of their encoder for new or changed items."""
        whole = exits[max(exits)]
        sources = dict(self.sources)
        for name, source in self.sources.items():
            if isinstance(source, ItemTextSource):
                sources[name] = source.with_exits(rows, exits)
            elif isinstance(source, TextAware) and source.text_encoder:
                sources[name] = source.with_items(rows, whole)
        reading = next((source for source in sources.values() if isinstance(source, TextSource)), None)
        twins = self.twins.with_items(rows, reading.vectors) if reading else self.twins
        return replace(self, sources=sources, twins=twins)

    def with_source(self, name: str, source: Source) -> "Deployed":
        """The same with another source of that name."""
        return replace(self, sources={**self.sources, name: source})

    def with_index(self, name: str, size: Truncation | None, index: Index) -> "Deployed":
        """The same with another index of the same vectors in the source `name`, at `size` where it has several."""
        source = self.sources[name]
        if isinstance(source, ItemTextSource) and size is not None:
            return self.with_source(name, source.with_index(size, index))
        assert isinstance(source, DenseSource)
        return self.with_source(name, source.with_index(index))

    @cached_property
    def _fused(self) -> dict[str, FusionSource]:
        return {name: FusionSource(fusion, self._lent) for name, fusion in self.fusions.items()}

    @cached_property
    def _lent(self) -> dict[str, Source]:
        """The sources as a fusion asks them: of items that one cannot know, it speaks as of their twins."""

        def lent(source: Source) -> Source:
            reads = isinstance(source, TextAware) and bool(source.text_encoder)
            return source if reads or not len(self.twins) else DuplicateBackoff(source, self.twins)

        return {name: lent(source) for name, source in self.sources.items()}

    def _filled(
        self, queries: Sequence[Query], found: Candidates, why: list[list[Why]], *, k: int
    ) -> tuple[Candidates, list[list[Why]]]:
        """Popular items, scored below everything found, where a row of `found` ends early."""
        short = [i for i, rows in enumerate(found.rows) if (rows >= 0).sum() < k]
        if not short or POPULAR not in self.sources:
            return found, why
        rows, scores = found.rows.copy(), found.scores.copy()
        for i in short:
            have = int((rows[i] >= 0).sum())
            rest = queries[i].allowed.copy()
            rest[rows[i, :have]] = False
            more = self._lent[POPULAR].search([Query(queries[i].history, rest)], k=k - have)
            extra = more.rows[0][more.rows[0] >= 0]
            floor = float(scores[i, have - 1]) if have else 1.0
            rows[i, have : have + len(extra)] = extra
            scores[i, have : have + len(extra)] = floor - np.arange(1, len(extra) + 1, dtype=np.float32) / STEPS
            why[i] = [*why[i], *[(POPULAR, (POPULAR,))] * len(extra)]
        return Candidates(rows, scores), why


def deploy(bundle: Bundle) -> Deployed:
    """The parts of `bundle`, ready to answer; that of a text encoder knows no items before it is given them.

    Raises:
        BundleError: a part is of a kind that this version does not know, or blends what is not there.
    """
    fusions = {name: Fusion.from_part(part) for name, part in bundle.parts.items() if part.kind == "fusion"}
    sources: dict[str, Source] = {}
    for name, part in bundle.parts.items():
        if part.kind == KIND:
            sources[name] = empty(part)
        elif part.kind != "fusion" and not name.startswith(PREFIX):  # those answer questions about lists
            sources[name] = restore(part)
    for name, fusion in fusions.items():
        if missing := sorted(set(fusion.sources) - set(sources)):
            raise BundleError(f"part {name!r} blends {', '.join(missing)}, which the bundle lacks; train it again")
    return Deployed(sources, fusions, bundle.default, NearDuplicates(len(bundle.item_ids)))


def popular_only(counts: NDArray[np.int64]) -> Deployed:
    """What answers while nothing is trained: items by their number of events, `counts` (items,)."""
    scores = np.log1p(counts).astype(np.float32)
    return Deployed({POPULAR: PopularSource(scores, config={})}, {}, POPULAR)
