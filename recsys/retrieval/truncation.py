"""The sizes at which a nested text encoder may be asked: so many layers, so many numbers of the vector.

Which are offered stands in its part, what each was measured to cost and give among the part's figures. One that falls behind
a model of its size that was trained alone is withheld: whoever asks for it gets the next larger one, and is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsys.bundle import Part
from recsys.errors import InvalidRequest

MIN_RETAINED = 0.97
"""Least share of the quality of a model of the same size that was trained alone."""

Unmet = tuple[str, str]
"""What was asked and not done, and why."""


@dataclass(frozen=True, slots=True, order=True)
class Truncation:
    """The first `dims` numbers of vectors after `layers` layers."""

    layers: int
    dims: int

    def __str__(self) -> str:
        return f"{self.layers} layer{'s' * (self.layers > 1)} x {self.dims} dim{'s' * (self.dims > 1)}"


@dataclass(frozen=True, slots=True)
class MeasuredTruncation:
    """One size with what was measured at it; `withheld` says why it is not served, where it is not."""

    size: Truncation
    figures: Mapping[str, Any]
    withheld: str | None

    def shown(self) -> dict[str, Any]:
        """As `GET /v1/models` lists it."""
        own = {"layers": self.size.layers, "dims": self.size.dims, "bytes": 4 * self.size.dims}
        return own | {"figures": dict(self.figures), "withheld": self.withheld}


@dataclass(frozen=True, slots=True)
class Truncations:
    """All sizes that the encoder `name` was trained for, cheapest first; the last is the whole encoder, never withheld."""

    name: str
    settings: tuple[MeasuredTruncation, ...]

    @property
    def whole(self) -> Truncation:
        return self.settings[-1].size

    @property
    def served(self) -> tuple[Truncation, ...]:
        return tuple(setting.size for setting in self.settings if setting.withheld is None)

    def choose(self, *, layers: int | None, dims: int | None) -> tuple[Truncation, list[Unmet]]:
        """The cheapest size served with at least so many layers and dims, and what of the question that is not.

        Left out, `layers` are all of them, `dims` as many as are served after so many layers.

        Raises:
            InvalidRequest: more than the encoder has, or none.
        """
        for what, asked, most in (("layers", layers, self.whole.layers), ("dims", dims, self.whole.dims)):
            if asked is not None and not 1 <= asked <= most:
                raise InvalidRequest(f"{what}={asked}: {self.name} has 1 to {most}")
        at = self.whole.layers if layers is None else layers
        widest = max((size.dims for size in self.served if size.layers == at), default=self.whole.dims)
        asked_for = Truncation(at, widest if dims is None else dims)
        size = next(one for one in self.served if one.layers >= asked_for.layers and one.dims >= asked_for.dims)
        if size == asked_for:
            return size, []
        why = f"{self._why_not(asked_for)}; answered at {size}"
        changed = (("layers", size.layers != asked_for.layers), ("dims", size.dims != asked_for.dims))
        return size, [(what, why) for what, differs in changed if differs]

    def _why_not(self, size: Truncation) -> str:
        for setting in self.settings:
            if setting.size == size and setting.withheld:
                return f"{size} is withheld: {setting.withheld}"
        return f"{self.name} does not offer {size}, but {', '.join(map(str, self.served))}"


def truncations_of(part: Part, *, added: str | None = None) -> Truncations:
    """What the text encoder stored as `part` offers, with the figures measured on it, or on the domain `added` to it alone."""
    whole = _by_size(part.figures.get("settings", []))
    measured = whole if added is None else _by_size(part.figures["added"][added])
    sizes = sorted(Truncation(layers, dims) for layers, dims in part.config["offered"])
    settings = []
    for size in sizes:
        figures = {name: value for name, value in measured.get(size, {}).items() if name not in ("layers", "dims")}
        share = None if size == sizes[-1] else whole.get(size, {}).get("of_separate")
        settings.append(MeasuredTruncation(size, figures, _why_withheld(share)))
    return Truncations(part.name, tuple(settings))


def _by_size(figures: Sequence[Mapping[str, Any]]) -> dict[Truncation, Mapping[str, Any]]:
    return {Truncation(one["layers"], one["dims"]): one for one in figures}


def _why_withheld(share: float | None) -> str | None:
    if share is None or share >= MIN_RETAINED:
        return None
    return f"it keeps {share:.3f} of what a model of that size trained alone reaches, below {MIN_RETAINED}"
