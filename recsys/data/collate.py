"""Histories to padded tensors."""

from collections.abc import Sequence

import numpy as np
import torch

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
