"""Answers questions about items: for users, histories, items and texts."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from recsys.data.history import NO_ROWS, History
from recsys.errors import Degraded, InvalidRequest, NotFound, RecsysError, StoreError
from recsys.ranking import pipeline
from recsys.ranking.pipeline import Ranking, RankingOptions
from recsys.retrieval.live_models import LiveChoice
from recsys.retrieval.source import Query
from recsys.service.items import warnings
from recsys.service.items.answering import Answering, answering
from recsys.service.items.answers import scored_items
from recsys.service.items.filtering import filtered_query
from recsys.service.items.open_session import open_events_of, with_session
from recsys.service.items.questions import MAX_HISTORY, Answer, Options, Question
from recsys.service.items.texts import of_domain, rank_texts
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot
from recsys.service.state.text_service import readable
from recsys.store.journal import Journal
from recsys.store.records import Impression


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A validated question: what answers it, with which filters. For texts the query vector is filled in later."""

    question: Question
    answering: Answering
    query: Query
    degraded: list[Degraded]

    @property
    def batch_key(self) -> tuple[LiveChoice | None, RankingOptions]:
        """Questions with equal keys are ranked together."""
        options = self.answering.ranking_options(self.question.options, text=self.question.text is not None)
        return self.answering.live, options


class ItemService:
    """Answers for any number of threads, each from one snapshot of `state`; impressions go to `journal`."""

    def __init__(self, state: LiveState, journal: Journal) -> None:
        self._state, self._journal = state, journal

    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]:
        """An answer to each question, or the error that it raises. Together they cost less than one by one."""
        self._state.poll_changes()
        searches = any(question.text is not None for question in questions)
        snapshot = self._state.searching_snapshot() if searches else self._state.snapshot
        answers: dict[int, Answer | RecsysError] = {}
        batches: dict[tuple[LiveChoice | None, RankingOptions], list[tuple[int, _Prepared]]] = {}
        for number, question in enumerate(questions):
            try:
                prepared = self._prepare(snapshot, question)
            except RecsysError as error:
                answers[number] = error
            else:
                batches.setdefault(prepared.batch_key, []).append((number, prepared))
        for (_, options), batch in batches.items():
            numbers, prepared_batch = [number for number, _ in batch], [prepared for _, prepared in batch]
            answers |= dict(zip(numbers, self._answer_batch(snapshot, prepared_batch, options), strict=True))
        return [answers[number] for number in range(len(questions))]

    def history_of_items(self, item_ids: Sequence[str], degraded: list[Degraded]) -> History:
        """The history that `item_ids` make, oldest first; warnings of unknown items are added to `degraded`.

        Raises:
            InvalidRequest: it is too long.
        """
        return self._history_of_items(self._state.snapshot, item_ids, degraded)

    def _history_of_items(
        self,
        snapshot: Snapshot,
        item_ids: Sequence[str],
        degraded: list[Degraded],
        *,
        session: Sequence[str] = (),
        instead: str = warnings.POPULAR_INSTEAD,
    ) -> History:
        if len(item_ids) > MAX_HISTORY:
            raise InvalidRequest(f"a history of {len(item_ids)} items: send the last {MAX_HISTORY} at most")
        degraded += snapshot.unknown(item_ids, what="history", why="unknown items left out")
        history = History.undated(snapshot.catalogue.rows(item_ids))
        if not len(history) and not len(snapshot.catalogue.rows(session)):
            degraded.append(warnings.no_known_item(instead=instead))
        return history

    def rank_users(self, users: Sequence[tuple[str, History]], options: Options) -> Ranking:
        """The best rows for users of these histories, as `answer` finds them: what batch scoring writes.

        Raises:
            InvalidRequest: `k` or `encoder` is out of range.
        """
        snapshot = self._state.snapshot
        what = answering(self._state, snapshot, Question(options=options))
        now = time.time()
        queries = [
            filtered_query(snapshot, history, options, part=what.part, user_id=user_id, open_events=open_events)
            for user_id, history in users
            for open_events in [open_events_of(history, options, snapshot.signals, now=now)]
        ]
        return pipeline.rank(what.model, queries, what.ranking_options(options))

    def unsupported_options(self, options: Options) -> list[Degraded]:
        """Warnings of `options` that no answer follows: a truncation that the part does not offer, a window without events."""
        return answering(self._state, self._state.snapshot, Question(options=options)).degraded

    @property
    def include_seen(self) -> bool:
        """May items of the history come back, when the request does not say?"""
        return self._state.snapshot.include_seen

    def _prepare(self, snapshot: Snapshot, question: Question) -> _Prepared:
        what = answering(self._state, snapshot, question)
        part, degraded = what.part, what.degraded
        question, history = self._history(snapshot, question, part, degraded)
        if question.text is None:
            degraded += warnings.of_state(self._state, snapshot)
        else:
            degraded += warnings.of_search(self._state, snapshot, part, question.text)
        degraded += warnings.of_options(snapshot, question.options)
        history, open_events = with_session(snapshot, question, history, degraded)
        query = filtered_query(
            snapshot, history, question.options, part=part, user_id=question.user_id, open_events=open_events
        )
        if question.text is not None:
            if not snapshot.recommends:
                query = replace(query, history=History.undated(NO_ROWS))  # it has filtered, and has no taste
            question, query = of_domain(snapshot, question, query, degraded)
        elif question.domain is not None:
            allowed, more = snapshot.catalogue.restrict(query.allowed, question.domain)
            query, degraded = replace(query, allowed=allowed), degraded + more
        degraded = degraded if what.live is None else warnings.without_stand_in(degraded)
        return _Prepared(question, what, query, degraded)

    def _history(
        self, snapshot: Snapshot, question: Question, part: str, degraded: list[Degraded]
    ) -> tuple[Question, History]:
        """The question with what its kind implies, and the history that it is about."""
        match question:
            case Question(user_id=str() as user_id, history=None, item_id=None, text=None):
                return question, self._stored_history(snapshot, user_id, question.session, degraded)
            case Question(user_id=None, history=Sequence() as item_ids, item_id=None, text=None):
                return question, self._history_of_items(snapshot, item_ids, degraded, session=question.session)
            case Question(user_id=None, history=None, item_id=str() as item_id, text=None):
                row = self._active_row(snapshot, item_id)
                if snapshot.items.answers_only_by_text(part) and snapshot.texts and snapshot.texts.is_silent(row):
                    degraded.append(warnings.item_without_text(part))
                options = replace(question.options, include_seen=False)
                return replace(question, options=options), History.undated(snapshot.catalogue.rows([item_id]))
            case Question(item_id=None, text=str() as text) if question.user_id is None or question.history is None:
                seen = question.options.include_seen
                options = replace(question.options, include_seen=True if seen is None else seen)
                question = replace(question, text=readable(text), options=options)
                return question, self._history_beside_text(snapshot, question, degraded)
        raise InvalidRequest(
            "give either a user, a history, an item or a text; a text may have a user or a history beside"
        )

    def _history_beside_text(self, snapshot: Snapshot, question: Question, degraded: list[Degraded]) -> History:
        """The history that filters beside a text, and whose taste counts where something recommends; an empty one where nothing
        was asked."""
        instead = warnings.TEXT_INSTEAD
        if question.user_id is None and question.history is None:
            return History.undated(NO_ROWS)
        if not snapshot.recommends:
            degraded.append(warnings.no_recommender())
        if question.user_id is not None:
            return self._stored_history(snapshot, question.user_id, (), degraded, instead=instead)
        return self._history_of_items(snapshot, question.history or (), degraded, instead=instead)

    def _stored_history(
        self,
        snapshot: Snapshot,
        user_id: str,
        session: Sequence[str],
        degraded: list[Degraded],
        *,
        instead: str = warnings.POPULAR_INSTEAD,
    ) -> History:
        """The history of a stored user, or what is known of it while the store does not answer."""
        in_session = len(snapshot.catalogue.rows(session)) > 0
        try:
            history = None if self._state.store_unreachable else snapshot.histories.get(user_id)
        except StoreError:
            history, self._state.store_unreachable = None, True
        if history is None:
            history = snapshot.histories.last_known(user_id)
            known = len(history) > 0 or in_session
            degraded.append(warnings.history_unreachable(user_id, known=known, instead=instead))
        elif not len(history) and not in_session:
            degraded.append(warnings.no_history(user_id, rejects=len(history.rejected) > 0, instead=instead))
        return history

    def _active_row(self, snapshot: Snapshot, item_id: str) -> int:
        row = snapshot.catalogue.row(item_id)
        if row is None or row >= len(snapshot.catalogue) or not snapshot.catalogue.active[row]:
            raise NotFound(f"unknown item {item_id!r}: PUT it first or leave it out")
        return row

    def _answer_batch(
        self, snapshot: Snapshot, batch: Sequence[_Prepared], options: RankingOptions
    ) -> Sequence[Answer | RecsysError]:
        try:
            if batch[0].question.text is None:
                ranking = pipeline.rank(batch[0].answering.model, [prepared.query for prepared in batch], options)
            else:
                questions = [prepared.question for prepared in batch]
                ranking = rank_texts(snapshot, questions, [prepared.query for prepared in batch], options)
        except RecsysError as error:
            return [error] * len(batch)
        return [self._to_answer(snapshot, prepared, ranking, i) for i, prepared in enumerate(batch)]

    def _to_answer(self, snapshot: Snapshot, prepared: _Prepared, ranking: Ranking, query: int) -> Answer:
        """The answer, whose impression is on its way to the store."""
        question = prepared.question
        answer = Answer(
            request_id=question.request_id or uuid.uuid4().hex,
            bundle=snapshot.uri if prepared.answering.live is None else None,
            encoder=prepared.answering.part,
            items=scored_items(snapshot.catalogue, prepared.query.history, ranking, query),
            degraded=(*prepared.degraded, *ranking.degraded(query)),
        )
        item_ids = [item.item_id for item in answer.items]
        shown_at = datetime.now(UTC)
        self._journal.add(Impression(answer.request_id, question.user_id, answer.bundle, item_ids, shown_at))
        return answer
