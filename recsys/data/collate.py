"""Histories to padded tensors, in batches of like length."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.batch import FIRST_ITEM, ItemBatch, Timeline
from recsys.data.history import Rows


def collate(histories: Sequence[Rows], *, device: torch.device | str = "cpu") -> ItemBatch:
    """Rows of each history, padded on the right to the longest (to 1 if all are empty)."""
    lengths = np.array([len(rows) for rows in histories])
    width = max(1, int(lengths.max(initial=0)))
    real = np.arange(width) < lengths[:, None]
    items = np.zeros((len(histories), width), dtype=np.int64)
    items[real] = np.concatenate([*histories, np.empty(0, dtype=np.int64)]) + FIRST_ITEM
    order = np.broadcast_to(np.arange(width), items.shape).copy()
    when = Timeline(torch.from_numpy(real).to(device), torch.from_numpy(order).to(device))
    return ItemBatch(torch.from_numpy(items).to(device), when)


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
