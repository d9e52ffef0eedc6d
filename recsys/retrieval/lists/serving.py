"""The parts of one bundle that answer questions about lists, over the live catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle, Part
from recsys.data.continuation_cases import Order
from recsys.data.history import NO_ROWS, Rows
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.retrieval.fusion import Attribution
from recsys.retrieval.lists.continuation import LIST_FUSION, SizeConditionedFusion
from recsys.retrieval.lists.encoder import PREFIX, ListDecoder, ListEncoder
from recsys.retrieval.lists.scoring_only import ScoringOnlySource
from recsys.retrieval.part_checks import check_parts
from recsys.retrieval.registry import TYPES, Restored, capabilities, restore_encoder, restore_source
from recsys.retrieval.source import Candidates, Capabilities, Explanation, Query, StoredSource
from recsys.retrieval.truncation import Truncation

CONTINUE = "continue"
"""The fusion that continues lists."""
NO_PARTS = "the bundle has no parts for lists: run `recsys train blend` over a store with playlists"
NAMES = "names"
"""The vectors of stored lists by their names alone."""


@dataclass(frozen=True, slots=True, eq=False)
class ListServingModel:
    """List encoders and sources by name, immutable: `with_items` gives new ones. Without `fusion` a list decoder continues
    lists by itself, and without one nothing does."""

    encoders: Mapping[str, ListEncoder]
    sources: Mapping[str, StoredSource]
    fusion: SizeConditionedFusion | None

    def encoder(self, name: str | None, order: Order | None) -> tuple[ListEncoder | None, bool]:
        """The encoder called `name`, or the best for `order`, and whether it treats order as asked.

        Raises:
            InvalidRequest: there is no such encoder, or it does the opposite of `order`.
        """
        if name is not None:
            return self._named_encoder(name, order), True
        sensitive = order == "sensitive"
        ranked = sorted(self.encoders.values(), key=lambda encoder: _rank(encoder, sensitive=sensitive))
        best = ranked[0] if ranked else None
        return best, best is None or order is None or best.order_sensitive == sensitive

    def part_name(self, name: str | None) -> str:
        """The name of the part that continues a list when `name` was asked for.

        Raises:
            InvalidRequest: there is no such part.
            NotReady: nothing here continues lists.
        """
        known = [CONTINUE] * (self.fusion is not None) + sorted(self.sources)
        if not known:
            raise NotReady(NO_PARTS)
        if name is not None and name not in known:
            raise InvalidRequest(f"unknown encoder {name!r}: choose one of {', '.join(known)}")
        return name or known[0]

    def sole_source(self, name: str, length: int, order: Order) -> str | None:
        """The source to which the fusion `name` gives all weight for a list of `length` items, where it gives it to one."""
        return self.fusion.sole_source(length, order) if self.fusion is not None and name == CONTINUE else None

    def decoder(self, name: str) -> ListDecoder | None:
        """The model called `name` that generates lists item by item; None where the part finds items one by one."""
        return self.encoders[name].decoder if name in self.encoders else None

    def capabilities(self, name: str) -> Capabilities | None:
        """What the part `name` can do; None for the fusion, which is made of all others."""
        return capabilities(self.sources[name].kind) if name in self.sources else None

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        name: str,
        truncation: Truncation | None = None,  # noqa: ARG002  (no source of lists has several)
        order: Order | None = None,
    ) -> tuple[Candidates, list[list[Attribution]]]:
        """The `k` best rows of each query, and their attributions, by the fusion or by one source.

        Where order is free the fusion does without the sources that use it. A decoder chooses from what the fusion finds. Where
        one source alone has scores the fusion has nothing to weigh, and the result of that source stands.
        """
        if self.fusion is None or (name in self.sources and self.decoder(name) is None):
            return self._search_alone(name, queries, k=k)
        without = self._ordered_sources if order == "free" else frozenset[str]()
        candidates, attributions = self.fusion.search(
            self.sources, queries, k=k, order=order or "sensitive", without=without
        )
        for i, of_query in enumerate(attributions):
            combinations = {names for _, names in of_query}
            if len(combinations) == 1 and len(names := combinations.pop()) == 1:
                single, of_single = self._search_alone(names[0], [queries[i]], k=k)
                candidates.rows[i], candidates.scores[i], attributions[i] = (
                    single.rows[0],
                    single.scores[0],
                    of_single[0],
                )
        return candidates, attributions

    def popular(self, query: Query, *, k: int) -> Rows:  # noqa: ARG002
        """No rows: a continuation is not filled up."""
        return NO_ROWS

    def explain(
        self,
        query: Query,
        rows: Rows,
        *,
        name: str,
        truncation: Truncation | None = None,  # noqa: ARG002
    ) -> list[Explanation]:
        """For each of `rows`, the items of the list that speak for it most in the source `name`."""
        return self.sources[name].explain(query, rows)

    def uses_order(self, name: str) -> bool:
        """Whether the order of a list matters to the part `name` even where it is free; a fusion does without such sources."""
        return name in self._ordered_sources

    @property
    def _ordered_sources(self) -> frozenset[str]:
        """Names of the sources to which the order of a list matters."""
        return frozenset(name for name, source in self.sources.items() if capabilities(source.kind).order)

    def _named_encoder(self, name: str, order: Order | None) -> ListEncoder:
        if name not in self.encoders:
            known = ", ".join(sorted(self.encoders)) or "none is there: run `recsys train blend`"
            raise InvalidRequest(f"unknown list encoder {name!r}: choose one of {known}")
        encoder = self.encoders[name]
        if order is not None and encoder.order_sensitive != (order == "sensitive"):
            raise InvalidRequest(
                f"encoder {name!r} is {'sensitive to' if encoder.order_sensitive else 'free of'} order: "
                f"leave out order={order!r} or choose another encoder"
            )
        return encoder

    def _search_alone(
        self, name: str, queries: Sequence[Query], *, k: int
    ) -> tuple[Candidates, list[list[Attribution]]]:
        source = self.sources[name]
        decoder = self.decoder(name)
        if decoder is None:
            candidates = source.search(queries, k=k)
        else:
            candidates = ScoringOnlySource(self.encoders[name], decoder).search_alone(queries, k=k)
        return candidates, [[(name, (name,))] * int((rows >= 0).sum()) for rows in candidates.rows]

    @property
    def text_encoders(self) -> frozenset[str]:
        """Names of the text encoders whose vectors new items and names of lists need."""
        of_encoders = {encoder.text_encoder for encoder in self.encoders.values()}
        of_sources = {source.text_encoder for source in self.sources.values()}
        return frozenset((of_encoders | of_sources) - {""})

    @property
    def reads_names(self) -> bool:
        """Whether a source uses the text vector of a list's name."""
        sources = self.sources.values()
        return any(source.text_encoder and capabilities(source.kind).names for source in sources)

    def with_items(self, rows: Rows, text: NDArray[np.float32]) -> "ListServingModel":
        """The model with text vectors (rows, text_dim) for new or changed items."""
        return self._with_encoders({name: encoder.with_items(rows, text) for name, encoder in self.encoders.items()})

    def without_texts(self, rows: Rows) -> "ListServingModel":
        """The model after the items at `rows` lost their texts: only encoders that know them by more go on to."""
        return self._with_encoders({name: encoder.without_texts(rows) for name, encoder in self.encoders.items()})

    def _with_encoders(self, encoders: Mapping[str, ListEncoder]) -> "ListServingModel":
        return replace(self, encoders=encoders, sources={**self.sources, **_decoders(encoders)})

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """(rows,): the number of each item's group, such as its artist; -1 for none."""
        for source in self.sources.values():
            if capabilities(source.kind).groups_items:
                return source.group_of(rows)
        return np.full(len(rows), -1, dtype=np.int64)


def _rank(encoder: ListEncoder, *, sensitive: bool) -> tuple[bool, int]:
    """Those that treat order as asked first; of these the later in the registry, where the learned ones come last."""
    return encoder.order_sensitive != sensitive, -list(TYPES).index(encoder.kind)


def _decoders(encoders: Mapping[str, ListEncoder]) -> dict[str, StoredSource]:
    """The encoders that are list decoders, as sources."""
    return {
        name: ScoringOnlySource(encoder, decoder)
        for name, encoder in encoders.items()
        if (decoder := encoder.decoder) is not None
    }


def list_parts(bundle: Bundle) -> dict[str, Part]:
    """The parts for lists, by their names without the prefix."""
    return {name.removeprefix(PREFIX): part for name, part in bundle.parts.items() if name.startswith(PREFIX)}


def list_encoders(bundle: Bundle) -> dict[str, ListEncoder]:
    """The list encoders of `bundle` by name.

    Raises:
        BundleError: a part does not fit its settings.
    """
    parts = {name: part for name, part in list_parts(bundle).items() if part.kind != LIST_FUSION}
    encoders = {name: part for name, part in parts.items() if capabilities(part.kind).encodes_lists}
    return {name: restore_encoder(part) for name, part in encoders.items()}


def list_serving_model(bundle: Bundle) -> ListServingModel:
    """The list parts of `bundle`, ready to answer; none of them where it has none.

    Raises:
        BundleError: a part does not fit its settings or the catalogue, holds what is no number, or needs others that are missing.
    """
    check_parts(list_parts(bundle).values(), items=len(bundle.item_ids))
    parts, encoders = list_parts(bundle), list_encoders(bundle)
    fusion = SizeConditionedFusion.from_part(parts[CONTINUE]) if CONTINUE in parts else None
    of_sources = {name: part for name, part in parts.items() if name not in encoders and part.kind != LIST_FUSION}
    sources, restored = dict[str, StoredSource](), dict[str, Restored]()
    for name, part in sorted(of_sources.items(), key=lambda entry: len(capabilities(entry[1].kind).needs)):
        sources[name] = restored[part.kind] = restore_source(part, restored)
    sources |= _decoders(encoders)
    if fusion is not None and (missing := sorted(set(fusion.sources) - set(sources))):
        raise BundleError(f"part {CONTINUE!r} blends {', '.join(missing)}, which the bundle lacks; train it again")
    return ListServingModel(encoders, sources, fusion)
