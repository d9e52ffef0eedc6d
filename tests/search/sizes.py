"""What the tests of searching by text agree on."""

from recsys.service import Answer, Recommender
from recsys.store import Store
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
SIZES = ((1, 8), (2, 16), (3, 16))


def said(answer: Answer) -> list[str]:
    """What of a question was not done as asked."""
    return [one.what for one in answer.degraded]
