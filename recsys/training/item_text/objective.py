"""The training loss of `item-text`.

Each step encodes some texts of one domain and compares them with all training texts of that domain: with vectors of this step
where there are some, else with the last ones (cross-batch memory). So every step sees the hardest negatives, for the price of
one matrix product. All offered (layers, dims) pairs are trained in one pass.

Source of the memory bank: Wang et al., Cross-Batch Memory for Embedding Learning (arXiv:1912.06798), section 3.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoders.text import TextEncoder
from models.objectives.contrastive import MASKED_LOGIT, distillation_kl, keep_hard_negatives, multiple_negatives_loss
from models.objectives.nested import Pair, checked_pairs, sampled_pairs
from models.pooling.nested import truncate
from recsys.encoders.batching import length_buckets
from recsys.encoders.normalize import sanitize_text
from recsys.encoders.tokenizer import TextTokenizer, Tokens, collate_tokens
from recsys.training.item_text.batches import PairIndex, TextBatch
from recsys.training.item_text.config import ItemTextRecipe, TextData
from recsys.training.item_text.random_texts import random_texts

TOKENS_PER_PASS = 768
"""Padded tokens that the encoder processes at once, or up to a quarter more where rows are padded, too: texts of similar lengths
go together.
"""

COLUMN_MULTIPLE, TOKEN_MULTIPLE = 8, 256
"""On a CPU, batches in half precision are padded to multiples of so many columns and about so many tokens: PyTorch caches a
kernel of a megabyte for every shape, and with a shape for each batch these fill more memory than the encoder.
"""


class ContrastiveObjective(nn.Module):
    """The encoder with a memory bank for each exit: the last vectors of every training text. Calling it gives the loss."""

    def __init__(
        self,
        recipe: ItemTextRecipe,
        encoder: TextEncoder,
        tokenizer: TextTokenizer,
        data: TextData,
        index: PairIndex,
        *,
        domains: Sequence[str],
        seed: int,
    ) -> None:
        super().__init__()
        self.start: Tensor | None
        self.recipe, self.encoder, self.index = recipe, encoder, index
        self.experts = {name: number for number, name in enumerate(domains, start=1)}
        self.device = encoder.tokens.weight.device
        self.pairs = checked_pairs(recipe.offered, layers=encoder.config.layers, dim=recipe.dims or encoder.config.dim)
        random_exits = range(1, encoder.config.layers + 1) if recipe.nesting == "sampled" else ()
        self.exits = sorted({layers for layers, _ in self.pairs}.union(random_exits))
        self.tokens: list[Tokens] = tokenizer.encode([sanitize_text(text) for text in data.texts])
        for layers in self.exits:
            self.register_buffer(
                f"memory_bank_{layers}", torch.zeros(len(index.rows), encoder.config.dim, device=self.device)
            )
        _, same = np.unique([data.texts[row] for row in index.rows], return_inverse=True)
        self.same = torch.from_numpy(same).to(self.device)
        """Items with equal texts have the same number."""
        self.register_buffer("start", None, persistent=False)
        distils = recipe.salad_stay and recipe.start != "random"
        self.random_texts = (
            random_texts([self.tokens[row] for row in index.rows], np.random.default_rng(seed)) if distils else []
        )
        self.random_start: list[Tensor] = []
        self.in_half = _half_precision(recipe, self.device)

    def __call__(
        self, batch: TextBatch, generator: np.random.Generator
    ) -> Tensor:  # not forward: it is no layer of a model
        """The loss of one batch: for each (layers, dims), ranking and distillation from the whole encoder."""
        vectors = self.encode(self.index.rows[batch.members], expert=0 if batch.general else self.expert(batch.domain))
        start, end = self.index.spans[batch.domain]
        positions = torch.from_numpy(batch.members - start).to(self.device)
        partners = self._partners(batch.members, start, end)
        masked = (self.same[start:end][positions][:, None] == self.same[start:end]) & ~partners
        whole, *others = self.pairs if self.recipe.nesting == "fixed" else self._random_pairs(generator)
        teacher = self._logits(vectors, whole, batch, positions, masked)
        loss = self._ranking_loss(teacher, partners) + self._reference_loss(teacher, batch, positions, masked)
        if batch.general and self.start is not None:
            numbers = start + positions
            same = self.same[numbers][:, None] == self.same[numbers]
            drift = self._drift_loss(vectors, self.start[numbers], [whole, *others], masked=same)
            loss = loss + self.recipe.general_stay * drift
        if self.random_texts:
            loss = loss + self.recipe.salad_stay * self._random_text_loss([whole, *others], generator)
        for pair in others:
            student = self._logits(vectors, pair, batch, positions, masked)
            loss = loss + self._ranking_loss(student, partners) + self.recipe.align * distillation_kl(student, teacher)
        if not batch.general:
            for layers in self.exits:
                self.memory_bank(layers)[start + positions] = vectors[layers].detach()
        return loss / (1 + len(others))

    def encode(self, rows: NDArray[np.int64], *, expert: int) -> dict[int, Tensor]:
        """Mean vectors after each exit of catalogue `rows`, all by one expert; not normalised."""
        return self._encode(self.encoder, [self.tokens[row] for row in rows], exits=self.exits, expert=expert)

    @torch.no_grad()
    def fill_memory_bank(self, full: TextEncoder | None) -> None:
        """Fills the memory banks with vectors of the current weights; called once, before the first step or a checkpoint.

        The reference rankings are those of `full`, if any: the first layers of a checkpoint are distilled from all of it.
        """
        self.eval()
        for domain, (start, end) in enumerate(self.index.spans):
            encoded = self.encode(self.index.rows[start:end], expert=self.expert(domain))
            for layers, vectors in encoded.items():
                self.memory_bank(layers)[start:end] = vectors
        teacher = full or self.encoder
        at = teacher.config.layers
        if self.recipe.start != "random" and (self.recipe.stay or self.recipe.general_stay):
            texts = [self.tokens[row] for row in self.index.rows]
            vectors = self._encode(full, texts, exits=[at], expert=0)[at] if full else self.memory_bank(at)
            self.start = truncate(vectors, None)
        self.random_start = [
            truncate(self._encode(teacher, texts, exits=[at], expert=0)[at], None) for texts in self.random_texts
        ]

    def expert(self, domain: int) -> int:
        """The expert of the domain of that number; the general one where items have no domain."""
        return self.experts.get(self.index.domains[domain] or "", 0)

    def _encode(
        self, encoder: TextEncoder, texts: Sequence[Tokens], *, exits: Sequence[int], expert: int
    ) -> dict[int, Tensor]:
        columns, tokens = (COLUMN_MULTIPLE, TOKEN_MULTIPLE) if self.in_half and self.device.type == "cpu" else (1, 1)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        lengths = np.minimum(-(-lengths // columns) * columns, encoder.config.max_length)
        order: list[NDArray[np.int64]] = []
        outputs: list[dict[int, Tensor]] = []
        with self._autocast():
            for batch in length_buckets(lengths, tokens=TOKENS_PER_PASS, generator=np.random.default_rng(0)):
                length = int(lengths[batch].max())
                padded = np.pad(batch, (0, -len(batch) % max(1, tokens // length)), mode="edge")
                experts = [expert] * len(padded) if encoder.config.experts else None
                inputs = collate_tokens([texts[i] for i in padded], experts=experts, length=length, device=self.device)
                outputs.append({layers: x[: len(batch)].float() for layers, x in encoder.exits(inputs, exits).items()})
                order.append(batch)
        inverse = torch.from_numpy(np.argsort(np.concatenate(order))).to(self.device)
        return {layers: torch.cat([output[layers] for output in outputs])[inverse] for layers in exits}

    def memory_bank(self, layers: int) -> Tensor:
        """(items, dim): the last vectors after this exit, in the order of the index."""
        return getattr(self, f"memory_bank_{layers}")

    def _logits(
        self, vectors: dict[int, Tensor], pair: Pair, batch: TextBatch, positions: Tensor, masked: Tensor
    ) -> Tensor:
        """Similarity of each text of the batch to every text of its domain, except the `masked`: itself and equal texts."""
        layers, dims = pair
        queries = truncate(vectors[layers], dims)
        start, end = self.index.spans[batch.domain]
        keys = truncate(self.memory_bank(layers)[start:end], dims)
        if not batch.general:
            keys = keys.index_copy(0, positions, queries)
        return (queries @ keys.T / self.recipe.temperature).masked_fill(masked, MASKED_LOGIT)

    def _reference_loss(self, logits: Tensor, batch: TextBatch, positions: Tensor, masked: Tensor) -> Tensor:
        """KL divergence from the rankings of the start, which know of pairs that no list has.

        Source: Learning without Forgetting (arXiv:1606.09282), section 3, with rankings in place of classes.
        """
        if self.start is None:
            return logits.new_zeros(())
        start, end = self.index.spans[batch.domain]
        before = self.start[start:end][positions] @ self.start[start:end].T / self.recipe.temperature
        return self.recipe.stay * distillation_kl(logits, before.masked_fill(masked, MASKED_LOGIT))

    def _drift_loss(
        self, vectors: dict[int, Tensor], before: Tensor, pairs: Sequence[Pair], *, masked: Tensor
    ) -> Tensor:
        """KL divergence of the general expert's rankings of texts from those by the vectors `before`, summed over `pairs`.

        The general expert encodes texts of unseen domains, for which the start is better than what other domains teach.
        """
        target = (before @ before.T / self.recipe.temperature).masked_fill(masked, MASKED_LOGIT)
        loss = target.new_zeros(())
        for layers, dims in pairs:
            x = truncate(vectors[layers], dims)
            loss = loss + distillation_kl((x @ x.T / self.recipe.temperature).masked_fill(masked, MASKED_LOGIT), target)
        return loss

    def _random_text_loss(self, pairs: Sequence[Pair], generator: np.random.Generator) -> Tensor:
        group = int(generator.integers(len(self.random_texts)))
        vectors = self._encode(self.encoder, self.random_texts[group], exits=self.exits, expert=0)
        itself = torch.eye(len(self.random_texts[group]), dtype=torch.bool, device=self.device)
        return self._drift_loss(vectors, self.random_start[group], pairs, masked=itself)

    def _ranking_loss(self, logits: Tensor, partners: Tensor) -> Tensor:
        if self.recipe.hard_negatives is not None:
            logits = keep_hard_negatives(logits, partners, negatives=self.recipe.hard_negatives)
        return multiple_negatives_loss(logits, partners)

    def _partners(self, numbers: NDArray[np.int64], start: int, end: int) -> Tensor:
        is_partner = np.zeros((len(numbers), end - start), dtype=np.bool_)
        for i, number in enumerate(numbers.tolist()):
            is_partner[i, self.index.partners[number] - start] = True
        return torch.from_numpy(is_partner).to(self.device)

    def _random_pairs(self, generator: np.random.Generator) -> tuple[Pair, ...]:
        config = self.encoder.config
        dim = self.recipe.dims or config.dim
        return sampled_pairs(generator, layers=config.layers, dim=dim, offered=self.pairs)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_half)


def _half_precision(recipe: ItemTextRecipe, device: torch.device) -> bool:
    """Whether matrix products are in bfloat16; `auto`: where the processor multiplies it faster than float32."""
    if recipe.half_precision != "auto":
        return recipe.half_precision == "on"
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
