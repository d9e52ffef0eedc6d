"""A model that writes, asked for continuations: its vocabulary are candidates that retrieval has found."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.decoders.beam import Beams, beam_search
from models.decoders.diverse_beam import diverse_beam_search
from models.decoders.rules import Rules, State, Writer
from recsys.data.history import Rows
from recsys.retrieval.lists.encoder import Continued, Decoding
from recsys.retrieval.source import Scores

REPEATED = 2
"""Where items may come twice, no run of this many does."""


def decoded(
    writer: Writer[State],
    *,
    among: Rows,
    known: NDArray[np.bool_],
    prior: Scores | None,
    groups: NDArray[np.int64] | None,
    wanted: Decoding,
) -> list[Continued]:
    """`wanted.alternatives` lists of rows `among` (those that are `known`), most probable first.

    Without any strength they are the best of one beam, which differ little.
    """
    rules = Rules(
        allowed=torch.from_numpy(known),
        block=REPEATED if wanted.repeats else 1,
        prior=None if prior is None else torch.from_numpy(prior),
        group=None if groups is None else torch.from_numpy(groups),
        same_group=wanted.same_group if groups is not None else 0.0,
    )
    if wanted.alternatives == 1 or not wanted.strength:
        beam = beam_search(writer, length=wanted.length, width=wanted.beams, rules=rules)
        lists = _best(beam, among, many=wanted.alternatives)
    else:
        found = diverse_beam_search(
            writer,
            length=wanted.length,
            groups=wanted.alternatives,
            width=max(1, wanted.beams // wanted.alternatives),
            strength=wanted.strength,
            rules=rules,
        )
        lists = [one for beams in found for one in _best(beams, among, many=1)]
    return sorted(lists, key=lambda one: -one.log_probability)


def _best(beams: Beams, among: Rows, *, many: int) -> list[Continued]:
    pairs = zip(beams.items[:many].numpy(), beams.log_probability[:many].tolist(), strict=True)
    return [Continued(among[items], log_probability) for items, log_probability in pairs]
