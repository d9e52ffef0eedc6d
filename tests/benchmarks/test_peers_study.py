"""The protocol of the peers: what is barred, how lists are scored, when a training ends."""

from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks.peers.study import PATIENCE, Events, Model, Question, Settings, Watch, sampled_settings, study

EVENTS = Events(
    user=np.array([0, 0, 0, 0, 1, 1, 1]),
    item=np.array([3, 4, 3, 5, 1, 2, 0]),
    session=np.array([0, 1, 2, 2, 3, 4, 5]),
    fold=np.array([0, 0, 1, 2, 0, 1, 2]),
    items=6,
    include_seen=False,
    vectors=np.zeros((6, 1), dtype=np.float32),
)


def test_items_of_the_history_are_barred_and_where_items_repeat_those_of_the_open_session() -> None:
    test = Question.of(EVENTS, 2)
    assert [sorted(seen) for seen in test.seen()] == [[3, 3, 4], [1, 2]]
    repeated = Question.of(replace(EVENTS, include_seen=True), 2)
    assert [seen.tolist() for seen in repeated.seen()] == [[3], []]


def test_the_target_is_ranked_among_the_allowed_items() -> None:
    test = Question.of(EVENTS, 2)
    scores = np.array([[0, 0, 1, 9, 9, 0.5], [1, 9, 9, 0, 0, 0]], dtype=np.float32)
    assert test.ndcg(test.best(scores)).tolist() == pytest.approx([1 / np.log2(3), 1.0])


def test_an_age_counts_the_later_events_of_the_same_user() -> None:
    assert EVENTS.age().tolist() == [3, 2, 1, 0, 2, 1, 0]


def test_the_best_settings_and_epoch_on_validation_are_fitted_again_for_the_test() -> None:
    asked = []

    def peer(settings: Settings, question: Question, watch: Watch, _: int) -> None:
        for epoch in range(1, 100):
            asked.append((settings["size"], epoch, len(question.events.user)))
            good = settings["size"] == 2 and epoch == 3
            scores = np.zeros((len(question.users), question.events.items), dtype=np.float32)
            scores[np.arange(len(question.users)), question.targets if good else 0] = 1
            if not watch(question.best(scores)):
                return

    summary, lists = study(Model(peer, {"size": (1, 2)}, epochs=50), EVENTS, trials=5, budget_s=60, seed=0)
    assert summary["chosen"] == {"settings": {"size": 2}, "epoch": 3, "validation": 0.5}  # one target is barred
    assert [epoch for size, epoch, events in asked if size == 2 and events == 3] == list(range(1, 4 + PATIENCE))
    assert [epoch for size, epoch, events in asked if events == 5] == [1, 2, 3]
    assert lists[:, 0].tolist() == [5, 0]


def test_settings_are_drawn_once_each_the_first_values_first() -> None:
    space = {"a": (1, 2), "b": (3, 4)}
    settings = [tuple(value.values()) for value in sampled_settings(space, trials=10, seed=0)]
    assert settings[0] == (1, 3)
    assert sorted(settings) == [(1, 3), (1, 4), (2, 3), (2, 4)]
