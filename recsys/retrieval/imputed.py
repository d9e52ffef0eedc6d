"""Collaborative scores for items without events, through the items with events whose texts are nearest.

What goes together is learned from items with events alone: S, the shares in which an item's neighbours in histories follow or
precede it. The scores of a history h are

    h' G S N'        N_jk = softmax_k(cos(x_j, x_k) / temperature) over the items k != j with events nearest to j by text

and G the items that speak for one of the history: itself where it has events, else those that N has. Each item is scored by its
neighbours, those with events too, so that what a fusion learns of the scores on validation holds for new items as well.
"""

from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.encoders.base import Vectors
from recsys.encoders.normalize import l2_normalize
from recsys.errors import check_ranges
from recsys.retrieval.explanation import Explanation, leave_one_out
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace
from recsys.retrieval.source import Query
from recsys.retrieval.sparse_rows import with_rows
from recsys.retrieval.stored_arrays import check_shapes, stored_csr
from recsys.retrieval.text_neighbours import TextNeighbours

MAX_NEIGHBOURS = 20_000
"""Items that may stand for others, at most, those of most events: all texts are compared with theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImputedConfig:
    """Items at most `reach` places from each other go together, and `shrink` damps those of few events; `neighbours` stand for
    an item. The last `window` items of a history count, each older one `decay` times as much."""

    text_encoder: str
    reach: int = 5
    shrink: float = 2.0
    neighbours: int = 30
    temperature: float = 0.05
    decay: float = 0.6
    window: int = 50

    def __post_init__(self) -> None:
        check_ranges(self, reach=(1, inf), shrink=(0, inf), neighbours=(1, inf), window=(1, inf), decay=(0, 1))
        check_ranges(self, temperature=(1e-3, inf))


def search_space(catalogue: Catalogue) -> SearchSpace:
    """The settings that are tried; the neighbours of a large catalogue are looked for once."""
    temperature = Axis("temperature", (0.05, 0.1), "log", low=0.01, high=1.0)
    axes = (temperature, DECAY) if catalogue.is_small else (DECAY,)
    return SearchSpace(ImputedConfig(text_encoder=catalogue.text_encoder), axes, max_fits=4)


class ImputedSource(ItemItemSource):
    """Scores of the items that have a text. `matrix` is S, as of the training; `standing` is N, which grows with the catalogue.

    `trained` (items,) marks the items with events.
    """

    def __init__(
        self,
        matrix: sp.csr_matrix,
        standing: sp.csr_matrix,
        *,
        texts: TextNeighbours,
        trained: NDArray[np.bool_],
        decay: float,
        window: int,
        config: dict[str, Any],
    ) -> None:
        known = np.diff(standing.indptr) > 0
        super().__init__(matrix, kind="imputed", known=known, decay=decay, window=window, config=config)
        self._standing, self._texts, self._trained = standing, texts, trained
        itself = np.pad(trained, (0, len(known) - len(trained)))
        self._speaks = known | itself
        self._speaking = sp.csr_matrix(
            sp.diags_array(itself.astype(np.float32), shape=standing.shape)
            + sp.diags_array((~itself).astype(np.float32)) @ standing
        )
        self._answering = sp.csr_matrix(standing.T)

    @property
    def trained(self) -> NDArray[np.bool_]:
        return self._trained

    @property
    def text_encoder(self) -> str:
        return str(self.config["imputed"]["text_encoder"])

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        return leave_one_out(self, query, rows)

    def with_items(self, rows: Rows, text: Vectors) -> Self:
        return self._with_standing(rows, self._texts.weights(rows, text, items=len(self._trained)))

    def without_texts(self, rows: Rows) -> Self:
        """Items with events still speak in histories."""
        inside = rows[rows < len(self.known)]
        return self._with_standing(inside, sp.csr_matrix((len(inside), len(self._trained)), dtype=np.float32))

    def _with_standing(self, rows: Rows, new: sp.csr_matrix) -> Self:
        return type(self)(
            self.matrix,
            with_rows(self._standing, rows, new),
            texts=self._texts,
            trained=self._trained,
            decay=self.decay,
            window=self.window,
            config=self.config,
        )

    def _products(self, weights: sp.csr_matrix) -> sp.csr_matrix:
        return weights @ self._speaking @ self.matrix @ self._answering

    def _is_known(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of `rows` speak in a history."""
        inside = rows < len(self._speaks)
        inside[inside] = self._speaks[rows[inside]]
        return inside

    def part(self, name: str) -> Part:
        part = super().part(name)
        arrays = {
            "standing_data": self._standing.data,
            "standing_indices": self._standing.indices.astype(np.int32),
            "standing_indptr": self._standing.indptr.astype(np.int64),
            "trained": self._trained,
            "neighbour_rows": self._texts.rows,
            "neighbour_vectors": self._texts.vectors,
        }
        config = part.config | {"text_encoder": self.text_encoder}
        return Part(name=name, kind=self.kind, config=config, arrays=part.arrays | arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a, fit = part.arrays, ImputedConfig(**part.config["fit"]["imputed"])
        size = len(a["trained"])
        rows, vectors = a["neighbour_rows"], a["neighbour_vectors"]
        check_shapes(a, neighbour_vectors=(len(rows), vectors.shape[1]), trained=(size,))
        if len(rows) and not 0 <= rows.min() <= rows.max() < size:
            raise ValueError(f"neighbours up to row {rows.max()} of {size} items")
        standing = stored_csr(
            a["standing_data"], a["standing_indices"], a["standing_indptr"], shape=(len(a["known"]), size)
        )
        return cls(
            stored_csr(a["data"], a["indices"], a["indptr"], shape=(size, size)),
            standing,
            texts=TextNeighbours(rows, vectors, fit.neighbours, fit.temperature),
            trained=a["trained"],
            decay=part.config["decay"],
            window=part.config["window"],
            config=part.config["fit"],
        )


def fit_imputed(dataset: Dataset, text: Vectors, config: ImputedConfig) -> ImputedSource:
    """What goes together, and the neighbours of each item with a text (items, text_dim)."""
    trained, rows = dataset.has_events, np.flatnonzero(dataset.has_text)
    together = MarkovConfig(reach=config.reach, shrink=config.shrink, both=True)
    texts = _neighbours(dataset, text, config)
    return ImputedSource(
        fit_markov(dataset, together).matrix,
        with_rows(
            sp.csr_matrix((dataset.items, dataset.items), dtype=np.float32),
            rows,
            texts.weights(rows, text[rows], items=dataset.items),
        ),
        texts=texts,
        trained=trained,
        decay=config.decay,
        window=config.window,
        config={"imputed": asdict(config)},
    )


def _neighbours(dataset: Dataset, text: Vectors, config: ImputedConfig) -> TextNeighbours:
    """The items of most events among those that have a text."""
    counts = np.where(dataset.has_text, dataset.counts(), 0)
    rows = np.sort(np.argsort(-counts, kind="stable")[: min(MAX_NEIGHBOURS, int((counts > 0).sum()))])
    return TextNeighbours(rows, l2_normalize(text[rows]), config.neighbours, config.temperature)
