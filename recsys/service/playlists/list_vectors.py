"""A list as a vector to search stored lists with: by the encoder that was asked for, another one, or its name."""

from dataclasses import dataclass

from recsys.data.history import History
from recsys.errors import Degraded, NothingKnown, NotReady
from recsys.retrieval.lists.encoder import ListEncoder, ListVectors
from recsys.retrieval.lists.serving import NAMES, NO_PARTS
from recsys.retrieval.lists.words import ngrams
from recsys.service.playlists import warnings
from recsys.service.playlists.questions import SimilarOptions
from recsys.service.playlists.vectorizers import ItemVectorizer, ListVectorizer, NameVectorizer
from recsys.service.state.snapshot import Snapshot
from recsys.store import Store


@dataclass(frozen=True, slots=True)
class ListVector:
    """The vector (1, dim) of a list, the vectorizer that made it, and the name of its encoder."""

    vector: ListVectors
    vectorizer: ListVectorizer
    encoder: str


def list_vector(
    store: Store,
    snapshot: Snapshot,
    encoder: ListEncoder | None,
    history: History,
    name: str | None,
    options: SimilarOptions,
    degraded: list[Degraded],
) -> ListVector:
    """The list by an encoder that knows an item of it, else by its name; warnings of what was not done are added to `degraded`.

    Raises:
        NotReady: nothing here encodes lists, and this one has no name.
        NothingKnown: no item of it is known, and it has no name.
    """
    if encoder is not None:
        vector = encoder.encode([history.rows])
        if not vector.any() and options.encoder is None:
            encoder, vector = _fallback_encoder(snapshot, encoder, history, degraded)
        if vector.any():
            if options.order is not None and encoder.order_sensitive != (options.order == "sensitive"):
                degraded.append(warnings.other_order(encoder))
            return ListVector(vector, ItemVectorizer(encoder, snapshot.catalogue, store), encoder.name)
    if (name or "").strip():
        degraded.append(Degraded("items", "no item to compare: lists with similar names are shown"))
        if options.order is not None:
            degraded.append(Degraded("order", "names have no order of items"))
        return ListVector(ngrams([name]), NameVectorizer(), NAMES)
    if encoder is None:
        raise NotReady(NO_PARTS)
    raise NothingKnown("no item of the list is known to the encoder and it has no name: send one of both")


def _fallback_encoder(
    snapshot: Snapshot, encoder: ListEncoder, history: History, degraded: list[Degraded]
) -> tuple[ListEncoder, ListVectors]:
    """Another encoder that knows an item of the list, and its vector; `encoder` itself where none does."""
    others = sorted(
        snapshot.lists.encoders.values(), key=lambda other: other.order_sensitive != encoder.order_sensitive
    )
    for other in others:
        if (vector := other.encode([history.rows])).any():
            degraded.append(Degraded("encoder", f"{encoder.name} knows none of the items: {other.name} answers"))
            return other, vector
    return encoder, encoder.encode([history.rows])
