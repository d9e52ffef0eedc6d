"""The sequence model: item vectors, and the encoder over them; and the settings that it is built and trained with."""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from models.batch import ItemBatch
from models.embeddings import ItemEmbedding, ItemKind
from models.encoders.sequence import SequenceConfig, SequenceEncoder
from recsys.data.sampling import Proposal
from recsys.errors import check_ranges
from recsys.training.loop import LoopConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRecipe:
    """How a sequence model is built and trained. `negatives` counts shared draws of the sampled losses."""

    items: ItemKind = "id"
    encoder: SequenceConfig = field(default_factory=SequenceConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    objective: Literal["softmax", "sampled", "gbce"] = "softmax"
    negatives: int = 512
    negatives_from: Proposal = "popular"
    calibration: float = 0.75
    smoothing: float = 0.0
    temperature: float | None = None
    id_dropout: float = 0.1
    item_dropout: float = 0.0
    start: Literal["random", "spectral"] = "spectral"
    tokens: int = 4096
    text_encoder: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, negatives=(1, inf), tokens=(1, inf))
        check_ranges(self, calibration=(0, 1), smoothing=(0, 1), id_dropout=(0, 1), item_dropout=(0, 1))
        if self.temperature is not None:
            check_ranges(self, temperature=(1e-3, inf))


class SequenceModel(nn.Module):
    """Item vectors and the encoder over them; with a temperature, both sides are of unit length."""

    def __init__(
        self,
        recipe: SequenceRecipe,
        *,
        items: int,
        text: Float[Tensor, "items text_dim"] | None,
        start: Float[Tensor, "items dim"] | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.items = ItemEmbedding(
            items=items,
            dim=recipe.encoder.dim,
            kind=recipe.items,
            text=text,
            id_dropout=recipe.id_dropout,
            start=start,
        )
        self.encoder = SequenceEncoder(recipe.encoder)

    def histories(self, table: Float[Tensor, "items dim"], batch: ItemBatch) -> Float[Tensor, "batch time dim"]:
        """History vectors, scaled so that an inner product with the item's vector is the logit."""
        x = self.encoder(self.items.look_up(table, batch.items) * table.shape[1] ** 0.5, batch.when)
        return x if self.recipe.temperature is None else nn.functional.normalize(x, dim=-1) / self.recipe.temperature

    def table(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "items dim"]:
        """Vectors of all items, or of `rows` alone."""
        table = self.items.table(rows)
        return table if self.recipe.temperature is None else nn.functional.normalize(table, dim=-1)
