"""Writers at the same time, in one process and in several."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from recsys.store import Store


@pytest.fixture
def other_store(database_url: str) -> Iterator[Store]:
    """The store of a second process, as far as the database can tell."""
    other = Store.open(database_url)
    yield other
    other.close()


def at_once(*jobs: Callable[[], object]) -> None:
    """Runs all `jobs` in threads that start together; raises the first error."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        barrier.wait()
        job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(run, jobs))


def test_one_bundle_is_active_whoever_activates_at_the_same_time(store: Store, other_store: Store) -> None:
    for uri in "abcd":
        store.add_bundle(uri, {})
    for turn in range(25):
        processes = zip("abcd", (store, other_store) * 2, strict=True)
        at_once(*(partial(process.activate_bundle, uri) for uri, process in processes))
        if turn % 2:
            at_once(store.rollback_bundle, partial(other_store.activate_bundle, "a"))
        assert [bundle.state for bundle in store.bundles()].count("active") == 1
