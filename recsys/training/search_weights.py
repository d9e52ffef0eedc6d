"""Fits what words and meaning count in the search: on queries made from the items' own texts, while other items decide."""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.text import TITLE, title_of
from recsys.bundle import Bundle
from recsys.data.history import NO_ROWS, History
from recsys.data.search_queries import SearchQuery, search_queries
from recsys.encoders.base import TextEncoder
from recsys.retrieval.lists.words import folded
from recsys.retrieval.serving import serving_model
from recsys.retrieval.source import Query
from recsys.retrieval.text_search import SEARCH, SearchWeights, TextSearch
from recsys.retrieval.word_index import WordIndex
from recsys.training.conditional_logit import LogitExamples, fit_conditional_logit
from recsys.training.inputs import TrainingInputs
from recsys.training.plan import Progress

ITEMS = 400
"""Items that queries are made from, at most: half of them for the fit, half to decide."""
CANDIDATES = 50
QUERIES_PER_BLOCK = 64
SCALE, L2 = 20.0, 1e-5
"""The default weights times `SCALE` are where the fit starts; the pull towards them is weak."""

MIN_MEANING = 0.08
"""Queries made of an item's own words cannot show what meaning is good for: other words for the same thing."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchExample:
    """The `features` (candidates, 3) of a query's candidates, and which of them have the title that it was made from."""

    query: SearchQuery
    features: NDArray[np.float32]
    is_target: NDArray[np.bool_]


def with_search_weights(bundle: Bundle, inputs: TrainingInputs) -> Generator[Progress, None, Bundle]:
    """The bundle with the weights of its search, where a part of it finds items by what texts mean. A bundle that carries its
    text encoder keeps the default weights."""
    model = serving_model(bundle)
    meaning = model.text_search_part()
    if meaning is None or inputs.carried_encoder:
        return bundle
    yield Progress(SEARCH, "weighing words and meaning on the items' own texts")
    texts = inputs.data.texts
    search = TextSearch(WordIndex.of(texts), model, meaning, SearchWeights())
    weights, figures = fitted_weights(search_examples(search, texts, inputs.text_encoder, seed=inputs.plan.seed))
    yield Progress(SEARCH, ", ".join(f"{name} {value:.2f}" for name, value in asdict(weights).items()))
    about = bundle.about | {"search_weights": asdict(weights), "search_figures": figures}
    return replace(bundle, about=about)


def search_examples(
    search: TextSearch, texts: Sequence[str], encoder: TextEncoder, *, seed: int
) -> list[SearchExample]:
    """Examples of all queries that the items' `texts` make."""
    assert search.meaning is not None
    source, titles = search.model.source(search.meaning), np.array([folded(title_of(text)) for text in texts])
    queries, examples = search_queries(texts, items=ITEMS, seed=seed), list[SearchExample]()
    history, every = History.undated(NO_ROWS), np.ones(len(texts), dtype=np.bool_)
    for start in range(0, len(queries), QUERIES_PER_BLOCK):
        block = queries[start : start + QUERIES_PER_BLOCK]
        vectors = source.query_vectors(encoder, [TITLE + query.text for query in block], [None] * len(block))
        for query, vector in zip(block, vectors, strict=True):
            question = Query(history, every, vector=vector, text=query.text)
            (candidates,) = search.search([question], k=CANDIDATES, name=SEARCH)[0].rows
            rows = np.union1d(candidates[candidates >= 0], [query.row])
            examples.append(SearchExample(query, search.features(question, rows), titles[rows] == titles[query.row]))
    return examples


def fitted_weights(examples: Sequence[SearchExample]) -> tuple[SearchWeights, dict[str, float]]:
    """The weights that a fit on half of the items gives, unless the default ones find those of the other half better; and the
    mean reciprocal ranks of both there."""
    default = SearchWeights()
    items = sorted({example.query.row for example in examples})
    of_fit = set(items[::2])
    fit = [example for example in examples if example.query.row in of_fit]
    others = [example for example in examples if example.query.row not in of_fit]
    start = _as_array(default)
    solution = fit_conditional_logit(_logit(fit), start=SCALE * start, l2=np.full(len(start), L2)) if fit else start
    weights = _normalised(solution)
    figures = {"fitted": mean_reciprocal_rank(others, weights), "default": mean_reciprocal_rank(others, start)}
    if figures["fitted"] <= figures["default"]:
        return default, figures
    title, words, meaning = weights.tolist()
    return SearchWeights(title=title, words=words, meaning=meaning, taste=default.taste), figures


def mean_reciprocal_rank(examples: Sequence[SearchExample], weights: NDArray[np.float64]) -> float:
    """Of the best target among the candidates of each query, queries of each kind counting alike; 0 without queries."""
    by_kind: dict[str, list[float]] = {}
    for example in examples:
        scores = example.features @ weights
        rank = 1 + int((scores[~example.is_target] >= scores[example.is_target].max()).sum())
        by_kind.setdefault(example.query.kind, []).append(1 / rank)
    return float(np.mean([np.mean(ranks) for ranks in by_kind.values()])) if by_kind else 0.0


def _logit(examples: Sequence[SearchExample]) -> LogitExamples:
    shares = [example.is_target / example.is_target.sum() for example in examples]
    sizes = [len(example.features) for example in examples]
    return LogitExamples(
        np.concatenate([example.features for example in examples]),
        np.concatenate(shares).astype(np.float32),
        np.cumsum([0, *sizes]),
    )


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`weights` that sum to 1, none below 0 and that of meaning not below `MIN_MEANING`."""
    positive = np.maximum(weights, 0)
    *words, meaning = positive / max(float(positive.sum()), 1e-9)
    meaning = max(meaning, MIN_MEANING)
    return np.array([*((1 - meaning) * np.array(words) / max(sum(words), 1e-9)), meaning])


def _as_array(weights: SearchWeights) -> NDArray[np.float64]:
    return np.array([weights.title, weights.words, weights.meaning])
