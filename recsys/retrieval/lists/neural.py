"""What trained list encoders have in common: item vectors that grow with the catalogue, and lists in batches of like length."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from models.batch import FIRST_ITEM
from models.decoders.constraints import StepDecoder
from models.lists import ListModel, PlaylistModel, SetModel
from recsys.bundle import Part
from recsys.data.history import NO_ROWS, Rows
from recsys.encoders.stored_module import stored_module
from recsys.retrieval.lists.decoding import decode_lists
from recsys.retrieval.lists.encoder import DecodedList, DecodingConfig, ListDecoder, ListEncoder, ListVectors
from recsys.retrieval.source import Scores

BATCH = 64
"""Lists read at once."""

Backbone = TypeVar("Backbone", PlaylistModel, SetModel)


class NeuralListEncoder(ListEncoder, Generic[Backbone]):
    """`vectors` (items, dim) of unit length, `known` marks the rows that have one; `_body` reads lists of them."""

    def __init__(
        self, part: Part, *, vectors: NDArray[np.float32] | None = None, known: NDArray[np.bool_] | None = None
    ) -> None:
        self._part = part
        self.vectors = part.arrays["item_vectors"] if vectors is None else vectors
        self.known = part.arrays["known"] if known is None else known
        self._body: Backbone = stored_module(self._body_builder(part.config["recipe"]), tensors(part, "body."))
        self._project = _linear(tensors(part, "text."))

    @abstractmethod
    def _body_builder(self, recipe: dict[str, Any]) -> Callable[[], Backbone]:
        """Makes the body that `recipe` describes, before its weights are put in."""

    @abstractmethod
    def _encode(self, lists: Sequence[Rows]) -> torch.Tensor:
        """Vectors (lists, width) of non-empty lists of known rows."""

    @abstractmethod
    def _next_item_query(self, lists: Sequence[Rows]) -> torch.Tensor:
        """What is asked of the items that belong next to non-empty lists of known rows: (lists, dim), over the temperature."""

    @abstractmethod
    def _step_decoder(self, items: Rows, candidates: torch.Tensor, known: NDArray[np.bool_]) -> StepDecoder[Any]:
        """What goes on after the known rows `items`, over candidates with the inputs (candidates, dim), those `known` alone."""

    def next_scores(self, lists: Sequence[Rows], rows: NDArray[np.int64]) -> Scores:
        """Log-probability, among all known items, that each of `rows` (lists, candidates) belongs next; NaN where the model
        has no opinion, also at row -1 and for a list without a known item."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        known_rows = [self.known_rows(items) for items in lists]
        answerable = np.array([i for i, items in enumerate(known_rows) if len(items)], dtype=np.int64)
        for start in range(0, len(answerable), BATCH):
            block = answerable[start : start + BATCH]
            with torch.inference_mode():
                out[block] = self._log_probabilities(self._next_item_query([known_rows[i] for i in block]), rows[block])
        return out

    def decode(
        self,
        items: Rows,
        *,
        candidates: Rows,
        prior: Scores | None,
        groups: NDArray[np.int64] | None,
        config: DecodingConfig,
    ) -> list[DecodedList]:
        """Continuations of `items` from `candidates`; none where no item of either is known."""
        known_rows, known = self.known_rows(items), self._flags(candidates)
        if not len(known_rows) or not known.any():
            return []
        with torch.inference_mode():
            decoder = self._step_decoder(known_rows, self._inputs(np.where(known, candidates, -1)), known)
            return decode_lists(decoder, candidates=candidates, known=known, prior=prior, groups=groups, config=config)

    @property
    def name(self) -> str:
        return self._part.name.rpartition("/")[2]

    @property
    def hash(self) -> str:
        return self._part.hash

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        return self.vectors

    @property
    def decoder(self) -> ListDecoder:
        return self

    def content_key(self, rows: Rows) -> str:
        """Of the vectors of the known items, in their order."""
        return hashlib.blake2b(self.vectors[self.known_rows(rows)].tobytes(), digest_size=16).hexdigest()

    @property
    def text_encoder(self) -> str:
        """Name of the encoder whose vectors new items need; empty for ids alone."""
        return self._part.config["recipe"]["text_encoder"] or ""

    def encode(self, lists: Sequence[Rows]) -> ListVectors:
        """Vectors (lists, dim) of unit length; zeros where a list holds no item that is known here."""
        known_rows = [self.known_rows(rows) for rows in lists]
        order = np.argsort([len(rows) for rows in known_rows], kind="stable")
        order = order[[len(known_rows[i]) > 0 for i in order]] if len(order) else order
        out = np.zeros((len(lists), self.dim), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            block = order[start : start + BATCH]
            with torch.inference_mode():
                out[block] = F.normalize(self._encode([known_rows[i] for i in block]), dim=-1).numpy()
        return out

    def known_rows(self, rows: Rows) -> Rows:
        """The known items of a list, in its order."""
        rows = rows[(rows >= 0) & (rows < len(self.known))]
        return rows[self.known[rows]]

    def with_items(self, rows: Rows, text: NDArray[np.float32]) -> Self:
        """The same with items by their new text (rows, text_dim), and the learned residual of those trained on.

        An encoder of ids alone learns nothing from a text and stays as it is.
        """
        if self._project is None:
            return self
        items = max(len(self.known), int(rows.max(initial=-1)) + 1)
        vectors = np.zeros((items, self.vectors.shape[1]), dtype=np.float32)
        known = np.zeros(items, dtype=np.bool_)
        vectors[: len(self.vectors)], known[: len(self.known)] = self.vectors, self.known
        vectors[rows] = self._from_text(rows, text)
        known[rows] = True
        return type(self)(self._part, vectors=vectors, known=known)

    def without_texts(self, rows: Rows) -> Self:
        """Items with a learned residual stay: they are known by that."""
        if self._project is None:
            return self
        trained = self._part.arrays["rows"] if "residual" in self._part.arrays else NO_ROWS
        known = self.known.copy()
        known[rows[(rows < len(known)) & ~np.isin(rows, trained)]] = False
        return type(self)(self._part, vectors=self.vectors, known=known)

    def changed_rows(self, before: Self) -> Rows:
        """The rows whose vectors `before` does not have, or has otherwise."""
        shared = min(len(self.known), len(before.known))
        same = np.zeros(len(self.known), dtype=np.bool_)
        same[:shared] = self.known[:shared] == before.known[:shared]
        same[:shared] &= (self.vectors[:shared] == before.vectors[:shared]).all(axis=1)
        same[shared:] = ~self.known[shared:]
        return np.flatnonzero(~same)

    def _from_text(self, rows: Rows, text: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self._project is not None
        with torch.inference_mode():
            new = self._project(torch.from_numpy(text))
            if (residual := self._part.arrays.get("residual")) is not None:
                trained = self._part.arrays["rows"]
                position = np.searchsorted(trained, rows)
                was_trained = (position < len(trained)) & (trained[np.minimum(position, len(trained) - 1)] == rows)
                new[torch.from_numpy(was_trained)] += torch.from_numpy(residual[position[was_trained]])
            return F.normalize(new, dim=-1).numpy()

    def _flags(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of `rows` are known."""
        inside = (rows >= 0) & (rows < len(self.known))
        inside[inside] = self.known[rows[inside]]
        return inside

    def _inputs(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Vectors as the body takes them, zeros at row -1."""
        vectors = self.vectors[np.maximum(rows, 0)] * (rows >= 0)[..., None]
        return torch.from_numpy(vectors.astype(np.float32) * np.float32(self.vectors.shape[1] ** 0.5))

    def _log_probabilities(self, queries: torch.Tensor, rows: NDArray[np.int64]) -> Scores:
        """Of `rows` (queries, candidates) among all known items; NaN at unknown ones."""
        inside = self._flags(rows)
        logits = queries.numpy() @ self.vectors.T
        logits[:, ~self.known] = -np.inf
        whole = torch.from_numpy(logits).logsumexp(dim=1, keepdim=True).numpy()
        log_probabilities = np.take_along_axis(logits, np.where(inside, rows, 0), axis=1) - whole
        return np.where(inside, log_probabilities, np.nan).astype(np.float32)

    def part(self, name: str, *, figures: dict[str, Any] | None = None) -> Part:
        return replace(self._part, name=name, figures=self._part.figures if figures is None else figures)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        return cls(part)

    @classmethod
    @torch.inference_mode()
    def trained(
        cls,
        model: ListModel[Backbone],
        *,
        rows: Rows,
        items: int,
        text: NDArray[np.float32] | None,
        has_text: NDArray[np.bool_],
        config: dict[str, Any],
        more: Mapping[str, torch.Tensor] = MappingProxyType({}),
    ) -> Self:
        """The encoder of a model trained over catalogue `rows`, with `more` weights beside it; items that `has_text` (items,)
        marks, but without an id, are known by their text."""
        model.eval()
        project, ids = model.items.project, model.items.ids
        vectors = np.zeros((items, model.backbone.config.dim), dtype=np.float32)
        known = np.zeros(items, dtype=np.bool_)
        if project is not None and text is not None:
            vectors[:] = F.normalize(project(torch.from_numpy(text).to(project.weight.device)), dim=-1).cpu().numpy()
            known[has_text] = True
        vectors[rows] = model.table().cpu().numpy()
        known[rows] = True
        arrays: dict[str, NDArray[Any]] = {"item_vectors": vectors, "known": known, "rows": rows}
        arrays |= {f"body.{key}": value.cpu().numpy() for key, value in model.backbone.state_dict().items()}
        arrays |= {key: value.cpu().numpy() for key, value in more.items()}
        if project is not None:
            arrays |= {f"text.{key}": value.cpu().numpy() for key, value in project.state_dict().items()}
            if ids is not None:
                arrays["residual"] = ids.weight[FIRST_ITEM:].cpu().numpy()
        return cls(Part(name=cls.kind, kind=cls.kind, config=config, arrays=arrays))


def tensors(part: Part, prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): torch.from_numpy(v) for k, v in part.arrays.items() if k.startswith(prefix)}


def _linear(state: dict[str, Any]) -> nn.Linear | None:
    if not state:
        return None
    layer = nn.Linear(state["weight"].shape[1], state["weight"].shape[0])
    layer.load_state_dict(state)
    return layer.eval()
