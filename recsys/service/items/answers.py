"""Ranked rows as items of an answer."""

import numpy as np

from recsys.data.history import History
from recsys.ranking.pipeline import Ranking
from recsys.retrieval.source import Explanation
from recsys.service.items.questions import Because, Repeat, Scored
from recsys.service.state.catalogue import Catalogue

DAY = 86_400.0


def scored_items(catalogue: Catalogue, history: History, ranking: Ranking, query: int) -> tuple[Scored, ...]:
    """The items of one query after `history`, best first."""
    ids, titles, size = catalogue.item_ids, catalogue.titles, len(ranking.attributions[query])
    rows, scores = ranking.rows[query, :size].tolist(), ranking.scores[query, :size].tolist()
    sources = ranking.attributions[query]
    if ranking.explanations is None:
        return tuple(
            Scored(ids[row], titles[row], score, *of_row)
            for row, score, of_row in zip(rows, scores, sources, strict=True)
        )
    reasons = [because(catalogue, explanation) for explanation in ranking.explanations[query]]
    return tuple(
        Scored(ids[row], titles[row], score, *of_row, reason, repeat(history, row))
        for row, score, of_row, reason in zip(rows, scores, sources, reasons, strict=True)
    )


def repeat(history: History, row: int) -> Repeat | None:
    """How often the item of `row` came in `history`, and in what rhythm; None where it is new."""
    events = np.flatnonzero(history.rows == row)
    if not len(events):
        return None
    gaps = max(len(events) - 1, 1)
    sessions = np.unique(history.sessions, return_inverse=True)[1][events[[0, -1]]]
    days = float(np.diff(history.at[events[[0, -1]]])[0]) / DAY / gaps
    if len(events) == 1:
        return Repeat(1, None, None)
    return Repeat(len(events), float(np.diff(sessions)[0]) / gaps, None if np.isnan(days) else days)


def because(catalogue: Catalogue, explanation: Explanation) -> tuple[Because, ...]:
    """An explanation by items."""
    return tuple(
        Because(catalogue.item_ids[reason.row], catalogue.titles[reason.row], reason.weight) for reason in explanation
    )
