"""All kinds of simple source: how each is fitted, and how every stored part is read back."""

from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.errors import BundleError
from recsys.retrieval.ease import EaseConfig, fit_ease
from recsys.retrieval.factors import AlsConfig, AlsSource, BprConfig, BprSource, fit_als, fit_bpr
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.neighbours import NeighboursConfig, fit_neighbours
from recsys.retrieval.popular import PopularConfig, PopularSource, fit_popular
from recsys.retrieval.sequence import SequenceSource
from recsys.retrieval.source import Source
from recsys.retrieval.text import TextConfig, TextSource, fit_text

LinearConfig = EaseConfig | MarkovConfig | NeighboursConfig
FactorsConfig = AlsConfig | BprConfig
SourceConfig = LinearConfig | FactorsConfig | PopularConfig | TextConfig


class StoredSource(Source, Protocol):
    """A source that can be put into a bundle."""

    def part(self, name: str) -> Part: ...


def fit(config: SourceConfig, dataset: Dataset, *, text: NDArray[np.float32] | None, seed: int) -> StoredSource:
    """The source that `config` describes; `text` (items, text_dim) is needed by text neighbours alone."""
    match config:
        case MarkovConfig() | NeighboursConfig() | EaseConfig():
            return fit_linear(config, dataset)
        case AlsConfig():
            return fit_als(dataset, config, seed=seed)
        case BprConfig():
            return fit_bpr(dataset, config, seed=seed)
        case PopularConfig():
            return fit_popular(dataset, config)
        case TextConfig():
            assert text is not None
            return fit_text(text, config)
    assert_never(config)


def fit_linear(config: LinearConfig, dataset: Dataset) -> ItemItemSource:
    """The item-item source that `config` describes."""
    match config:
        case MarkovConfig():
            return fit_markov(dataset, config)
        case NeighboursConfig():
            return fit_neighbours(dataset, config)
        case EaseConfig():
            return fit_ease(dataset, config)
    assert_never(config)


def restore(part: Part) -> StoredSource:
    """The source that was stored as `part`.

    Raises:
        BundleError: its kind is unknown here, or its arrays do not fit its settings.
    """
    try:
        return _restored(part)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error


def _restored(part: Part) -> StoredSource:
    match part.kind:
        case "linear":
            return ItemItemSource.from_part(part)
        case "als":
            return AlsSource.from_part(part)
        case "bpr":
            return BprSource.from_part(part)
        case "popular":
            return PopularSource.from_part(part)
        case "text":
            return TextSource.from_part(part)
        case "sequence":
            return SequenceSource.from_part(part)
        case _:
            raise BundleError(
                f"part {part.name!r} is of kind {part.kind!r}, unknown to this version: upgrade or train again"
            )
