"""Answers questions that are texts: by words and meaning, or by one of the two where that is asked for."""

from collections.abc import Sequence
from dataclasses import replace

from recsys.errors import Degraded, InvalidRequest, NotReady
from recsys.ranking import pipeline
from recsys.ranking.pipeline import Ranking, RankingOptions
from recsys.retrieval.source import Query
from recsys.retrieval.text_search import LEXICAL, SEARCH
from recsys.retrieval.truncation import Truncation
from recsys.service.items.questions import Options, Question
from recsys.service.state.snapshot import Snapshot
from recsys.service.state.text_service import TITLE


def text_part(snapshot: Snapshot, name: str | None) -> str:
    """What answers a text when `name` was asked for: the search by words and meaning, words alone, or a part by meaning alone.

    Raises:
        InvalidRequest: the part answers no texts.
    """
    if name in (None, "", SEARCH, LEXICAL):
        return name or SEARCH
    part = snapshot.items.part_name(name)
    can = snapshot.items.capabilities(part)
    if can is None or not can.answers_texts:
        raise InvalidRequest(f"part {part!r} cannot be asked a text: leave `encoder` out")
    return part


def choose_truncation(snapshot: Snapshot, part: str, options: Options) -> tuple[Truncation | None, list[Degraded]]:
    """The truncation of the text encoder at which `part` answers a text, and warnings where it is another than was asked for.

    Raises:
        InvalidRequest: it has fewer layers or dims.
    """
    meaning = snapshot.meaning if part == SEARCH else None if part == LEXICAL else part
    if meaning is not None:
        return snapshot.items.choose_truncation(meaning, layers=options.layers, dims=options.dims)
    chosen = (("layers", options.layers), ("dims", options.dims))
    reason = "words alone answer, without a text encoder"
    return None, [Degraded(option, reason) for option, value in chosen if value is not None]


def of_domain(snapshot: Snapshot, question: Question, query: Query, degraded: list[Degraded]) -> tuple[Question, Query]:
    """`question` and `query` among the items of its domain; of one that no item has, a warning is added to `degraded`."""
    domain = question.domain
    if domain is None:
        return question, query
    allowed, unknown = snapshot.catalogue.restrict(query.allowed, domain)
    degraded += unknown
    if unknown:
        return replace(question, domain=None), query  # so all experts encode the text
    if snapshot.texts:
        degraded += snapshot.texts.domain_warnings(domain)
    return question, replace(query, allowed=allowed)


def rank_texts(
    snapshot: Snapshot, questions: Sequence[Question], queries: Sequence[Query], how: RankingOptions
) -> Ranking:
    """The best rows for the texts of `questions`, which are encoded together.

    Raises:
        NotReady: they were asked by meaning alone, and there is no encoder.
    """
    texts = [(question.text or "", question.domain) for question in questions]
    queries = [replace(query, text=text.removeprefix(TITLE)) for query, (text, _) in zip(queries, texts, strict=True)]
    meaning = snapshot.meaning if how.part == SEARCH else None if how.part == LEXICAL else how.part
    if meaning is not None:
        if snapshot.texts is None:
            raise NotReady("; ".join(snapshot.problems))
        vectors = snapshot.texts.query_vectors(snapshot.items.source(meaning, how.truncation), texts)
        queries = [replace(query, vector=vector) for query, vector in zip(queries, vectors, strict=True)]
    return pipeline.rank(snapshot.search if how.part in (SEARCH, LEXICAL) else snapshot.items, queries, how)
