"""The space of an index: the encoder of its vectors, after how many layers, and how many of their numbers.

Vectors of two spaces have the same shape and mean different things, so nothing but this header tells them apart.
"""

from dataclasses import dataclass

from recsys.errors import BundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """`encoder` is the hash of the encoder's part."""

    encoder: str
    layers: int
    dims: int

    def __str__(self) -> str:
        return f"encoder {self.encoder[:12]}, {self.layers} layers, {self.dims} dims"

    def must_be(self, other: "Space", *, what: str) -> None:
        """Raises BundleError: `what` is of another space."""
        if self != other:
            raise BundleError(
                f"{what} is of {other}, not of {self}: vectors of different spaces never mix; build it again"
            )
