"""The parts of one bundle that answer questions about lists, over the live catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.data.continuation_cases import Order
from recsys.data.history import Rows
from recsys.errors import InvalidRequest, NotReady
from recsys.retrieval.fusion import Why
from recsys.retrieval.lists.attributes import ListAttributes
from recsys.retrieval.lists.continuation import KIND, SizeConditionedFusion
from recsys.retrieval.lists.encoder import ListDecoder, ListEncoder
from recsys.retrieval.lists.name_neighbours import NameNeighbours
from recsys.retrieval.lists.parts import Judging, is_encoder, list_parts, restore_encoder, restore_named, restore_source
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.retrieval.source import Candidates, Query, Source
from recsys.retrieval.text import TextAware

CONTINUE = "continue"
"""The fusion that continues lists."""
FREE = ("set", "weighted", "mean")
"""Encoders that a question without an encoder takes, the first that is there."""
NO_PARTS = "the bundle has no parts for lists: run `recsys train blend` over a store with playlists, then restart"
NAMES = "names"
"""What answers where a list has a name and nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class DeployedLists:
    """List encoders and sources by name, immutable: `with_items` gives new ones. Without `fusion` a model that writes continues
    lists by itself, and without one nothing does."""

    encoders: Mapping[str, ListEncoder]
    sources: Mapping[str, Source]
    fusion: SizeConditionedFusion | None

    def encoder(self, name: str | None, order: Order | None) -> tuple[ListEncoder | None, bool]:
        """The encoder called `name`, or the best for `order`, and whether that keeps what was asked of the order.

        Raises:
            InvalidRequest: there is no such encoder, or it does the opposite of `order`.
        """
        if name is not None:
            if name not in self.encoders:
                known = ", ".join(sorted(self.encoders)) or "none is there: run `recsys train blend`"
                raise InvalidRequest(f"unknown list encoder {name!r}: choose one of {known}")
            found = self.encoders[name]
            if order is not None and found.order_sensitive != (order == "sensitive"):
                raise InvalidRequest(
                    f"encoder {name!r} is {'sensitive to' if found.order_sensitive else 'free of'} order: "
                    f"leave out order={order!r} or choose another encoder"
                )
            return found, True
        wanted = order == "sensitive"
        ranked = sorted(self.encoders.items(), key=lambda held: (held[1].order_sensitive != wanted, _rank(held[0])))
        best = ranked[0][1] if ranked else None
        return best, best is None or order is None or best.order_sensitive == wanted

    def continuer(self, name: str | None) -> str:
        """The name of what continues a list when `name` was asked for.

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

    def writer(self, name: str) -> ListDecoder | None:
        """The model called `name` that writes lists item by item; None where the part finds items one by one."""
        source = self.sources.get(name)
        return source.model if isinstance(source, Judging) else None

    def search(
        self, queries: Sequence[Query], *, k: int, encoder: str | None, order: Order
    ) -> tuple[Candidates, list[list[Why]]]:
        """The `k` best rows of each query, and per row why, by the fusion or by one source. A model that writes chooses from
        what the fusion finds. Where one source alone has an opinion the fusion has nothing to weigh, and what that finds stands.
        """
        name = self.continuer(encoder)
        source = self.sources.get(name)
        if self.fusion is None or (source is not None and not isinstance(source, Judging)):
            return self._alone(name, queries, k=k)
        found, why = self.fusion.search(self.sources, queries, k=k, order=order)
        for i, reasons in enumerate(why):
            spoke = {voices for _, voices in reasons}
            if len(spoke) == 1 and len(voices := spoke.pop()) == 1:
                own, because = self._alone(voices[0], [queries[i]], k=k)
                found.rows[i], found.scores[i], why[i] = own.rows[0], own.scores[0], because[0]
        return found, why

    def _alone(self, name: str, queries: Sequence[Query], *, k: int) -> tuple[Candidates, list[list[Why]]]:
        source = self.sources[name]
        found = (source.propose if isinstance(source, Judging) else source.search)(queries, k=k)
        return found, [[(name, (name,))] * int((rows >= 0).sum()) for rows in found.rows]

    @property
    def text_encoders(self) -> frozenset[str]:
        """Names of the text encoders whose vectors new items and names of lists need."""
        names = {encoder.text_encoder for encoder in self.encoders.values() if isinstance(encoder, TextAware)}
        return frozenset((names | {self._reader}) - {""})

    @property
    def reads_names(self) -> bool:
        """Whether a question wants what the text encoder reads in the name of its list."""
        return bool(self._reader)

    @property
    def _reader(self) -> str:
        source = self.sources.get(NAMES)
        return source.text_encoder if isinstance(source, NameNeighbours) else ""

    def with_items(self, rows: Rows, text: NDArray[np.float32]) -> "DeployedLists":
        """The same with text vectors (rows, text_dim) for new or changed items."""
        encoders, sources = dict(self.encoders), dict(self.sources)
        for name, encoder in self.encoders.items():
            if isinstance(encoder, Seq2seqListEncoder | SetListEncoder) and encoder.text_encoder:
                encoders[name] = grown = encoder.with_items(rows, text)
                if name in sources:
                    sources[name] = Judging(grown)
        return replace(self, encoders=encoders, sources=sources)

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """(rows,): what number of group each item is of, such as its artist; -1 for none."""
        source = self.sources.get("attributes")
        return source.kind(rows) if isinstance(source, ListAttributes) else np.full(len(rows), -1, dtype=np.int64)


def _rank(name: str) -> int:
    """Of the encoders of sets: a learned one before means."""
    return FREE.index(name) if name in FREE else len(FREE)


def deploy_lists(bundle: Bundle) -> DeployedLists:
    """The list parts of `bundle`, ready to answer; none of them where it has none.

    Raises:
        BundleError: a part does not fit its settings.
    """
    parts = list_parts(bundle)
    encoders = {name: restore_encoder(part) for name, part in parts.items() if is_encoder(part)}
    fusion = SizeConditionedFusion.from_part(parts[CONTINUE]) if CONTINUE in parts else None
    rest = {name: part for name, part in parts.items() if not is_encoder(part) and part.kind != KIND}
    named = {name: part for name, part in rest.items() if part.kind == "list-named"}
    sources: dict[str, Source] = {name: restore_source(part) for name, part in rest.items() if name not in named}
    sources |= {name: restore_named(part, sources) for name, part in named.items()}
    for name, encoder in encoders.items():
        if isinstance(encoder, Seq2seqListEncoder | SetListEncoder):
            sources[name] = Judging(encoder)
    return DeployedLists(encoders, sources, fusion)
