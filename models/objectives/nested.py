"""Which (layers, dims) pairs of a nested encoder are trained in a step.

Sources: fixed pairs, Starbucks (arXiv:2410.13230), section 3.1. One random layer and one random width a step, 2DMSE
(arXiv:2402.14776), section 3.2, which Starbucks shows to be worse than separate models at every size.
"""

from collections.abc import Sequence

import numpy as np

from models.errors import ConfigError

Pair = tuple[int, int]
"""(layers, dims)."""


def checked_pairs(pairs: Sequence[Pair], *, layers: int, dim: int) -> tuple[Pair, ...]:
    """The distinct pairs, deepest first, always with that of the whole encoder.

    Raises:
        ConfigError: a pair that the encoder does not have.
    """
    for at, width in pairs:
        if not (1 <= at <= layers and 1 <= width <= dim):
            raise ConfigError(f"pair ({at}, {width}): this encoder has 1 to {layers} layers and 1 to {dim} dims")
    return tuple(sorted({*pairs, (layers, dim)}, reverse=True))


def sampled_pairs(
    generator: np.random.Generator, *, layers: int, dim: int, offered: Sequence[Pair] = ()
) -> tuple[Pair, ...]:
    """The pairs of one step of 2DMSE: all four of {all layers, fewer} x {all dims, fewer}, a power of two or one of `offered`."""
    widths = sorted({2**power for power in range(3, 12)}.union(width for _, width in offered))
    widths = [width for width in widths if width < dim] or [dim]
    at = int(generator.integers(1, max(2, layers)))
    width = int(generator.choice(widths))
    return tuple(dict.fromkeys([(layers, dim), (layers, width), (at, dim), (at, width)]))
