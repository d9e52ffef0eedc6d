"""What one step of the recipe `item-text` costs.

Each step encodes some texts of one domain and compares them with all texts of that domain that are learned from: with vectors
made in this step where there are some, else with the last ones made (cross-batch memory). So every step sees the hardest
negatives of the moment, for the price of one matrix product. All (layers, dims) pairs that are offered learn in one pass.
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

TOKENS = 768
"""Padded tokens that go through the encoder at once in training, or up to a quarter more where rows are padded, too: short texts
do not wait for long ones.
"""

COLUMNS, BLOCK = 8, 256
"""On a CPU, batches in half precision are padded to multiples of so many columns and about so many tokens: a kernel of a
megabyte is kept for every shape that is multiplied, and with a shape for each batch these fill more memory than the encoder.
"""


class ContrastiveObjective(nn.Module):
    """The encoder with the last vectors of every text that it learns from, one table for each exit; called, it is the loss."""

    def __init__(
        self,
        recipe: ItemTextRecipe,
        encoder: TextEncoder,
        tokenizer: TextTokenizer,
        data: TextData,
        learned: PairIndex,
        *,
        domains: Sequence[str],
        seed: int,
    ) -> None:
        super().__init__()
        self.start: Tensor | None
        self.recipe, self.encoder, self.learned = recipe, encoder, learned
        self.experts = {name: number for number, name in enumerate(domains, start=1)}
        self.device = encoder.tokens.weight.device
        self.pairs = checked_pairs(recipe.offered, layers=encoder.config.layers, dim=recipe.dims or encoder.config.dim)
        random_exits = range(1, encoder.config.layers + 1) if recipe.nesting == "sampled" else ()
        self.exits = sorted({layers for layers, _ in self.pairs}.union(random_exits))
        self.tokens: list[Tokens] = tokenizer.encode([sanitize_text(text) for text in data.texts])
        for layers in self.exits:
            self.register_buffer(
                f"last_{layers}", torch.zeros(len(learned.rows), encoder.config.dim, device=self.device)
            )
        _, same = np.unique([data.texts[row] for row in learned.rows], return_inverse=True)
        self.same = torch.from_numpy(same).to(self.device)
        """Members whose texts read the same have the same number."""
        self.register_buffer("start", None, persistent=False)
        stays = recipe.salad_stay and recipe.start != "random"
        self.salad = (
            random_texts([self.tokens[row] for row in learned.rows], np.random.default_rng(seed)) if stays else []
        )
        self.salad_start: list[Tensor] = []
        self.in_half = _half_precision(recipe, self.device)

    def __call__(
        self, batch: TextBatch, generator: np.random.Generator
    ) -> Tensor:  # not forward: it is no layer of a model
        """The loss of one batch: for each pair of layers and dims, ranking and alignment to the whole encoder."""
        made = self.encode(self.learned.rows[batch.members], expert=0 if batch.general else self.expert(batch.domain))
        start, end = self.learned.spans[batch.domain]
        own = torch.from_numpy(batch.members - start).to(self.device)
        partners = self._partners(batch.members, start, end)
        hidden = (self.same[start:end][own][:, None] == self.same[start:end]) & ~partners
        whole, *others = self.pairs if self.recipe.nesting == "fixed" else self._random_pairs(generator)
        teacher = self._logits(made, whole, batch, own, hidden)
        loss = self._ranking(teacher, partners) + self._stayed(teacher, batch, own, hidden)
        if batch.general and self.start is not None:
            numbers = start + own
            same = self.same[numbers][:, None] == self.same[numbers]
            away = self._moved(made, self.start[numbers], [whole, *others], hidden=same)
            loss = loss + self.recipe.general_stay * away
        if self.salad:
            loss = loss + self.recipe.salad_stay * self._salad_moved([whole, *others], generator)
        for pair in others:
            student = self._logits(made, pair, batch, own, hidden)
            loss = loss + self._ranking(student, partners) + self.recipe.align * distillation_kl(student, teacher)
        if not batch.general:
            for layers in self.exits:
                self.last(layers)[start + own] = made[layers].detach()
        return loss / (1 + len(others))

    def encode(self, rows: NDArray[np.int64], *, expert: int) -> dict[int, Tensor]:
        """Mean vectors after each exit of catalogue `rows`, all read by one expert; not normalised."""
        return self._read(self.encoder, [self.tokens[row] for row in rows], exits=self.exits, expert=expert)

    @torch.no_grad()
    def remember(self, whole: TextEncoder | None) -> None:
        """Fills the tables with vectors of the weights as they are; called once, before the first step or a checkpoint.

        The rankings to stay near to are those of `whole`, where it is given: a cut checkpoint learns what all of it knows.
        """
        self.eval()
        for domain, (start, end) in enumerate(self.learned.spans):
            made = self.encode(self.learned.rows[start:end], expert=self.expert(domain))
            for layers, vectors in made.items():
                self.last(layers)[start:end] = vectors
        teacher = whole or self.encoder
        at = teacher.config.layers
        if self.recipe.start != "random" and (self.recipe.stay or self.recipe.general_stay):
            texts = [self.tokens[row] for row in self.learned.rows]
            found = self._read(whole, texts, exits=[at], expert=0)[at] if whole else self.last(at)
            self.start = truncate(found, None)
        self.salad_start = [
            truncate(self._read(teacher, texts, exits=[at], expert=0)[at], None) for texts in self.salad
        ]

    def expert(self, domain: int) -> int:
        """The expert of the domain of that number: items without a domain are read by the general one."""
        return self.experts.get(self.learned.domains[domain] or "", 0)

    def _read(
        self, encoder: TextEncoder, texts: Sequence[Tokens], *, exits: Sequence[int], expert: int
    ) -> dict[int, Tensor]:
        columns, block = (COLUMNS, BLOCK) if self.in_half and self.device.type == "cpu" else (1, 1)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        lengths = np.minimum(-(-lengths // columns) * columns, encoder.config.max_length)
        order: list[NDArray[np.int64]] = []
        made: list[dict[int, Tensor]] = []
        with self._autocast():
            for piece in length_buckets(lengths, tokens=TOKENS, generator=np.random.default_rng(0)):
                length = int(lengths[piece].max())
                filled = np.pad(piece, (0, -len(piece) % max(1, block // length)), mode="edge")
                experts = [expert] * len(filled) if encoder.config.experts else None
                read = collate_tokens(
                    [texts[place] for place in filled], experts=experts, length=length, device=self.device
                )
                made.append({layers: x[: len(piece)].float() for layers, x in encoder.exits(read, exits).items()})
                order.append(piece)
        back = torch.from_numpy(np.argsort(np.concatenate(order))).to(self.device)
        return {layers: torch.cat([one[layers] for one in made])[back] for layers in exits}

    def last(self, layers: int) -> Tensor:
        return getattr(self, f"last_{layers}")

    def _logits(self, made: dict[int, Tensor], pair: Pair, batch: TextBatch, own: Tensor, hidden: Tensor) -> Tensor:
        """Similarity of each text of the batch to every text of its domain, but for the `hidden`: itself and its equals."""
        layers, dims = pair
        queries = truncate(made[layers], dims)
        start, end = self.learned.spans[batch.domain]
        keys = truncate(self.last(layers)[start:end], dims)
        if not batch.general:
            keys = keys.index_copy(0, own, queries)
        return (queries @ keys.T / self.recipe.temperature).masked_fill(hidden, MASKED_LOGIT)

    def _stayed(self, logits: Tensor, batch: TextBatch, own: Tensor, hidden: Tensor) -> Tensor:
        """What it costs to leave the rankings of the start: little is known of pairs that nobody has met yet.

        Source: Learning without Forgetting (arXiv:1606.09282), section 3, with rankings in place of classes.
        """
        if self.start is None:
            return logits.new_zeros(())
        start, end = self.learned.spans[batch.domain]
        before = self.start[start:end][own] @ self.start[start:end].T / self.recipe.temperature
        return self.recipe.stay * distillation_kl(logits, before.masked_fill(hidden, MASKED_LOGIT))

    def _moved(self, made: dict[int, Tensor], before: Tensor, pairs: Sequence[Pair], *, hidden: Tensor) -> Tensor:
        """How far texts that the general expert reads have moved from the rankings among them of `before`, at all sizes.

        It reads what no other expert knows: a domain unlike those learned is better served by the start than by their ways.
        """
        aim = (before @ before.T / self.recipe.temperature).masked_fill(hidden, MASKED_LOGIT)
        loss = aim.new_zeros(())
        for layers, dims in pairs:
            x = truncate(made[layers], dims)
            loss = loss + distillation_kl((x @ x.T / self.recipe.temperature).masked_fill(hidden, MASKED_LOGIT), aim)
        return loss

    def _salad_moved(self, pairs: Sequence[Pair], generator: np.random.Generator) -> Tensor:
        group = int(generator.integers(len(self.salad)))
        made = self._read(self.encoder, self.salad[group], exits=self.exits, expert=0)
        itself = torch.eye(len(self.salad[group]), dtype=torch.bool, device=self.device)
        return self._moved(made, self.salad_start[group], pairs, hidden=itself)

    def _ranking(self, logits: Tensor, partners: Tensor) -> Tensor:
        if self.recipe.hard_negatives is not None:
            logits = keep_hard_negatives(logits, partners, negatives=self.recipe.hard_negatives)
        return multiple_negatives_loss(logits, partners)

    def _partners(self, numbers: NDArray[np.int64], start: int, end: int) -> Tensor:
        found = np.zeros((len(numbers), end - start), dtype=np.bool_)
        for place, number in enumerate(numbers.tolist()):
            found[place, self.learned.partners[number] - start] = True
        return torch.from_numpy(found).to(self.device)

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
