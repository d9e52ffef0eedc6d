"""Arrays of parts, checked when they are read back: a wrong length would be met by the first question, not at the load."""

from typing import Any

import scipy.sparse as sp
from numpy.typing import NDArray


def stored_csr(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], *, shape: tuple[int, int]
) -> sp.csr_matrix:
    """The matrix of these arrays. scipy alone looks at their lengths, and later reads memory at whatever columns they name.

    Raises:
        ValueError: they are no matrix of this shape.
    """
    if indices.dtype.kind != "i" or indptr.dtype.kind != "i":
        raise ValueError(f"columns and starts of rows are integers, not {indices.dtype} and {indptr.dtype}")
    matrix = sp.csr_matrix((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    if len(indices) != indptr[-1]:
        raise ValueError(f"{len(indices)} entries, and rows that end at {indptr[-1]}")
    return matrix


def check_shapes(arrays: dict[str, NDArray[Any]], **shapes: tuple[int, ...]) -> None:
    """Does nothing if each named array has its shape.

    Raises:
        ValueError: one has another.
        KeyError: one is missing.
    """
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has the shape {arrays[name].shape}, not {shape}")
