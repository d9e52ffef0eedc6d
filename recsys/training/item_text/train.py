"""The recipe `item-text`: a text encoder taught which items of a catalogue go together; `text_steps` says how."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.encoders.text import TextEncoder, TextEncoderConfig, expert_parameters, with_expert, with_experts
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Part
from recsys.encoders.catalogue import load_text_model, text_part
from recsys.encoders.normalize import sanitize_text
from recsys.encoders.tokenizer import TextTokenizer, train_tokenizer
from recsys.training.item_text.batches import PairIndex, index_pairs, text_batches
from recsys.training.item_text.config import NAME, ItemTextRecipe, TextData
from recsys.training.item_text.objective import ContrastiveObjective
from recsys.training.loop import Epoch, run

WIDTH = 384
"""Of a random start, if nothing is said."""


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
    learned = index_pairs(data.pairs, data.domains)
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
        about={"recipe": asdict(recipe), "seed": seed},
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
    old, tokenizer = load_text_model(start)
    model = with_expert(old)
    new = old.config.experts
    model.requires_grad_(requires_grad=False)
    for weight in expert_parameters(model, new):
        weight.requires_grad_()
    yield from _taught(
        replace(
            recipe, keep=0.0, salad_stay=0.0
        ),  # only the new expert learns, and freely: all that others read stands still
        (model.to(device), tokenizer),
        data,
        index_pairs(data.pairs, data.domains),
        whole=None,
        domains=[*start.config["domains"], domain],
        general=0.0,
        name=start.name,
        about={key: start.config[key] for key in ("recipe", "seed")},  # what all that is shared was trained with
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
    )


def _taught(
    recipe: ItemTextRecipe,
    encoder: tuple[TextEncoder, TextTokenizer],
    data: TextData,
    learned: PairIndex,
    *,
    whole: TextEncoder | None,
    domains: Sequence[str],
    general: float,
    name: str,
    about: dict[str, Any],
    seed: int,
    checkpoint: Path | None,
    resume: bool,
) -> Iterator[Epoch | Part]:
    """Trains an encoder with its tokenizer, whose experts read `domains`; a share `general` of the batches hides its own."""
    model, tokenizer = encoder
    interpolated = recipe.keep > 0 and recipe.start != "random"
    start = {key: weight.clone() for key, weight in model.state_dict().items()} if interpolated else {}
    teacher = ContrastiveObjective(recipe, model, tokenizer, data, learned, domains=domains, seed=seed)
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
    if interpolated:
        _interpolate(model, start, keep=recipe.keep)
    yield text_part(
        teacher.encoder,
        name=name,
        tokenizer=tokenizer.definition,
        domains=domains,
        offered=teacher.pairs,
        about=about,
    )


def _start(
    recipe: ItemTextRecipe, data: TextData, learned: PairIndex
) -> tuple[TextEncoder, TextTokenizer, TextEncoder | None]:
    """The encoder before its first step, with experts where there are domains to tell apart, its tokenizer, and the whole
    checkpoint where the encoder is only the first layers of it.
    """
    whole = None
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
        found = load_text_encoder(recipe.start, max_length=recipe.max_length).encoder
        whole = found if found.config.layers > recipe.layers else None
        tokenizer = TextTokenizer(pretrained.tokenizer, max_length=model.config.max_length)
    named = learned.named(recipe.expert_pairs)
    if recipe.depth and len(named) > 1:
        model = with_experts(model, experts=len(named) + 1, layers=recipe.depth, cls=tokenizer.cls)
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
