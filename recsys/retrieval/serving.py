"""The sources of one bundle as they serve: over the live catalogue, extended by items that came after training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.data.continuation_cases import Order
from recsys.data.history import NO_ROWS, Rows
from recsys.encoders.base import Vectors
from recsys.errors import BundleError, Degraded, InvalidRequest
from recsys.indexes.build import Kind
from recsys.indexes.index import Index
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.fusion import FUSION, Attribution, Fusion, FusionSource
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.near_duplicates import DuplicateBackoff, NearDuplicates
from recsys.retrieval.part_checks import check_parts
from recsys.retrieval.popular import POPULAR, PopularSource
from recsys.retrieval.registry import capabilities, restore_source
from recsys.retrieval.source import Candidates, Capabilities, Explanation, Query, Scores, Source, StoredSource
from recsys.retrieval.truncation import Truncation

NO_DUPLICATES = NearDuplicates(np.zeros(0, dtype=np.bool_))

SearchedIndex = tuple[str, Truncation | None]
"""A source by its name, and at which of its truncations, where it has several."""


@dataclass(frozen=True, eq=False)
class ServingModel:
    """Named sources, immutable: `with_items` gives a new one. `fusions` say how parts are blended."""

    sources: Mapping[str, StoredSource]
    fusions: Mapping[str, Fusion]
    default: str
    duplicates: NearDuplicates = NO_DUPLICATES

    def part_name(self, name: str | None) -> str:
        """The part that answers when `name` was asked for.

        Raises:
            InvalidRequest: there is no such part.
        """
        name = name or self.default
        if name not in self.sources and name not in self.fusions:
            known = ", ".join(sorted([*self.sources, *self.fusions]))
            raise InvalidRequest(f"unknown encoder {name!r}: choose one of {known}")
        return name

    def source(self, name: str, truncation: Truncation | None = None) -> StoredSource:
        """The source called `name`, which is no fusion, at `truncation` if it offers several."""
        return self.sources[name].at(truncation)

    def capabilities(self, name: str) -> Capabilities | None:
        """What the part `name` can do; None for a fusion, which is made of others."""
        return capabilities(self.sources[name].kind) if name in self.sources else None

    def choose_truncation(
        self, name: str, *, layers: int | None, dims: int | None
    ) -> tuple[Truncation | None, list[Degraded]]:
        """The truncation at which the part `name` answers when these were asked for, and warnings where it is another.

        Raises:
            InvalidRequest: the part has fewer layers or dims.
        """
        truncations = self.sources[name].truncations if name in self.sources else None
        if truncations is not None:
            return truncations.choose(layers=layers, dims=dims)
        others = [other for other, source in self.sources.items() if source.truncations is not None]
        hint = f"; encoder={others[0]} has several" if others else ""
        options = (("layers", layers), ("dims", dims))
        reason = f"{name} has one size, its whole{hint}"
        return None, [Degraded(option, reason) for option, value in options if value is not None]

    def answers_only_by_text(self, name: str) -> bool:
        """Whether the part `name` knows nothing of an item but its text."""
        can = self.capabilities(name)
        return can is not None and can.text_only

    def text_search_part(self) -> str | None:
        """The part that finds items by what a text means: one with several truncations before the text neighbours; None where
        there is none."""
        answering = [name for name, source in self.sources.items() if capabilities(source.kind).answers_texts]
        return min(answering, key=lambda name: self.sources[name].truncations is None, default=None)

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        name: str,
        truncation: Truncation | None = None,
        order: Order | None = None,  # noqa: ARG002  (a history has one)
    ) -> tuple[Candidates, list[list[Attribution]]]:
        """The `k` best rows of each query by the part `name`, and for each row the sources that it comes from."""
        if name in self.fusions:
            return self._bound_fusions[name].attributed(queries, k=k)
        candidates = self.source(name, truncation).search(queries, k=k)
        return candidates, [[(name, (name,))] * int((rows >= 0).sum()) for rows in candidates.rows]

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64], *, name: str) -> Scores:
        """Scores (queries, candidates) of `rows` by the part `name`; NaN where it has none."""
        if name in self.fusions:
            return self._bound_fusions[name].score(queries, rows)
        return self._with_backoff[name].score(queries, rows)

    def popular(self, query: Query, *, k: int) -> Rows:
        """Up to `k` allowed rows, the most popular first; none where no part knows them."""
        if POPULAR not in self.sources:
            return NO_ROWS
        (rows,) = self._with_backoff[POPULAR].search([query], k=k).rows
        return rows[rows >= 0]

    def explain(
        self, query: Query, rows: Rows, *, name: str, truncation: Truncation | None = None
    ) -> list[Explanation]:
        """For each of `rows`, the items of the history that speak for it most in the source `name`."""
        source: Source = self._with_backoff[name] if truncation is None else self.source(name, truncation)
        return source.explain(query, rows)

    @property
    def text_encoders(self) -> frozenset[str]:
        """Names of the text encoders whose vectors new items need."""
        return frozenset({source.text_encoder for source in self.sources.values()} - {""})

    def with_items(self, rows: Rows, exits: Mapping[int, Vectors]) -> "ServingModel":
        """The model with text vectors (rows, text_dim) after each exit of their encoder for new or changed items."""
        sources = {name: source.with_exits(rows, exits) for name, source in self.sources.items()}
        vectors = replace(self, sources=sources).item_text_vectors
        duplicates = self.duplicates if vectors is None else self.duplicates.with_items(rows, vectors)
        return replace(self, sources=sources, duplicates=duplicates)

    def without_texts(self, rows: Rows) -> "ServingModel":
        """The model after the items at `rows` lost their texts: only sources that know them by more go on to."""
        sources = {name: source.without_texts(rows) for name, source in self.sources.items()}
        return replace(self, sources=sources, duplicates=self.duplicates.without(rows))

    @property
    def reads_texts(self) -> bool:
        """Does a part know new items by their texts, or by vectors of them?"""
        return any(_knows_new_items(source) for source in self.sources.values())

    def with_texts(self, rows: Rows, texts: Sequence[str]) -> "ServingModel":
        """The model with the texts (rows,) of new or changed items, for sources that take texts as they are."""
        return replace(self, sources={name: source.with_texts(rows, texts) for name, source in self.sources.items()})

    @property
    def item_text_vectors(self) -> Vectors | None:
        """(items, dim): the items by their texts, zeros for those not known; None where no source has them."""
        return next((v for source in self.sources.values() if (v := source.item_text_vectors) is not None), None)

    def with_catalogue(
        self, exits: Mapping[int, Vectors], *, known: NDArray[np.bool_], index: Kind, cache_dir: Path | None = None
    ) -> "ServingModel":
        """The model with text vectors (items, text_dim) of all items after each exit, for sources that know no item before."""
        sources = {
            name: source.with_catalogue(exits, known=known, index=index, cache_dir=cache_dir)
            for name, source in self.sources.items()
        }
        return replace(self, sources=sources)

    def with_source(self, name: str, source: StoredSource) -> "ServingModel":
        """The model with another source of that name."""
        return replace(self, sources={**self.sources, name: source})

    def indexes(self) -> dict[SearchedIndex, DenseSource]:
        """All that is searched through an index."""
        return {
            (name, truncation): dense
            for name, source in self.sources.items()
            for truncation, dense in source.indexes().items()
        }

    def with_index(self, searched: SearchedIndex, index: Index) -> "ServingModel":
        """The model with another index of the same vectors."""
        name, truncation = searched
        return self.with_source(name, self.sources[name].with_index(truncation, index))

    @cached_property
    def _bound_fusions(self) -> dict[str, FusionSource]:
        return {name: FusionSource(fusion, self._with_backoff) for name, fusion in self.fusions.items()}

    @cached_property
    def _with_backoff(self) -> dict[str, Source]:
        """Sources as a fusion asks them: items unknown to those that read no text have the scores of their near-duplicates."""

        def wrapped(source: StoredSource) -> Source:
            needs_none = _knows_new_items(source) or not len(self.duplicates)
            return source if needs_none else DuplicateBackoff(source, self.duplicates)

        return {name: wrapped(source) for name, source in self.sources.items()}


def _knows_new_items(source: StoredSource) -> bool:
    return capabilities(source.kind).cold_score is None


def serving_model(bundle: Bundle) -> ServingModel:
    """The parts of `bundle`, ready to answer; a text encoder's knows no items before it is given them.

    Raises:
        BundleError: a part is of a kind that this version does not know, does not fit the catalogue, holds what is no number,
            or blends what is not there.
    """
    of_items = {name: part for name, part in bundle.parts.items() if not name.startswith(PREFIX)}
    check_parts(of_items.values(), items=len(bundle.item_ids))
    fusions = {name: Fusion.from_part(part) for name, part in of_items.items() if part.kind == FUSION}
    sources = {name: restore_source(part) for name, part in of_items.items() if name not in fusions}
    for name, fusion in fusions.items():
        if missing := sorted(set(fusion.sources) - set(sources)):
            raise BundleError(f"part {name!r} blends {', '.join(missing)}, which the bundle lacks; train it again")
    model = ServingModel(sources, fusions, bundle.default)
    return replace(model, duplicates=_duplicates(model, items=len(bundle.item_ids)))


def _duplicates(model: ServingModel, *, items: int) -> NearDuplicates:
    """Of the catalogue as it was trained on: an item without events then is as new as those that come later."""
    trained = np.zeros(items, dtype=np.bool_)
    for source in model.sources.values():
        if source.trained is not None:
            trained |= source.trained
    vectors, without_events = model.item_text_vectors, np.flatnonzero(~trained)
    duplicates = NearDuplicates(trained)
    return duplicates if vectors is None else duplicates.with_items(without_events, vectors)


def popular_only(counts: NDArray[np.int64]) -> ServingModel:
    """What answers while nothing is trained: items by their number of events, `counts` (items,)."""
    scores = np.log1p(counts).astype(np.float32)
    return ServingModel({POPULAR: PopularSource(scores, config={})}, {}, POPULAR)
