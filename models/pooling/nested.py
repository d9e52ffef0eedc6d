"""Matryoshka cuts: the first numbers of a vector are a vector of their own.

Source: Matryoshka Representation Learning (arXiv:2205.13147), section 3: each prefix is normalised anew, or cosine means nothing.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from models.errors import ConfigError


def truncate(x: Float[Tensor, "batch dim"], dims: int | None) -> Float[Tensor, "batch cut"]:
    """The first `dims` numbers of each row at length 1 (None: all of them); a row of zeros stays one.

    Raises:
        ConfigError: more numbers than there are, or none.
    """
    dims = x.shape[1] if dims is None else dims
    if not 1 <= dims <= x.shape[1]:
        raise ConfigError(f"dims={dims}: these vectors have 1 to {x.shape[1]}")
    return F.normalize(x[:, :dims], dim=-1)
