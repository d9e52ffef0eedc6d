"""The figures of the RecSys challenge 2018 on lists that were continued.

Source: Chen, Lamere, Schedl and Zamani (RecSys 2018). R-precision is over items alone, without the share that the challenge
gives for an artist.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.metrics.ranking import PerCase

LISTED = 500
PAGE = 10
"""Items that a user sees before clicking for more."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """One number per list; the fewer `clicks` the better, 51 where nothing was found."""

    r_precision: PerCase
    ndcg: PerCase
    clicks: PerCase


def figures(rows: NDArray[np.int64], withheld: Sequence[NDArray[np.int64]]) -> Figures:
    """Of the ranked `rows` (lists, up to 500), -1 where there is none, against the distinct `withheld` items of each list."""
    hits = np.stack([np.isin(found, wanted) & (found >= 0) for found, wanted in zip(rows, withheld, strict=True)])[
        :, :LISTED
    ]
    sizes = np.array([len(wanted) for wanted in withheld])
    place = np.arange(hits.shape[1])
    gains = 1 / np.log2(place + 2)
    ideal = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(LISTED) + 2))])[np.minimum(sizes, LISTED)]
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) // PAGE, LISTED // PAGE + 1)
    within = (hits & (place < sizes[:, None])).sum(axis=1) / np.maximum(sizes, 1)
    return Figures(within, hits @ gains / np.maximum(ideal, 1e-12), first.astype(np.float64))
