"""The recipe `item-text`: a text encoder taught which items of a catalogue go together.

Each step encodes some texts of one domain and compares them with all texts of that domain that are learned from: with vectors
made in this step where there are some, else with the last ones made (cross-batch memory). So every step sees the hardest
negatives of the moment, for the price of one matrix product. All (layers, dims) pairs that are offered learn in one pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoders.text import TextEncoder, TextEncoderConfig, expert_parameters, with_expert, with_experts
from models.errors import ConfigError
from models.objectives.contrastive import IMPOSSIBLE, alignment, hardest, ranking
from models.objectives.nested import Pair, checked_pairs, sampled_pairs
from models.pooling.nested import cut
from models.pretrained import load_text_encoder
from recsys.bundle import Part
from recsys.data.collate import length_buckets
from recsys.data.item_text import stored_model, text_part
from recsys.data.pairs import Pairs, PairsConfig
from recsys.data.tokens import TextTokenizer, Tokens, collate_tokens, train_tokenizer
from recsys.data.units import legal
from recsys.errors import within
from recsys.training.loop import Epoch, LoopConfig, run
from recsys.training.text_batches import Members, TextBatch, members, text_batches

NAME = "item-text"

WIDTH = 384
"""Of a random start, if nothing is said."""

TOKENS = 768
"""Padded tokens that go through the encoder at once in training: short texts do not wait for long ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTextRecipe:
    """How the encoder is built and trained.

    `start` names a checkpoint (`packaged`, a folder, a hub name) or is `random`; `heads` and `vocabulary` are those of a random
    start, and so is `width` (default: 384): a checkpoint of another width is refused. `offered` are the (layers, dims) pairs
    trained beside the whole. With `expert_layers` and two or more domains of at least `expert_pairs` pairs each of these has one
    expert in the last so many layers, which learns at `expert_rate` times the common rate; the others share the general one.
    `frozen` layers, and the token vectors below them, stay as they are. `dims` is the width of the whole, if not all. `stay` is
    the weight of alignment to the rankings of the start (`general_stay`: that of the general expert), `keep` the share of the
    start in the final weights, `held_out` that of the items which the figures are measured on. With `compare` a model is
    trained for each size alone, too, and a size that falls behind its own is withheld.
    """

    start: str = "packaged"
    layers: int = 6
    width: int | None = None
    heads: int = 12
    vocabulary: int = 8000
    max_length: int = 64
    offered: tuple[Pair, ...] = ((3, 64), (3, 384), (6, 64), (6, 384))
    nesting: Literal["fixed", "sampled"] = "fixed"
    align: float = 1.0
    expert_layers: int = 2
    expert_rate: float = 3.0
    expert_pairs: int = 50
    label_dropout: float = 0.1
    frozen: int = 0
    texts: int = 128
    beside: int = 1
    power: float = 0.5
    temperature: float = 0.05
    hard_negatives: int | None = None
    dims: int | None = None
    dropout: float = 0.1
    stay: float = 1.5
    general_stay: float = 3.0
    keep: float = 0.0
    held_out: float = 0.1
    compare: bool = False
    pairs: PairsConfig = field(default_factory=PairsConfig)
    half_precision: Literal["auto", "on", "off"] = "auto"
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=1, learning_rate=3e-4, weight_decay=0.01))

    def __post_init__(self) -> None:
        within(self, layers=(1, inf), max_length=(3, inf), texts=(2, inf), beside=(0, inf), temperature=(1e-3, inf))
        within(
            self, align=(0, inf), stay=(0, inf), power=(0, 10), expert_layers=(0, self.layers), frozen=(0, self.layers)
        )
        within(self, dropout=(0, 0.9), label_dropout=(0, 1), keep=(0, 1), held_out=(0, 0.9))
        within(
            self,
            expert_rate=(0, 100),
            expert_pairs=(1, inf),
            general_stay=(0, inf),
            vocabulary=(1, inf),
            heads=(1, inf),
        )
        for name in ("width", "dims", "hard_negatives"):
            if getattr(self, name) is not None:
                within(self, **{name: (1, inf)})
        if self.compare and not self.held_out:
            raise ConfigError("compare=true with held_out=0: sizes are compared on items held out")

    def alone(self, layers: int, dims: int) -> "ItemTextRecipe":
        """The same recipe for one size and nothing else."""
        return replace(
            self,
            layers=layers,
            dims=dims,
            offered=((layers, dims),),
            expert_layers=min(self.expert_layers, layers),
            frozen=min(self.frozen, layers - 1),
            compare=False,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TextData:
    """What a run learns from: texts and domains of catalogue rows, and the pairs between them."""

    texts: Sequence[str]
    domains: Sequence[str | None]
    pairs: Pairs


def train(
    recipe: ItemTextRecipe,
    data: TextData,
    *,
    name: str = NAME,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Epoch | Part]:
    """Yields one `Epoch` each, and last the trained part."""
    torch.manual_seed(seed)
    learned = members(data.pairs, data.domains)
    model, tokenizer, whole = _start(recipe, data, learned)
    domains = learned.named(recipe.expert_pairs) if model.config.experts else []
    yield from _taught(
        recipe,
        (model.to(device), tokenizer),
        data,
        learned,
        whole=whole.to(device) if whole else None,
        domains=domains,
        general=recipe.label_dropout if model.config.experts else 0.0,
        name=name,
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
    )


def add_domain(
    recipe: ItemTextRecipe,
    start: Part,
    data: TextData,
    *,
    domain: str,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Epoch | Part]:
    """The same for the encoder `start` with one more expert, which alone learns, from pairs of `domain` alone.

    It begins as the general one. All other weights, and so the vectors of all other domains, keep their bits.
    """
    torch.manual_seed(seed)
    old, tokenizer = stored_model(start)
    model = with_expert(old)
    new = old.config.experts
    model.requires_grad_(requires_grad=False)
    for weight in expert_parameters(model, new):
        weight.requires_grad_()
    assert model.domains is not None
    model.domains.weight.requires_grad_()  # the rows of other domains are not read, and so have no gradient
    yield from _taught(
        replace(  # decay, or weights mixed with the start's, could move the other domains' bits
            recipe, keep=0.0, loop=replace(recipe.loop, weight_decay=0.0)
        ),
        (model.to(device), tokenizer),
        data,
        members(data.pairs, data.domains),
        whole=None,
        domains=[*start.config["domains"], domain],
        general=0.0,
        name=start.name,
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
    )


def _taught(
    recipe: ItemTextRecipe,
    encoder: tuple[TextEncoder, TextTokenizer],
    data: TextData,
    learned: Members,
    *,
    whole: TextEncoder | None,
    domains: Sequence[str],
    general: float,
    name: str,
    seed: int,
    checkpoint: Path | None,
    resume: bool,
) -> Iterator[Epoch | Part]:
    """Trains an encoder with its tokenizer, whose experts read `domains`; a share `general` of the batches hides its own."""
    model, tokenizer = encoder
    start = {key: weight.clone() for key, weight in model.state_dict().items()}
    teacher = ItemTextTraining(recipe, model, tokenizer, data, learned, domains=domains)
    teacher.remember(whole)
    yield from run(
        teacher,
        batches=lambda generator: text_batches(
            learned,
            texts=recipe.texts,
            beside=recipe.beside,
            power=recipe.power,
            general=general,
            generator=generator,
        ),
        loss=teacher,
        validate=None,
        config=recipe.loop,
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
        faster=lambda name: recipe.expert_rate if ".experts." in name or ".domains." in name else 1.0,
    )
    if recipe.keep and recipe.start != "random":
        _interpolate(model, start, keep=recipe.keep)
    yield text_part(
        teacher.encoder,
        name=name,
        tokenizer=tokenizer.definition,
        domains=domains,
        offered=teacher.pairs,
        about={"recipe": asdict(recipe), "seed": seed},
    )


class ItemTextTraining(nn.Module):
    """The encoder with the last vectors of every text that it learns from, one table for each exit; called, it is the loss."""

    def __init__(
        self,
        recipe: ItemTextRecipe,
        encoder: TextEncoder,
        tokenizer: TextTokenizer,
        data: TextData,
        learned: Members,
        *,
        domains: Sequence[str],
    ) -> None:
        super().__init__()
        self.start: Tensor | None
        self.recipe, self.encoder, self.learned = recipe, encoder, learned
        self.experts = {name: number for number, name in enumerate(domains, start=1)}
        self.device = encoder.tokens.weight.device
        self.pairs = checked_pairs(recipe.offered, layers=encoder.config.layers, dim=recipe.dims or encoder.config.dim)
        random_exits = range(1, encoder.config.layers + 1) if recipe.nesting == "sampled" else ()
        self.exits = sorted({layers for layers, _ in self.pairs}.union(random_exits))
        self.tokens: list[Tokens] = tokenizer.encode([legal(text) for text in data.texts])
        self.lengths = np.array([len(text) for text in self.tokens], dtype=np.int64)
        for layers in self.exits:
            self.register_buffer(
                f"last_{layers}", torch.zeros(len(learned.rows), encoder.config.dim, device=self.device)
            )
        _, same = np.unique([data.texts[row] for row in learned.rows], return_inverse=True)
        self.same = torch.from_numpy(same).to(self.device)
        """Members whose texts read the same have the same number."""
        self.register_buffer("start", None, persistent=False)
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
        if batch.general:
            loss = loss + self._general_stayed(made, [whole, *others], start + own)
        for pair in others:
            student = self._logits(made, pair, batch, own, hidden)
            loss = loss + self._ranking(student, partners) + self.recipe.align * alignment(student, teacher)
        if not batch.general:
            for layers in self.exits:
                self.last(layers)[start + own] = made[layers].detach()
        return loss / (1 + len(others))

    def encode(self, rows: NDArray[np.int64], *, expert: int) -> dict[int, Tensor]:
        """Mean vectors after each exit of catalogue `rows`, all read by one expert; not normalised."""
        return self._read(self.encoder, rows, exits=self.exits, expert=expert)

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
        if self.recipe.start != "random" and (self.recipe.stay or self.recipe.general_stay):
            at = (whole or self.encoder).config.layers
            found = self._read(whole, self.learned.rows, exits=[at], expert=0)[at] if whole else self.last(at)
            self.start = cut(found, None)

    def expert(self, domain: int) -> int:
        """The expert of the domain of that number: items without a domain are read by the general one."""
        return self.experts.get(self.learned.domains[domain] or "", 0)

    def _read(
        self, encoder: TextEncoder, rows: NDArray[np.int64], *, exits: Sequence[int], expert: int
    ) -> dict[int, Tensor]:
        order: list[NDArray[np.int64]] = []
        made: list[dict[int, Tensor]] = []
        with self._autocast():
            for piece in length_buckets(self.lengths[rows], tokens=TOKENS, generator=np.random.default_rng(0)):
                experts = [expert] * len(piece) if encoder.config.experts else None
                read = collate_tokens([self.tokens[row] for row in rows[piece]], experts=experts, device=self.device)
                made.append({layers: x.float() for layers, x in encoder.exits(read, exits).items()})
                order.append(piece)
        back = torch.from_numpy(np.argsort(np.concatenate(order))).to(self.device)
        return {layers: torch.cat([one[layers] for one in made])[back] for layers in exits}

    def last(self, layers: int) -> Tensor:
        return getattr(self, f"last_{layers}")

    def _logits(self, made: dict[int, Tensor], pair: Pair, batch: TextBatch, own: Tensor, hidden: Tensor) -> Tensor:
        """Similarity of each text of the batch to every text of its domain, but for the `hidden`: itself and its equals."""
        layers, dims = pair
        queries = cut(made[layers], dims)
        start, end = self.learned.spans[batch.domain]
        keys = cut(self.last(layers)[start:end], dims)
        if not batch.general:
            keys = keys.index_copy(0, own, queries)
        return (queries @ keys.T / self.recipe.temperature).masked_fill(hidden, IMPOSSIBLE)

    def _stayed(self, logits: Tensor, batch: TextBatch, own: Tensor, hidden: Tensor) -> Tensor:
        """What it costs to leave the rankings of the start: little is known of pairs that nobody has met yet.

        Source: Learning without Forgetting (arXiv:1606.09282), section 3, with rankings in place of classes.
        """
        if self.start is None:
            return logits.new_zeros(())
        start, end = self.learned.spans[batch.domain]
        before = self.start[start:end][own] @ self.start[start:end].T / self.recipe.temperature
        return self.recipe.stay * alignment(logits, before.masked_fill(hidden, IMPOSSIBLE))

    def _general_stayed(self, made: dict[int, Tensor], pairs: Sequence[Pair], numbers: Tensor) -> Tensor:
        """The same among the texts of the batch, all read by the general expert, at every size.

        It reads what no other expert knows: a domain unlike those learned is better served by the start than by their ways.
        """
        if self.start is None:
            return next(iter(made.values())).new_zeros(())
        hidden = self.same[numbers][:, None] == self.same[numbers]
        before = self.start[numbers]
        aim = (before @ before.T / self.recipe.temperature).masked_fill(hidden, IMPOSSIBLE)
        loss = aim.new_zeros(())
        for layers, dims in pairs:
            x = cut(made[layers], dims)
            loss = loss + alignment((x @ x.T / self.recipe.temperature).masked_fill(hidden, IMPOSSIBLE), aim)
        return self.recipe.general_stay * loss

    def _ranking(self, logits: Tensor, partners: Tensor) -> Tensor:
        if self.recipe.hard_negatives is not None:
            logits = hardest(logits, partners, negatives=self.recipe.hard_negatives)
        return ranking(logits, partners)

    def _partners(self, numbers: NDArray[np.int64], start: int, end: int) -> Tensor:
        found = np.zeros((len(numbers), end - start), dtype=np.bool_)
        for place, number in enumerate(numbers.tolist()):
            found[place, self.learned.partners[number] - start] = True
        return torch.from_numpy(found).to(self.device)

    def _random_pairs(self, generator: np.random.Generator) -> tuple[Pair, ...]:
        return sampled_pairs(generator, layers=self.encoder.config.layers, dim=self.encoder.config.dim)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_half)


def _start(
    recipe: ItemTextRecipe, data: TextData, learned: Members
) -> tuple[TextEncoder, TextTokenizer, TextEncoder | None]:
    """The encoder before its first step, with experts where there are domains to tell apart, its tokenizer, and the whole
    checkpoint where the encoder is only the first layers of it.
    """
    whole = None
    if recipe.start == "random":
        definition = train_tokenizer((legal(text) for text in data.texts), vocabulary=recipe.vocabulary)
        tokenizer = TextTokenizer(definition, max_length=recipe.max_length)
        model = TextEncoder(
            TextEncoderConfig(
                vocabulary=tokenizer.vocabulary,
                dim=WIDTH if recipe.width is None else recipe.width,
                layers=recipe.layers,
                heads=recipe.heads,
                max_length=recipe.max_length,
                dropout=recipe.dropout,
            )
        )
    else:
        pretrained = load_text_encoder(
            recipe.start, layers=recipe.layers, max_length=recipe.max_length, dropout=recipe.dropout
        )
        model = pretrained.encoder
        if recipe.width not in (None, model.config.dim):
            raise ConfigError(
                f"width={recipe.width}: text encoder {recipe.start!r} is {model.config.dim} wide; leave width out"
            )
        found = load_text_encoder(recipe.start, max_length=recipe.max_length).encoder
        whole = found if found.config.layers > recipe.layers else None
        tokenizer = TextTokenizer(pretrained.tokenizer, max_length=model.config.max_length)
    named = learned.named(recipe.expert_pairs)
    if recipe.expert_layers and len(named) > 1:
        model = with_experts(model, experts=len(named) + 1, layers=recipe.expert_layers, cls=tokenizer.cls)
    for frozen in (model.tokens, model.positions, model.norm, *model.layers[: recipe.frozen]) if recipe.frozen else ():
        frozen.requires_grad_(False)
    return model, tokenizer, whole


@torch.no_grad()
def _interpolate(model: TextEncoder, start: dict[str, Tensor], *, keep: float) -> None:
    """Weights between those of the start and those learned: what both know stays.

    Source: WiSE-FT (arXiv:2109.01903), section 3: on data unlike what was trained on, the mean is better than either.
    """
    for key, weight in model.state_dict().items():
        weight.lerp_(start[key].to(weight.device), keep)


def _half_precision(recipe: ItemTextRecipe, device: torch.device) -> bool:
    """Whether matrix products are in bfloat16; `auto`: where the processor multiplies it faster than float32."""
    if recipe.half_precision != "auto":
        return recipe.half_precision == "on"
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
