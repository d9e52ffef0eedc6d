"""The planted world and one source of every kind, fitted once."""

import pytest

from recsys.retrieval.source import StoredSource
from tests.retrieval.kinds import SINGLE, fitted
from tests.retrieval.worlds import World, world


@pytest.fixture(scope="package")
def planted() -> World:
    return world()


@pytest.fixture(scope="package")
def sources(planted: World) -> dict[str, StoredSource]:
    """One of every kind but fusions."""
    return {name: fitted(name, planted) for name in SINGLE}
