"""Timelines for tests."""

import torch

from models.batch import Timeline


def timeline(*lengths: int, width: int | None = None) -> Timeline:
    """Histories of these lengths, padded on the right."""
    order = torch.arange(width or max(lengths)).expand(len(lengths), -1)
    return Timeline(order < torch.tensor(lengths)[:, None], order)
