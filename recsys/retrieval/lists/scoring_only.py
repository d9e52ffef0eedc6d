"""A list decoder as a source: it proposes nothing of its own to a fusion and scores what the others propose."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.lists.encoder import ListDecoder, ListEncoder
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource


class ScoringOnlySource(StoredSource):
    """Scores of `decoder`, the model of `encoder`, over the items that it knows."""

    def __init__(self, encoder: ListEncoder, decoder: ListDecoder) -> None:
        self.kind, self.encoder, self.decoder = encoder.kind, encoder, decoder

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return Candidates(*empty_result(len(queries), k=k))

    def search_alone(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` items that the model itself puts first: what continues lists where there is no fusion."""
        result = empty_result(len(queries), k=k)
        known = np.flatnonzero(self.decoder.known)
        for i, query in enumerate(queries):
            rows = known[known < len(query.allowed)]
            rows = rows[query.allowed[rows]]
            write_row(result, i, *top_k(rows, self.score([query], rows[None])[0], k=k))
        return Candidates(*result)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Log-probability that each of `rows` comes next."""
        return self.decoder.next_scores([query.history.rows for query in queries], rows)

    def part(self, name: str) -> Part:
        return self.encoder.part(name)
