"""A bundle counts events as it was trained; where the settings say otherwise, that is said and it goes on answering."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.feedback import Signals
from recsys.errors import BundleError
from recsys.service import Recommender
from recsys.service.state.signal_drift import signal_drift
from recsys.signals import SignalTable
from recsys.store import Store
from tests.worlds import Planted


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(trained.copy(tmp_path).url)
    yield opened
    opened.close()


def test_another_table_is_logged_and_a_reason_but_no_unreadiness(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        recommender = Recommender(store, signals=SignalTable.parse("skip=0"))
    readiness = recommender.readiness()
    assert readiness.ready
    assert readiness.reasons == (
        "the bundle was trained with another table of kinds (skip x1 against, now x0): train again",
    )
    assert readiness.reasons[0] in caplog.text
    recommender.close()


def test_the_same_table_is_no_reason(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    recommender = Recommender(store, signals=SignalTable())
    assert recommender.readiness().reasons == ()
    assert "train again" not in caplog.text
    recommender.close()


def test_a_bundle_from_before_takes_every_event_for_a_view(trained: Planted, store: Store, tmp_path: Path) -> None:
    bundle = load_bundle(trained.bundle)
    about = {name: value for name, value in bundle.about.items() if name != "signals"}
    old = save_bundle(replace(bundle, about=about), str(tmp_path / "bundles"))
    recommender = Recommender(store, bundle=old, signals=SignalTable())
    user = store.users()[0]
    assert recommender.readiness().reasons == (
        "the bundle was trained before events counted by their kind: train again",
    )
    assert len(recommender.recommend(user_id=user).items) == 10
    assert len(recommender.stored_history(user)) == len(store.recent_events(user, limit=1000))
    recommender.close()


def test_signals_survive_the_manifest_and_others_are_refused() -> None:
    signals = Signals(table=SignalTable.parse("skip=0,neutral=2.5"), mean_rating=3.5, unit=2.0, gap=60.0)
    assert Signals.of_manifest({"signals": signals.about()}) == signals
    assert signal_drift({"signals": signals.about()}, signals.table) is None
    with pytest.raises(BundleError, match="train again"):
        Signals.of_manifest({"signals": {"table": {"kinds": {"view": "often"}}}})
