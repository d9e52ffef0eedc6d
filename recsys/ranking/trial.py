"""One question to every part of a bundle before it serves: settings that no check of types and shapes finds wrong show here."""

import numpy as np

from recsys.data.history import History
from recsys.errors import BundleError, RecsysError
from recsys.ranking import pipeline
from recsys.ranking.pipeline import Model, RankingOptions
from recsys.retrieval.lists.serving import CONTINUE, ListServingModel
from recsys.retrieval.lists.sparse import ListQuery
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.source import Query

MAX_REASON = 200


def check_answers(items: ServingModel, lists: ListServingModel, *, size: int) -> None:
    """Ranks after a history of the first two of `size` items by each part.

    Raises:
        BundleError: a part fails to.
    """
    history, allowed = History.undated(np.arange(min(size, 2))), np.ones(size, dtype=np.bool_)
    for name in (*items.sources, *items.fusions):
        _ask(items, Query(history, allowed), name)
    for name in (*lists.sources, *([CONTINUE] if lists.fusion else [])):
        _ask(lists, ListQuery(history, allowed, name="a name"), name)
    for name, encoder in lists.encoders.items():
        if not np.isfinite(encoder.encode([history.rows])).all():
            raise BundleError(f"part {name!r} has vectors of lists that are no numbers; train it again")


def _ask(model: Model, query: Query, part: str) -> None:
    try:
        _ = model.text_encoders
        ranking = pipeline.rank(model, [query], RankingOptions(part=part, k=3))
        if not np.isfinite(ranking.scores[ranking.rows >= 0]).all():
            raise ArithmeticError("its scores are infinite")
    except RecsysError:
        raise
    except Exception as error:  # whatever wrong settings make of it
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
        raise BundleError(f"part {part!r} cannot answer ({reason}); train it again") from error
