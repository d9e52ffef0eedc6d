"""Item vectors from ids, from text, or both.

Text vectors are given and frozen; their projection is learned. The hybrid adds a learned residual for each id and drops it at
random in training, so that the text alone represents an item never seen in training.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.batch import FIRST_ITEM, PADDING
from models.errors import ConfigError

ItemKind = Literal["id", "text", "hybrid"]


class ItemEmbedding(nn.Module):
    """One vector per item index. `text` holds the frozen text vectors (items, text_dim), None for ids alone.

    `start` initialises the learned vectors of ids, plus a little noise; without it they start at random.
    """

    text: Tensor | None

    def __init__(
        self,
        *,
        items: int,
        dim: int,
        kind: ItemKind,
        text: Float[Tensor, "items text_dim"] | None,
        id_dropout: float,
        start: Float[Tensor, "items dim"] | None = None,
    ) -> None:
        super().__init__()
        if (kind == "id") != (text is None):
            raise ConfigError(f"kind={kind!r} and text={'none' if text is None else 'given'} do not go together")
        self.id_dropout = id_dropout
        self.register_buffer("text", text, persistent=False)
        self.project = None if text is None else nn.Linear(text.shape[1], dim)
        self.ids = None if kind == "text" else nn.Embedding(items + FIRST_ITEM, dim, padding_idx=PADDING)
        if self.ids is not None:
            spread = 0.02 if kind == "hybrid" else dim**-0.5
            nn.init.normal_(self.ids.weight, std=spread if start is None else spread / 2)
            if start is not None:
                self.ids.weight.data[FIRST_ITEM:] += start

    def clear(self, rows: Int[Tensor, " rows"]) -> None:
        """Sets the learned vectors of `rows` to zero, so that a hybrid has them by their text alone."""
        if self.ids is not None:
            self.ids.weight.data[rows + FIRST_ITEM] = 0

    def from_text(self, text: Float[Tensor, "batch text_dim"]) -> Float[Tensor, "batch dim"]:
        """Vectors of items known by their text alone.

        Raises:
            ConfigError: this embedding knows ids alone.
        """
        if self.project is None:
            raise ConfigError("an id embedding has no vector for a text; use a text or hybrid one")
        projected: Tensor = self.project(text)
        return projected

    def table(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "items dim"]:
        """Vectors of all items in row order, or of `rows` in their order."""
        parts = []
        if self.text is not None:
            parts.append(self.from_text(self.text if rows is None else self.text[rows]))
        if self.ids is not None:
            residual = self.ids.weight[FIRST_ITEM:] if rows is None else self.ids(rows + FIRST_ITEM)
            if self.training and self.text is not None and self.id_dropout:
                keep = torch.rand(len(residual), 1, device=residual.device) >= self.id_dropout
                residual = residual * keep
            parts.append(residual)
        return torch.stack(parts).sum(0)

    def look_up(
        self, table: Float[Tensor, "items dim"], items: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time dim"]:
        """Rows of `table` for item indexes; padding becomes zeros."""
        vectors = table[(items - FIRST_ITEM).clamp(min=0)]
        return vectors * (items >= FIRST_ITEM).unsqueeze(-1)
