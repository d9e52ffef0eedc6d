"""The promises of the service: what is written counts on the next request, and every shortfall is said."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.synthetic import World
from recsys.errors import BundleError, InvalidRequest, NotFound, StoreError
from recsys.service import MAX_HISTORY, Answer, Options, Question, Recommender
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.databases import transaction
from tests.worlds import Planted, fill

Served = tuple[Recommender, Store, Planted]


@pytest.fixture
def untrained(tmp_path: Path, trained: Planted) -> Iterator[Recommender]:
    url = f"sqlite:///{tmp_path}/empty.db"
    upgrade(url)
    store = Store.open(url)
    fill(store, trained.world)
    recommender = Recommender(store)
    yield recommender
    recommender.close()
    store.close()


def ids(recommender: Recommender, **asked: object) -> list[str]:
    return [item.item_id for item in recommender.recommend(**asked).items]  # type: ignore[arg-type]


def a_history(world: World, length: int = 4) -> list[str]:
    """Items that follow each other as planted."""
    path = [next(iter(world.successor))]
    while len(path) < length:
        path.append(world.successor[path[-1]])
    return path


def test_the_planted_successor_comes_first(served: Served) -> None:
    recommender, _, planted = served
    first = 0
    for start in planted.world.successor:
        history = [start, planted.world.successor[start]]
        first += ids(recommender, history=history)[0] == planted.world.successor[history[-1]]
    assert first >= 0.9 * len(planted.world.successor)


def test_an_event_changes_the_next_answer(served: Served) -> None:
    recommender, _, planted = served
    recommender.add_events([EventDraft(user_id="new", item_id=a_history(planted.world)[0])])
    before = ids(recommender, user_id="new")
    recommender.add_events([EventDraft(user_id="new", item_id=before[5])])
    after = ids(recommender, user_id="new")
    assert before[5] not in after
    assert before != after


def test_a_new_item_is_recommendable_at_once_by_its_text(served: Served) -> None:
    recommender, _, planted = served
    twin = a_history(planted.world)[0]
    old = recommender.item(twin)
    recommender.put_items([ItemDraft(item_id="twin/1", title=old.title, attributes=old.attributes)])
    for encoder in ("text", "sasrec-hybrid"):
        near = recommender.similar(twin, options=Options(k=3, encoder=encoder)).items
        assert "twin/1" in [item.item_id for item in near], encoder
    assert "twin/1" in ids(recommender, history=[twin], options=Options(k=41, include_seen=True))


def test_a_new_item_is_still_known_after_a_restart(served: Served) -> None:
    recommender, store, planted = served
    twin = a_history(planted.world)[0]
    old = recommender.item(twin)
    recommender.put_items([ItemDraft(item_id="twin", title=old.title, attributes=old.attributes)])
    again = Recommender(store)
    options = Options(k=3, encoder="text")
    assert again.similar(twin, options=options).items == recommender.similar(twin, options=options).items
    again.close()


@pytest.mark.parametrize("fails", ["vectors", "save_vectors"])
def test_a_text_that_could_not_be_read_is_read_the_next_time(
    served: Served, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    recommender, _, planted = served
    twin = a_history(planted.world)[0]
    old = recommender.item(twin)
    draft = ItemDraft(item_id="twin", title=f"{old.title} again", attributes=old.attributes)

    def away(*_: object, **__: object) -> None:
        raise StoreError("the store is away")

    with monkeypatch.context() as broken:
        broken.setattr(Store, fails, away)
        with pytest.raises(StoreError):
            recommender.put_items([draft])
    recommender.put_items([draft])
    near = recommender.similar("twin", options=Options(k=3, encoder="text")).items
    assert {item.source for item in near} == {"text"}
    assert twin in [item.item_id for item in near]


def test_unknown_ids_in_filters_are_told(served: Served) -> None:
    recommender, _, planted = served
    history = a_history(planted.world)
    options = Options(k=1, allow=(*planted.world.successor, "b-17"), exclude=("b-18",))
    told = {one.what: one.why for one in recommender.recommend(history=history, options=options).degraded}
    assert told == {
        "allow": "unknown items, which cannot be shown: b-17",
        "exclude": "unknown items, which nothing would show anyway: b-18",
    }


def test_a_changed_text_counts_at_once(served: Served) -> None:
    recommender, _, planted = served
    here, there = list(planted.world.cluster)[:2]
    text = recommender.item(there)
    recommender.put_items([ItemDraft(item_id=here, title=text.title, attributes=text.attributes)])
    near = recommender.similar(there, options=Options(k=1, encoder="text")).items
    assert [item.item_id for item in near] == [here]


def test_a_deleted_item_is_gone_from_the_next_answer_and_comes_back_when_put(served: Served) -> None:
    recommender, _, planted = served
    history = a_history(planted.world)
    gone = ids(recommender, history=history)[0]
    item = recommender.item(gone)
    recommender.delete_item(gone)
    for encoder in recommender.models()["parts"]:
        assert gone not in ids(recommender, history=history, options=Options(k=40, encoder=encoder["name"]))
    recommender.put_items([ItemDraft(item_id=gone, title=item.title, attributes=item.attributes)])
    assert ids(recommender, history=history)[0] == gone


def test_seen_and_excluded_items_do_not_come_back_unless_asked(served: Served) -> None:
    recommender, _, planted = served
    history = a_history(planted.world)
    everything = ids(recommender, history=history, options=Options(k=40))
    assert not set(history) & set(everything)
    assert len(everything) == 40 - len(history)
    assert set(ids(recommender, history=history, options=Options(k=40, include_seen=True))) == set(
        planted.world.successor
    )
    assert everything[0] not in ids(recommender, history=history, options=Options(exclude=(everything[0],)))


def test_a_shorter_answer_is_the_beginning_of_a_longer_one(served: Served) -> None:
    recommender, _, planted = served
    history = a_history(planted.world)
    for part in recommender.models()["parts"]:
        long = ids(recommender, history=history, options=Options(k=36, encoder=part["name"]))
        assert ids(recommender, history=history, options=Options(k=5, encoder=part["name"])) == long[:5]


def test_an_unknown_user_gets_popular_items_and_is_told_so(served: Served) -> None:
    recommender, _, _ = served
    answer = recommender.recommend(user_id="nobody")
    assert answer.degraded[0].what == "user"
    assert {item.source for item in answer.items} == {"popular"}


def test_a_user_of_rejections_alone_is_no_unknown_user(served: Served) -> None:
    recommender, _, planted = served
    recommender.add_events([EventDraft(user_id="cross", item_id=a_history(planted.world)[0], kind="dislike")])
    (warning,) = recommender.recommend(user_id="cross").degraded
    assert warning.why == "user 'cross' has only rejected items: popular items are shown"


@pytest.mark.parametrize("question", [Question(user_id="nobody"), Question(history=[])])
def test_a_session_alone_is_answered_without_a_word_of_popular_items(served: Served, question: Question) -> None:
    recommender, _, planted = served
    known, unknown = (replace(question, session=session) for session in (a_history(planted.world), ["b-17"]))
    answer, popular = recommender.answer([known, unknown])
    assert isinstance(answer, Answer)
    assert isinstance(popular, Answer)
    assert {item.source for item in answer.items} != {"popular"}
    assert list(answer.degraded) == []
    assert "popular items are shown" in popular.degraded[0].why


def test_unknown_items_in_a_history_are_named_and_the_known_ones_used(served: Served) -> None:
    recommender, _, planted = served
    known = a_history(planted.world)
    answer = recommender.recommend(history=[*known[:2], "b-17", *known[2:]])
    assert [item.item_id for item in answer.items] == ids(recommender, history=known)
    assert [(one.what, one.why) for one in answer.degraded] == [("history", "unknown items left out: b-17")]


def test_an_empty_history_gets_popular_items(served: Served) -> None:
    answer = served[0].recommend(history=[])
    assert answer.degraded[0].what == "history"
    assert len(answer.items) == 10


def test_a_long_history_is_answered_and_a_longer_one_refused(served: Served) -> None:
    recommender, _, planted = served
    items = list(planted.world.successor)
    assert recommender.recommend(history=(items * 300)[:MAX_HISTORY], options=Options(include_seen=True)).items
    with pytest.raises(InvalidRequest, match="send the last 10000"):
        recommender.recommend(history=(items * 300)[: MAX_HISTORY + 1])


def test_more_than_there_is_comes_with_a_word(served: Served) -> None:
    answer = served[0].recommend(history=[], options=Options(k=1000))
    assert len(answer.items) == 40
    assert "only 40 of the 1000" in answer.degraded[-1].why


@pytest.mark.parametrize("k", [0, -1, 1001])
def test_k_out_of_range_is_refused(served: Served, k: int) -> None:
    with pytest.raises(InvalidRequest, match="ask for 1 to 1000"):
        served[0].recommend(history=[], options=Options(k=k))


def test_an_unknown_encoder_is_refused_with_the_known_ones(served: Served) -> None:
    with pytest.raises(InvalidRequest, match="choose one of als, blend"):
        served[0].recommend(history=[], options=Options(encoder="bert"))


def test_either_a_user_or_a_history(served: Served) -> None:
    with pytest.raises(InvalidRequest, match="either"):
        served[0].recommend()


def test_similar_to_an_unknown_item_is_refused(served: Served) -> None:
    with pytest.raises(NotFound, match="b-17"):
        served[0].similar("b-17")


@pytest.mark.parametrize("encoder", [None, "sasrec", "text", "markov", "als", "popular"])
def test_only_what_is_allowed_comes_and_all_of_it(served: Served, encoder: str | None) -> None:
    recommender, _, planted = served
    history = a_history(planted.world)
    every = ids(recommender, history=history, options=Options(k=100, encoder=encoder))
    few = tuple(every[::7])
    asked = Options(k=100, encoder=encoder, allow=(*few, "unknown"))
    answer = recommender.recommend(history=history, options=asked)
    assert {item.item_id for item in answer.items} == set(few)
    assert [one.what for one in answer.degraded] == ["allow", "k"]
    less = Options(k=100, encoder=encoder, allow=few, exclude=few[:1])
    assert set(ids(recommender, history=history, options=less)) == set(few[1:])
    assert ids(recommender, history=history, options=Options(allow=(), encoder=encoder)) == []


def test_every_item_names_its_sources(served: Served) -> None:
    recommender, _, planted = served
    blended = next(part for part in recommender.models()["parts"] if part["name"] == "blend")["settings"]["sources"]
    for item in recommender.recommend(history=a_history(planted.world)).items:
        assert item.source in item.sources
        assert set(item.sources) <= set(blended)


def test_what_was_shown_is_journalled(served: Served) -> None:
    recommender, _, planted = served
    answer = recommender.recommend(user_id="user-0001")
    recommender.close()
    with transaction(planted.url) as connection:
        rows = connection.exec_driver_sql("select request_id, user_id, bundle from impressions").all()
    assert [tuple(row) for row in rows] == [(answer.request_id, "user-0001", answer.bundle)]


def test_without_a_bundle_popular_items_answer_and_say_so(untrained: Recommender, trained: Planted) -> None:
    answer = untrained.recommend(history=a_history(trained.world))
    assert answer.bundle is None
    assert answer.encoder == "popular"
    assert answer.degraded[0].what == "bundle"
    assert "recsys train blend" in answer.degraded[0].why
    assert not untrained.readiness().ready
    untrained.put_items([ItemDraft(item_id="first")])
    assert "first" in ids(untrained, history=[], options=Options(k=41))


def test_without_a_bundle_what_people_reject_is_not_popular(tmp_path: Path) -> None:
    upgrade(url := f"sqlite:///{tmp_path}/rejected.db")
    with closing(Store.open(url)) as store:
        store.put_items([ItemDraft(item_id=item) for item in ("hated", "rated low", "liked", "unseen")])
        signals = [
            ("hated", "Dislike", 1.0),
            ("hated", "view", -1.0),
            ("rated low", "rating", 1.0),
            ("liked", "like", 1.0),
        ]
        events = [EventDraft(user_id=f"u{n}", item_id=i, kind=k, weight=w) for n in range(3) for i, k, w in signals]
        store.add_events(events)
        answer = Recommender(store).recommend(user_id="new")
    scores = {item.item_id: item.score for item in answer.items}
    assert answer.items[0].item_id == "liked"
    assert scores["hated"] == scores["rated low"] == scores["unseen"] == 0


def test_a_damaged_active_bundle_is_told_and_popular_items_answer(served: Served, tmp_path: Path) -> None:
    _, store, planted = served
    store.add_bundle(str(tmp_path / "gone"), {})
    store.activate_bundle(str(tmp_path / "gone"))
    recommender = Recommender(store)
    assert not recommender.readiness().ready
    assert "manifest.json is missing" in recommender.readiness().reasons[0]
    assert recommender.recommend(history=a_history(planted.world)).items
    recommender.close()


def test_a_bundle_asked_for_by_name_must_be_there(served: Served) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Recommender(served[1], bundle="/nowhere")


def test_requests_and_writes_go_on_side_by_side(served: Served) -> None:
    recommender, _, planted = served
    history, failures = a_history(planted.world), list[BaseException]()

    def ask() -> None:
        try:
            for _ in range(30):
                assert len(recommender.recommend(history=history).items) == 10
        except BaseException as error:  # noqa: BLE001  (handed to the test)
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(20):
        recommender.put_items([ItemDraft(item_id=f"n{number}", title=f"new {number}")])
        recommender.add_events([EventDraft(user_id="u", item_id=f"n{number}", at=datetime.now(UTC))])
        if number % 3 == 0:
            recommender.delete_item(f"n{number}")
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("title", [None, "\u200b", "\u3164"])
def test_new_items_without_a_text_are_not_recommended_for_each_other(served: Served, title: str | None) -> None:
    recommender, _, planted = served
    silent = [f"silent-{number}" for number in range(3)]
    recommender.put_items([ItemDraft(item_id=item_id, title=title) for item_id in silent])
    found = recommender.similar(silent[0], options=Options(k=10)).items
    assert not {item.item_id for item in found if item.source != "popular"} & set(silent)
    twin = recommender.item(next(iter(planted.world.cluster)))
    recommender.put_items([ItemDraft(item_id=silent[1], title=twin.title, attributes=twin.attributes)])
    options = Options(k=1, encoder="text")
    assert recommender.similar(silent[1], options=options).items[0].item_id == twin.item_id


def test_an_item_whose_text_is_taken_away_is_known_by_its_id_alone(served: Served) -> None:
    recommender, store, planted = served
    first, second = a_history(planted.world, 2)
    recommender.put_items([ItemDraft(item_id=first), ItemDraft(item_id=second)])
    for answering in (recommender, again := Recommender(store)):
        by_text = answering.similar(first, options=Options(k=5, encoder="text"))
        assert [one.what for one in by_text.degraded if "has no text" in one.why] == ["item"]
        assert {item.source for item in by_text.items} == {"popular"}
        (found,) = [item for item in answering.similar(first).items if item.item_id == second]
        assert {"item-neighbours", "markov"} & set(found.sources)
        assert not {"text", "lexical"} & set(found.sources)
    again.close()
