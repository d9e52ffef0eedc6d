"""A living store is measured as of the last event that the bundle knows, and a deployed bundle on what came after it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.feedback import Signals
from recsys.data.history import History
from recsys.data.splits import EvalCases
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.evaluation.as_of import newer_data, withheld_data
from recsys.evaluation.case_groups import case_groups, most_popular
from recsys.evaluation.report import Report
from recsys.evaluation.run import evaluate
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.training.test_job import run
from tests.worlds import Planted


def measured(store: Store, *, uri: str | None = None, as_of: str | None = None) -> Report:
    *_, last = evaluate(store, uri=uri, as_of=as_of)
    assert isinstance(last, Report)
    return last


@pytest.fixture(scope="module")
def frozen(trained: Planted) -> Report:
    store = Store.open(trained.url)
    report = measured(store)
    store.close()
    return report


@pytest.fixture
def living(trained: Planted, tmp_path: Path) -> Store:
    return Store.open(trained.copy(tmp_path).url)


def test_events_and_items_that_arrive_change_no_figure(living: Store, frozen: Report) -> None:
    living.put_items([ItemDraft(item_id="aaa-new", title="new")])
    long_ago = datetime(1990, 1, 1, tzinfo=UTC)
    living.add_events([EventDraft(user_id="user-0000", item_id="item-000", at=long_ago)])
    living.add_events([EventDraft(user_id=f"late-{n}", item_id="aaa-new") for n in range(300) for _ in range(3)])
    report = measured(living)
    assert report.notes == ("1 items are newer than the bundle; they and their events are left out",)
    assert replace(report, notes=()) == frozen


def test_an_item_deleted_since_is_measured_as_before_and_reported(living: Store, frozen: Report) -> None:
    living.delete_item("item-003")
    report = measured(living)
    assert report.notes == ("1 items were deleted since the training; they are ranked as if they were there",)
    assert replace(report, notes=()) == frozen


def test_events_deleted_since_are_reported(living: Store) -> None:
    living.delete_user("user-0007")
    report = measured(living)
    assert report.users == 149
    assert report.notes[-1].startswith("10 of 1,500 events were deleted since the training")


def test_a_purchase_deleted_since_whose_view_counts_instead_is_reported(living: Store, tmp_path: Path) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    visit = [EventDraft(user_id="v", item_id="item-001", kind=kind, at=moment) for kind in ("view", "purchase")]
    bought = living.add_events(visit)[-1]
    bundle = load_bundle(run(living, tmp_path, model="popular").uri)
    living.delete_event(bought.event_id)
    (note,) = withheld_data(living, bundle, device="cpu").notes
    assert note.startswith("1 of 1,502 events were deleted since the training")


def test_newer_events_count_as_those_that_the_bundle_has_learned(living: Store, trained: Planted) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    drafts = [
        EventDraft(user_id=f"v{n}", item_id="item-001", kind=kind, weight=2.0, at=moment + timedelta(minutes=n))
        for n in range(300)
        for kind in ("purchase", "rating")
    ]
    living.add_events(drafts)
    bundle = load_bundle(trained.bundle)
    inputs = newer_data(living, bundle, until="now", device="cpu").inputs
    assert inputs.data.signals == inputs.plan.signals == Signals.of_manifest(bundle.about)


def test_events_that_are_not_those_of_the_training_are_refused(living: Store, trained: Planted, tmp_path: Path) -> None:
    bundle = load_bundle(trained.bundle)
    changed = bundle.about["data"] | {"events_hash": "other"}
    uri = save_bundle(replace(bundle, about=bundle.about | {"data": changed}), str(tmp_path))
    with pytest.raises(BundleError, match="other items or events"):
        measured(living, uri=uri)


def visit(world_successor: dict[str, str], number: int) -> list[EventDraft]:
    """A user who is new to the bundle takes an item and the planted next one."""
    first = f"item-{number:03d}"
    moment = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return [
        EventDraft(user_id=f"new-{number}", item_id=item, at=moment, position=place)
        for place, item in enumerate((first, world_successor[first]))
    ]


def test_a_bundle_is_measured_on_newer_events(living: Store, trained: Planted) -> None:
    with pytest.raises(NotReady, match="came after event 1,500, the last one it has learned: wait for new events"):
        measured(living, as_of="now")
    for number in range(40):
        living.add_events(visit(dict(trained.world.successor), number))
    report = measured(living, as_of="now")
    assert (report.protocol, report.cases, report.users) == ("newer-events", 80, 40)
    rows = {row.name: row for row in report.rows}
    second = next(row for row in report.groups if row.group == "1 to 4")
    assert second.cases == 40
    assert second.ndcg is not None
    assert second.ndcg.mean > 0.5 > rows["popular"].ndcg.mean
    assert measured(living, as_of="1510").cases == 10
    assert measured(living, as_of="2030-01-05").cases == 10
    with pytest.raises(NotReady, match="up to 1500: wait"):
        measured(living, as_of="1500")
    with pytest.raises(InvalidRequest, match="--as-of yesterday: write a time"):
        measured(living, as_of="yesterday")


def test_every_case_is_in_one_group_of_each_kind(frozen: Report) -> None:
    assert frozen.cases == 150
    for by in ("target", "history", "popularity"):
        assert sum(row.cases for row in frozen.groups if row.by == by) == frozen.cases
    means = [(row.cases, row.ndcg.mean) for row in frozen.groups if row.by == "history" and row.ndcg]
    headline = next(row for row in frozen.rows if row.name == frozen.headline)
    assert sum(count * mean for count, mean in means) / 150 == pytest.approx(headline.ndcg.mean)
    shares = {row.name: row.popular_share for row in frozen.rows}
    assert shares["popular"] > shares["markov"] >= 0


def test_cases_are_grouped_by_repeat_history_and_popularity() -> None:
    histories = tuple(History.undated(np.array(rows, dtype=np.int64)) for rows in ([0, 1], [2] * 7, [], [3] * 60))
    cases = EvalCases(("a", "b", "c", "d"), histories, np.array([1, 0, 199, 3]))
    counts = np.array([9, 8, 7, 6, *[1] * 195, 0])
    groups = {(by, group): np.flatnonzero(inside).tolist() for by, group, inside in case_groups(cases, counts)}
    assert np.flatnonzero(most_popular(counts)).tolist() == [0, 1]
    assert {key: rows for key, rows in groups.items() if rows} == {
        ("target", "repeat"): [0, 3],
        ("target", "new to the user"): [1, 2],
        ("history", "empty"): [2],
        ("history", "1 to 4"): [0],
        ("history", "5 to 9"): [1],
        ("history", "50 and more"): [3],
        ("popularity", "the most popular 1 %"): [0, 1],
        ("popularity", "the next 9 %"): [3],
        ("popularity", "never seen in training"): [2],
    }


def test_groups_of_few_cases_are_named(frozen: Report) -> None:
    assert any(name.startswith("popularity the most popular 1 % (") for name in frozen.few)
    assert not any(name.startswith("all") for name in frozen.few)
    assert "all (99)" in replace(frozen, cases=99).few


def test_what_the_session_of_the_target_gives_away_stands_beside(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/baskets.db"
    upgrade(url)
    store = Store.open(url)
    store.put_items([ItemDraft(item_id=str(item)) for item in range(8)])
    baskets = [
        (user, basket, (user + item) % 8)
        for user in range(8)
        for basket in range(6)
        for item in ((0, 1), (2, 3), (0, 1), (2, 3), (0, 1), (0, 1))[basket]
    ]
    store.add_events(
        [
            EventDraft(user_id=f"u{user}", item_id=str(item), session_id=f"{user}-{basket}", position=number)
            for number, (user, basket, item) in enumerate(baskets)
        ]
    )
    uri = run(store, tmp_path, model="personal").uri
    report = measured(store, uri=uri)
    (note,) = [note for note in report.notes if "without knowing the session" in note]
    with_session = next(row for row in report.rows if row.name == "personal").ndcg.mean
    assert 0 < float(note.split()[-3]) <= with_session
