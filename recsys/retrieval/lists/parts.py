"""All kinds of list encoder, and of source that continues lists: how each is read back from a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle, Part
from recsys.errors import BundleError
from recsys.indexes.build import build
from recsys.indexes.exact import ExactConfig
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval import registry as parts
from recsys.retrieval.factors import AlsSource
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.lists.attributes import ListAttributes
from recsys.retrieval.lists.encoder import PREFIX, ListDecoder, ListEncoder
from recsys.retrieval.lists.entity_names import EntityNameSource
from recsys.retrieval.lists.mean import MeanEncoder
from recsys.retrieval.lists.name_blend import NameBlend
from recsys.retrieval.lists.name_neighbours import NameNeighbours
from recsys.retrieval.lists.neighbours import ListNeighbours
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.retrieval.popular import PopularSource
from recsys.retrieval.registry import StoredSource
from recsys.retrieval.source import Candidates, Query, Scores, Source


def is_encoder(part: Part) -> bool:
    """Is it a list encoder?"""
    return part.kind in ("list-mean", "list-weighted", "list-seq2seq", "list-set")


def list_parts(bundle: Bundle) -> dict[str, Part]:
    """The parts for lists, by their names without the prefix."""
    return {name.removeprefix(PREFIX): part for name, part in bundle.parts.items() if name.startswith(PREFIX)}


def restore_encoder(part: Part) -> ListEncoder:
    """The list encoder that was stored as `part`.

    Raises:
        BundleError: its kind is unknown here, or its arrays do not fit its settings.
    """
    try:
        match part.kind:
            case "list-mean" | "list-weighted":
                return MeanEncoder.from_part(part)
            case "list-seq2seq":
                return Seq2seqListEncoder.from_part(part)
            case "list-set":
                return SetListEncoder.from_part(part)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error
    raise BundleError(f"part {part.name!r} is of kind {part.kind!r}, unknown to this version: upgrade or train again")


def restore_source(part: Part) -> StoredSource:
    """The source of continuations that was stored as `part`; a learned encoder scores what the others propose.

    Raises:
        BundleError: its kind is unknown here, or its arrays do not fit its settings.
    """
    try:
        match part.kind:
            case (
                "als"
            ):  # all are compared: a fusion that asks for 500 gains nothing from a graph, which takes long to build
                vectors, known = part.arrays["item_vectors"], part.arrays["known"]
                exact = build(ExactConfig(), vectors, known=known)
                return AlsSource(vectors, known=known, config=part.config, index=exact)
            case "list-neighbours":
                return ListNeighbours.from_part(part)
            case "list-names":
                return NameNeighbours.from_part(part)
            case "list-spelt":
                return EntityNameSource.from_part(part)
            case "list-attributes":
                return ListAttributes.from_part(part)
            case "list-seq2seq":
                return Judging(Seq2seqListEncoder.from_part(part))
            case "list-set":
                return Judging(SetListEncoder.from_part(part))
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error
    return parts.restore(part)


def restore_named(part: Part, sources: Mapping[str, Source]) -> NameBlend:
    """What was stored as `part` of kind `list-named`, over the `sources` names and spelt.

    Raises:
        BundleError: these are missing, or its settings do not fit.
    """
    names, spelt = sources.get("names"), sources.get("spelt")
    if not isinstance(names, NameNeighbours) or not isinstance(spelt, EntityNameSource):
        raise BundleError(f"part {part.name!r} needs the parts names and spelt beside it; train again")
    try:
        return NameBlend.from_part(part, names=names, spelt=spelt)
    except (TypeError, ValueError) as error:
        raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error


class Judging:
    """A model that generates lists, as a source: in a fusion it proposes nothing of its own and scores what is proposed."""

    def __init__(self, model: Seq2seqListEncoder | SetListEncoder) -> None:
        self.model = model

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return Candidates(*empty_result(len(queries), k=k))

    def propose(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` items that the model itself puts first: what lists go on with where there is no fusion."""
        found = empty_result(len(queries), k=k)
        every = np.flatnonzero(self.model.known)
        for i, query in enumerate(queries):
            shown = every[every < len(query.allowed)]
            shown = shown[query.allowed[shown]]
            write_row(found, i, *top_k(shown, self.score([query], shown[None])[0], k=k))
        return Candidates(*found)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Log-probability that each of `rows` comes next."""
        continuer: ListDecoder = self.model
        return continuer.next_scores([query.history.rows for query in queries], rows)

    def part(self, name: str) -> Part:
        return self.model.part(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a source takes account of in a list: its items, their order, its name."""

    items: bool = False
    order: bool = False
    name: bool = False


def reads(source: Source) -> Reads:
    """By the settings of the source: where older items count less, the order of a list counts."""
    match source:
        case NameNeighbours() | EntityNameSource() | NameBlend():
            return Reads(name=True)
        case PopularSource():
            return Reads()
        case Judging():
            return Reads(items=True, order=source.model.order_sensitive)
        case ItemItemSource():
            return Reads(items=True, order=source.decay < 1)
        case AlsSource():
            return Reads(items=True, order=source.config["decay"] < 1)
        case _:
            return Reads(items=True)
