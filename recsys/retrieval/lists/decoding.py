"""Continuations by a step decoder: its vocabulary are candidates that retrieval has found."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.decoders.beam import Beams
from models.decoders.constraints import DecodingConstraints, State, StepDecoder
from models.decoders.diverse_beam import diverse_beam_search
from recsys.data.history import Rows
from recsys.retrieval.lists.encoder import DecodedList, DecodingConfig
from recsys.retrieval.source import Scores

REPEATED = 2
"""Where items may come twice, no run of this many does."""


def decode_lists(
    decoder: StepDecoder[State],
    *,
    candidates: Rows,
    known: NDArray[np.bool_],
    prior: Scores | None,
    groups: NDArray[np.int64] | None,
    config: DecodingConfig,
) -> list[DecodedList]:
    """`config.alternatives` lists of those `candidates` that are `known`, no two of the same items, the most probable by model
    and prior first; fewer where candidates run out.
    """
    rules = DecodingConstraints(
        allowed=torch.from_numpy(known),
        no_repeat_ngram_size=REPEATED if config.repeats else 1,
        logit_bias=None if prior is None else torch.from_numpy(prior),
        group=None if groups is None else torch.from_numpy(numbered(groups)),
        same_group=config.same_group if groups is not None else 0.0,
        most_of_group=config.most_of_group if groups is not None else None,
    )
    by_group = diverse_beam_search(
        decoder,
        length=config.length,
        groups=config.alternatives,
        width=config.width,
        strength=config.strength,
        constraints=rules,
        distinct=True,
    )
    lists = [_best(beams, candidates, prior=rules.logit_bias) for beams in by_group if len(beams.items)]
    different = {np.sort(decoded.rows).tobytes(): decoded for decoded in reversed(lists)}.values()
    return sorted(different, key=lambda decoded: -decoded.total_score)


def numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups by the numbers from 0 on, and -1 for none."""
    _, numbers = np.unique(np.concatenate([[-1], groups]), return_inverse=True)
    return numbers[1:].astype(np.int64) - 1


def _best(beams: Beams, candidates: Rows, *, prior: Tensor | None) -> DecodedList:
    items, log_probability = beams.items[0], float(beams.log_probability[0])
    total = log_probability if prior is None else log_probability + float(prior[items].sum())
    return DecodedList(candidates[items.numpy()], log_probability, total)
