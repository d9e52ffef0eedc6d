"""A model that writes, asked for continuations: its vocabulary are candidates that retrieval has found."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.decoders.beam import Beams, beam_search
from models.decoders.constraints import DecodingConstraints, State, StepDecoder
from models.decoders.diverse_beam import diverse_beam_search
from recsys.data.history import Rows
from recsys.retrieval.lists.encoder import DecodedList, DecodingConfig
from recsys.retrieval.source import Scores

REPEATED = 2
"""Where items may come twice, no run of this many does."""


def decoded(
    writer: StepDecoder[State],
    *,
    among: Rows,
    known: NDArray[np.bool_],
    prior: Scores | None,
    groups: NDArray[np.int64] | None,
    wanted: DecodingConfig,
) -> list[DecodedList]:
    """`wanted.alternatives` different lists of rows `among` (those that are `known`), the most probable by model and prior
    first; fewer where the strength is too small to make more.

    Without any strength they are the best of one beam, which differ little.
    """
    rules = DecodingConstraints(
        allowed=torch.from_numpy(known),
        block=REPEATED if wanted.repeats else 1,
        prior=None if prior is None else torch.from_numpy(prior),
        group=None if groups is None else torch.from_numpy(numbered(groups)),
        same_group=wanted.same_group if groups is not None else 0.0,
        most_of_group=wanted.most_of_group if groups is not None else None,
    )
    if wanted.alternatives == 1 or not wanted.strength:
        width = wanted.width * wanted.alternatives
        beams = beam_search(writer, length=wanted.length, width=width, rules=rules)
        lists = _best(beams, among, many=wanted.alternatives, prior=rules.prior)
    else:
        found = diverse_beam_search(
            writer,
            length=wanted.length,
            groups=wanted.alternatives,
            width=wanted.width,
            strength=wanted.strength,
            rules=rules,
        )
        lists = [one for beams in found for one in _best(beams, among, many=1, prior=rules.prior)]
    different = {one.rows.tobytes(): one for one in reversed(lists)}.values()
    return sorted(different, key=lambda one: -one.total_score)


def numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups by the numbers from 0 on, and -1 for none."""
    _, numbers = np.unique(np.concatenate([[-1], groups]), return_inverse=True)
    return numbers[1:].astype(np.int64) - 1


def _best(beams: Beams, among: Rows, *, many: int, prior: Tensor | None) -> list[DecodedList]:
    items, own = beams.items[:many], beams.log_probability[:many]
    worth = own if prior is None else own + prior[items].sum(dim=1)
    told = zip(items.numpy(), own.tolist(), worth.tolist(), strict=True)
    return [DecodedList(among[places], *figures) for places, *figures in told]
