"""What a recipe is: how one type of part is trained, and fitted again with the settings chosen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.splits import Split
from recsys.training.lists.common import ListRecipe
from recsys.training.plan import Plan, Progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HistoryInputs:
    """What parts for items learn from: histories by fold, and the text vectors (items, text_dim) of the catalogue."""

    folds: Split
    text: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TwoStageFit:
    """One part fitted twice with the same settings: for `selection` without the validation events, for `refit` with them."""

    selection: Part
    refit: Part


Trainer = Callable[[str, Any, Plan], Iterator[Progress | TwoStageFit | Part]]
"""Trains the part of a name from inputs: yields progress, and last what it made."""

Refitter = Callable[[Part, Any, Plan], Iterator[Progress | Part]]
"""Fits a part again from other inputs with the settings and epochs that it holds: yields progress, and last the new part."""

LearnsFrom = Literal["histories", "list blend", "playlists", "corpus"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """`learns_from` says from what `train` learns and what it ends with, and from what `refit` learns:

    * `histories`: `HistoryInputs`; a `TwoStageFit`. Refitted on `FitInputs`.
    * `list blend`: `ListInputs`; a `Part`. Refitted on the same without validation lists. Not trained by its name.
    * `playlists`: `recsys.training.lists.encoders.EncoderInputs`; a `Part`. Refitted on all lists of the same.
    * `corpus`: `recsys.training.item_text.recipe.CorpusInputs`; a `Part`. Never refitted: it learns texts, not events.
    """

    learns_from: LearnsFrom
    train: Trainer
    refit: Refitter | None = None
    settings: Callable[[str, Plan], ListRecipe] | None = None
    """Of what learns from playlists: they are checked, and say whether the items' texts are read, before these are encoded."""
