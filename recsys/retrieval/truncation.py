"""Truncations of a nested text encoder: so many layers, so many numbers of the vector.

Which are offered stands in its part, what each was measured to cost and give among the part's figures. One that falls behind
a model of its size that was trained alone is withheld: whoever asks for it gets the next larger one, and a warning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsys.bundle import Part
from recsys.errors import Degraded, InvalidRequest

MIN_RETAINED = 0.97
"""Least share of the quality of a model of the same size that was trained alone."""


@dataclass(frozen=True, slots=True, order=True)
class Truncation:
    """The first `dims` numbers of vectors after `layers` layers."""

    layers: int
    dims: int

    def __str__(self) -> str:
        return f"{self.layers} layer{'s' * (self.layers > 1)} x {self.dims} dim{'s' * (self.dims > 1)}"


@dataclass(frozen=True, slots=True)
class MeasuredTruncation:
    """One truncation with what was measured at it; `withheld` says why it is not served, where it is not."""

    at: Truncation
    figures: Mapping[str, Any]
    withheld: str | None

    def as_json(self) -> dict[str, Any]:
        """As `GET /v1/models` lists it."""
        size = {"layers": self.at.layers, "dims": self.at.dims, "bytes": 4 * self.at.dims}
        return size | {"figures": dict(self.figures), "withheld": self.withheld}


@dataclass(frozen=True, slots=True)
class Truncations:
    """All that the encoder `name` was trained for, cheapest first; the last is the whole encoder, never withheld."""

    name: str
    measured: tuple[MeasuredTruncation, ...]

    @property
    def whole(self) -> Truncation:
        return self.measured[-1].at

    @property
    def served(self) -> tuple[Truncation, ...]:
        return tuple(measured.at for measured in self.measured if measured.withheld is None)

    def choose(self, *, layers: int | None, dims: int | None) -> tuple[Truncation, list[Degraded]]:
        """The cheapest truncation served with at least so many layers and dims, and a warning where it is another.

        Left out, `layers` are all of them, `dims` as many as are served after so many layers.

        Raises:
            InvalidRequest: more than the encoder has, or none.
        """
        for option, value, most in (("layers", layers, self.whole.layers), ("dims", dims, self.whole.dims)):
            if value is not None and not 1 <= value <= most:
                raise InvalidRequest(f"{option}={value}: {self.name} has 1 to {most}")
        layers = self.whole.layers if layers is None else layers
        widest = max((other.dims for other in self.served if other.layers == layers), default=self.whole.dims)
        requested = Truncation(layers, widest if dims is None else dims)
        at = next(at for at in self.served if at.layers >= requested.layers and at.dims >= requested.dims)
        reason = f"{self._why_not(requested)}; answered at {at}"
        changed = (("layers", at.layers != requested.layers), ("dims", at.dims != requested.dims))
        return at, [Degraded(option, reason) for option, differs in changed if differs]

    def _why_not(self, at: Truncation) -> str:
        for measured in self.measured:
            if measured.at == at and measured.withheld:
                return f"{at} is withheld: {measured.withheld}"
        return f"{self.name} does not offer {at}, but {', '.join(map(str, self.served))}"


def truncations_of(part: Part, *, added: str | None = None) -> Truncations:
    """What the text encoder stored as `part` offers, with the figures measured on it, or on the domain `added` to it alone."""
    of_all = _by_truncation(part.figures.get("settings", []))
    figures = of_all if added is None else _by_truncation(part.figures["added"][added])
    offered = sorted(Truncation(layers, dims) for layers, dims in part.config["offered"])
    measured = []
    for at in offered:
        at_figures = {name: value for name, value in figures.get(at, {}).items() if name not in ("layers", "dims")}
        retained = None if at == offered[-1] else of_all.get(at, {}).get("of_separate")
        measured.append(MeasuredTruncation(at, at_figures, _why_withheld(retained)))
    return Truncations(part.name, tuple(measured))


def _by_truncation(figures: Sequence[Mapping[str, Any]]) -> dict[Truncation, Mapping[str, Any]]:
    return {Truncation(row["layers"], row["dims"]): row for row in figures}


def _why_withheld(retained: float | None) -> str | None:
    if retained is None or retained >= MIN_RETAINED:
        return None
    return f"it keeps {retained:.3f} of what a model of that size trained alone reaches, below {MIN_RETAINED}"
