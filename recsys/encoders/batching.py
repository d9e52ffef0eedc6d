"""Batches of like length, so that little of them is padding."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def length_buckets(
    lengths: NDArray[np.int64], *, tokens: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Every index once, in batches whose padded size stays within `tokens` (one long history may exceed it alone).

    Neighbours in length share a batch; ties and the order of batches are random.
    """
    order = np.lexsort((generator.random(len(lengths)), lengths))
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or lengths[order[end]] * (end - start + 1) > tokens
        if full:
            batches.append(order[start:end])
            start = end
    for index in generator.permutation(len(batches)):
        yield batches[index]
