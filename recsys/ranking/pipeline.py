"""The one way from queries to ranked answers: retrieve (which filters and fuses), fill up or diversify, explain.

Routes, batch scoring and the evaluation call it and nothing below it, so that what is measured is what is served. A stage that
is off costs nothing, and each may add warnings. Filters are flags of rows in a query: every source applies them as it searches.
A model that ranks candidates again belongs between retrieving and filling up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.data.continuation_cases import Order
from recsys.data.history import Rows
from recsys.errors import Degraded
from recsys.ranking.diversity import alternatives
from recsys.retrieval.explanation import merged
from recsys.retrieval.fusion import Attribution
from recsys.retrieval.lists.encoder import DecodingConfig
from recsys.retrieval.lists.serving import ListServingModel
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.source import Candidates, Explanation, Query, Scores
from recsys.retrieval.truncation import Truncation

POPULAR_STEPS = 1000
"""Steps in which the scores of items that fill up an answer fall by one."""

MIN_POOL = 200
"""Candidates from which continuations are chosen, at least. The pool is max(MIN_POOL, 2 * k * alternatives), times 10 under
`most_of_group`, because the decoder may not know some of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingOptions:
    """The `k` best rows by `part`, at `truncation` where it offers several, or for lists by how `order` counts.

    With `fill` popular items complete an answer that ends early; with `explain` each row comes with its reasons.
    """

    part: str
    k: int = 10
    truncation: Truncation | None = None
    order: Order = "sensitive"
    fill: bool = False
    explain: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The best rows of each query, best first: `rows` (queries, k) with -1 where fewer exist, `scores` alike with -inf there.

    `attributions` has the sources of each row, `explanations` its reasons, if these were asked for.
    """

    rows: NDArray[np.int64]
    scores: Scores
    attributions: list[list[Attribution]]
    explanations: list[list[Explanation]] | None = None

    def only(self, rows: Rows) -> "Ranking":
        """Some `rows` of the ranking of one query, in this order."""
        position = {row: i for i, row in enumerate(self.rows[0].tolist())}
        columns = [position[row] for row in rows.tolist()]
        attributions = [[self.attributions[0][i] for i in columns]]
        return Ranking(self.rows[:, columns], self.scores[:, columns], attributions)

    def degraded(self, query: int) -> list[Degraded]:
        """Warnings for a query: fewer rows than were asked for."""
        k, size = self.rows.shape[1], len(self.attributions[query])
        return [Degraded("k", f"only {size} of the {k} items asked for can be shown")] if size < k else []


class Model(Protocol):
    """The sources of a bundle, for items or for lists."""

    @property
    def text_encoders(self) -> frozenset[str]: ...

    def search(
        self, queries: Sequence[Query], *, k: int, name: str, truncation: Truncation | None, order: Order
    ) -> tuple[Candidates, list[list[Attribution]]]: ...

    def popular(self, query: Query, *, k: int) -> Rows: ...

    def explain(self, query: Query, rows: Rows, *, name: str, truncation: Truncation | None) -> list[Explanation]: ...


def rank(model: Model, queries: Sequence[Query], options: RankingOptions) -> Ranking:
    """The answers of `model` to `queries`."""
    ranking = _retrieve(model, queries, options)
    if options.fill:
        ranking = _fill_up(model, queries, ranking)
    return _explained(model, queries, ranking, options)


def score_catalogue(model: ServingModel, queries: Sequence[Query], *, part: str, items: int) -> Scores:
    """(queries, items): the scores of every row by a `part` that is no fusion, to rank the whole catalogue by them."""
    every = np.broadcast_to(np.arange(items), (len(queries), items))
    return model.source(part).score(queries, every)


@dataclass(frozen=True, slots=True, eq=False)
class Continuations:
    """Continuations of one list, the likeliest first, with warnings; `decoded` says that the part generated them itself."""

    rankings: Sequence[Ranking]
    degraded: Sequence[Degraded]
    decoded: bool

    def leading(self) -> set[str]:
        """The sources that contributed most to an item; where a decoder chose the items, all that had a score for one."""
        attributions = [attribution for ranking in self.rankings for attribution in ranking.attributions[0]]
        return {name for first, names in attributions for name in (names if self.decoded else (first,))}


def continue_list(
    model: ListServingModel, query: Query, config: DecodingConfig, options: RankingOptions
) -> tuple[Ranking, Continuations]:
    """The `options.k` candidates for the list of `query`, and continuations made of them."""
    pool = rank(model, [query], replace(options, explain=False))
    lists, warnings, decoded = _diversify(model, query, pool, config, part=options.part)
    rankings = [_explained(model, [query], pool.only(rows), options) for rows in lists]
    return pool, Continuations(rankings, warnings, decoded)


def _diversify(
    model: ListServingModel, query: Query, ranking: Ranking, config: DecodingConfig, *, part: str
) -> tuple[list[Rows], list[Degraded], bool]:
    """(continuations from the candidates of `ranking`, warnings, whether `part` generated them): where that is no list decoder,
    or knows none of the items, they are chosen by score."""
    size = len(ranking.attributions[0])
    rows, scores = ranking.rows[0, :size], ranking.scores[0, :size]
    if not size:
        return [], [], True
    groups = model.groups(rows)
    decoder = model.decoder(part)
    if decoder is not None:
        prior = None if model.fusion is None else scores  # without a fusion they are the decoder's own
        lists = decoder.decode(query.history.rows, candidates=rows, prior=prior, groups=groups, config=config)
        if lists:
            return [decoded.rows for decoded in lists], _groups_warnings(groups, config), True
    warnings = _groups_warnings(groups, config)
    if decoder is not None:
        reason = f"{part} knows no item of the list, or none that may follow: what was found for it is shown"
        warnings.append(Degraded("encoder", reason))
    return [rows[chosen] for chosen in alternatives(scores, groups, config)], warnings, decoder is None


def pool_size(config: DecodingConfig) -> int:
    """How many candidates continuations are chosen from."""
    pool = max(MIN_POOL, 2 * config.length * config.alternatives)
    return pool if config.most_of_group is None else 10 * pool


def _retrieve(model: Model, queries: Sequence[Query], options: RankingOptions) -> Ranking:
    candidates, attributions = model.search(
        queries, k=options.k, name=options.part, truncation=options.truncation, order=options.order
    )
    return Ranking(candidates.rows, candidates.scores, attributions)


def _fill_up(model: Model, queries: Sequence[Query], ranking: Ranking) -> Ranking:
    """Popular items, scored below everything found, where a row of `ranking` ends early."""
    k = ranking.rows.shape[1]
    short = [i for i, row in enumerate(ranking.attributions) if len(row) < k]
    if not short:
        return ranking
    rows, scores, attributions = ranking.rows.copy(), ranking.scores.copy(), list(ranking.attributions)
    for i in short:
        size = len(attributions[i])
        allowed = queries[i].allowed.copy()
        allowed[rows[i, :size]] = False
        popular = model.popular(replace(queries[i], allowed=allowed), k=k - size)
        last = float(scores[i, size - 1]) if size else 1.0
        rows[i, size : size + len(popular)] = popular
        scores[i, size : size + len(popular)] = last - np.arange(1, len(popular) + 1, dtype=np.float32) / POPULAR_STEPS
        attributions[i] = [*attributions[i], *[(POPULAR, (POPULAR,))] * len(popular)]
    return Ranking(rows, scores, attributions)


def _explained(model: Model, queries: Sequence[Query], ranking: Ranking, options: RankingOptions) -> Ranking:
    """`ranking` with the reasons for each row, if they are asked for: those of the source that contributed most to it."""
    if not options.explain:
        return ranking
    explanations = []
    for query, rows, attributions in zip(queries, ranking.rows, ranking.attributions, strict=True):
        leading = np.array([name for name, _ in attributions], dtype=object)
        by_source = []
        for name in dict.fromkeys(leading.tolist()):
            positions = np.flatnonzero(leading == name)
            truncation = options.truncation if name == options.part else None
            reasons = model.explain(query, rows[positions], name=name, truncation=truncation)
            by_source.append((positions, reasons))
        explanations.append(merged(by_source, count=len(attributions)))
    return replace(ranking, explanations=explanations)


def _groups_warnings(groups: NDArray[np.int64], config: DecodingConfig) -> list[Degraded]:
    if groups.max() >= 0:
        return []
    reason = "no item here shares an artist, brand or other attribute with another"
    return [Degraded(option, reason) for option in ("same_group", "most_of_group") if getattr(config, option)]
