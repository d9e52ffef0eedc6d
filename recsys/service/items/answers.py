"""Ranked rows as items of an answer."""

from recsys.ranking.pipeline import Ranking
from recsys.retrieval.source import Explanation
from recsys.service.items.questions import Because, Scored
from recsys.service.state.catalogue import Catalogue


def scored_items(catalogue: Catalogue, ranking: Ranking, query: int) -> tuple[Scored, ...]:
    """The items of one query, best first."""
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
        Scored(ids[row], titles[row], score, *of_row, reason)
        for row, score, of_row, reason in zip(rows, scores, sources, reasons, strict=True)
    )


def because(catalogue: Catalogue, explanation: Explanation) -> tuple[Because, ...]:
    """An explanation by items."""
    return tuple(
        Because(catalogue.item_ids[reason.row], catalogue.titles[reason.row], reason.weight) for reason in explanation
    )
