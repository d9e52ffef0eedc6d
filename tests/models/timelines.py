"""Timelines for tests."""

import torch

from models.batch import Timeline


def timeline(*lengths: int, width: int | None = None) -> Timeline:
    """Histories of these lengths, padded on the right."""
    order = torch.arange(width or max(lengths)).expand(len(lengths), -1)
    return Timeline(order < torch.tensor(lengths)[:, None], order)


def event(when: Timeline, number: int) -> Timeline:
    """The timeline of the event `number` (from 0) of every row alone."""
    part = slice(number, number + 1)
    return Timeline(when.real[:, part], when.order[:, part], None if when.at is None else when.at[:, part])
