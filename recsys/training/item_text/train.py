"""Trains the text encoder of the recipe `item-text` on pairs of items that go together; its loss is in `objective`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from models.encoders.text import TextEncoder, TextEncoderConfig, expert_parameters, with_expert, with_experts
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Part
from recsys.encoders.catalogue_parts import load_text_model, text_part
from recsys.encoders.normalize import sanitize_text
from recsys.encoders.tokenizer import TextTokenizer, train_tokenizer
from recsys.training.item_text.batches import PairIndex, index_pairs, text_batches
from recsys.training.item_text.config import ItemTextRecipe, TextData
from recsys.training.item_text.objective import ContrastiveObjective
from recsys.training.loop import Epoch, run
from recsys.training.plan import RunContext

WIDTH = 384
"""Default of a random start."""


def train(
    recipe: ItemTextRecipe,
    data: TextData,
    *,
    context: RunContext,
) -> Iterator[Epoch | Part]:
    """Yields one `Epoch` each, and last the trained part."""
    torch.manual_seed(context.seed)
    index = index_pairs(data.pairs, data.domains)
    model, tokenizer, full = _start(recipe, data, index)
    domains = index.named_domains(min_pairs=recipe.expert_pairs) if model.config.experts else []
    yield from _fit(
        recipe,
        (model.to(context.device), tokenizer),
        data,
        index,
        full=full.to(context.device) if full else None,
        domains=domains,
        label_dropout=recipe.label_dropout if model.config.experts else 0.0,
        name=context.name,
        about={"recipe": asdict(recipe), "seed": context.seed},
        context=context,
    )


def add_domain(
    recipe: ItemTextRecipe,
    start: Part,
    data: TextData,
    *,
    domain: str,
    context: RunContext,
) -> Iterator[Epoch | Part]:
    """As `train`, for the encoder `start` with one more expert: only this is trained, on pairs of `domain`.

    It starts as a copy of the general one. All other weights, and so the vectors of all other domains, keep their bits.
    """
    torch.manual_seed(context.seed)
    old, tokenizer = load_text_model(start)
    model = with_expert(old)
    new = old.config.experts
    model.requires_grad_(requires_grad=False)
    for weight in expert_parameters(model, new):
        weight.requires_grad_()
    yield from _fit(
        replace(recipe, keep=0.0, salad_stay=0.0),  # these regularise shared weights, which are frozen
        (model.to(context.device), tokenizer),
        data,
        index_pairs(data.pairs, data.domains),
        full=None,
        domains=[*start.config["domains"], domain],
        label_dropout=0.0,
        name=start.name,
        about={key: start.config[key] for key in ("recipe", "seed")},  # those of the shared weights
        context=context,
    )


def _fit(
    recipe: ItemTextRecipe,
    encoder: tuple[TextEncoder, TextTokenizer],
    data: TextData,
    index: PairIndex,
    *,
    full: TextEncoder | None,
    domains: Sequence[str],
    label_dropout: float,
    name: str,
    about: dict[str, Any],
    context: RunContext,
) -> Iterator[Epoch | Part]:
    """Trains an encoder with experts for `domains`; a share `label_dropout` of the batches hides its domain."""
    model, tokenizer = encoder
    interpolated = recipe.keep > 0 and recipe.start != "random"
    start = {key: weight.clone() for key, weight in model.state_dict().items()} if interpolated else {}
    objective = ContrastiveObjective(recipe, model, tokenizer, data, index, domains=domains, seed=context.seed)
    objective.fill_memory_bank(full)
    yield from run(
        objective,
        batches=lambda generator: text_batches(
            index,
            batch_size=recipe.texts,
            positives_per_anchor=recipe.beside,
            domain_sampling_power=recipe.power,
            label_dropout=label_dropout,
            generator=generator,
        ),
        loss=objective,
        validate=None,
        config=recipe.loop,
        context=context,
        faster=lambda name: recipe.expert_rate if ".experts." in name or ".domains." in name else 1.0,
    )
    if interpolated:
        _interpolate(model, start, keep=recipe.keep)
    yield text_part(
        objective.encoder,
        name=name,
        tokenizer=tokenizer.definition,
        domains=domains,
        offered=objective.pairs,
        about=about,
    )


def _start(
    recipe: ItemTextRecipe, data: TextData, index: PairIndex
) -> tuple[TextEncoder, TextTokenizer, TextEncoder | None]:
    """The encoder before its first step, with experts where there are several domains, its tokenizer, and the full checkpoint
    where the encoder is only its first layers.
    """
    full: TextEncoder | None = None
    if recipe.start == "random":
        definition = train_tokenizer((sanitize_text(text) for text in data.texts), vocabulary=recipe.vocabulary)
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
        checkpoint = load_text_encoder(recipe.start, max_length=recipe.max_length).encoder
        full = checkpoint if checkpoint.config.layers > recipe.layers else None
        tokenizer = TextTokenizer(pretrained.tokenizer, max_length=model.config.max_length)
    domains = index.named_domains(min_pairs=recipe.expert_pairs)
    if recipe.depth and len(domains) > 1:
        model = with_experts(model, experts=len(domains) + 1, layers=recipe.depth, cls=tokenizer.cls)
    for frozen in (model.tokens, model.positions, model.norm, *model.layers[: recipe.frozen]) if recipe.frozen else ():
        frozen.requires_grad_(False)
    return model, tokenizer, full


@torch.no_grad()
def _interpolate(model: TextEncoder, start: dict[str, Tensor], *, keep: float) -> None:
    """Replaces the weights by a mean with those of the start, whose share is `keep`.

    Source: WiSE-FT (arXiv:2109.01903), section 3: on data unlike what was trained on, the mean is better than either.
    """
    for key, weight in model.state_dict().items():
        weight.lerp_(start[key].to(weight.device), keep)
