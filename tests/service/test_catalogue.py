"""A row is for life, and a reader never sees half a change."""

import threading

from recsys.service.state.catalogue import Catalogue


def shown(catalogue: Catalogue) -> list[str]:
    return [item for item, active in zip(catalogue.item_ids, catalogue.active, strict=False) if active]


def test_nothing_is_shown_before_the_store_has_named_it() -> None:
    catalogue = Catalogue(["a", "b"])
    assert shown(catalogue) == []
    catalogue.upsert([("b", "B", None)])
    assert shown(catalogue) == ["b"]


def test_rows_are_kept_through_deletion_and_return() -> None:
    catalogue = Catalogue(["a"])
    assert catalogue.upsert([("b", "B", "x"), ("c", None, "y"), ("a", "A", "x")]).tolist() == [1, 2, 0]
    catalogue.delete(["b"])
    catalogue.delete(["never seen"])
    assert shown(catalogue) == ["a", "c"]
    assert catalogue.row("b") == 1
    catalogue.upsert([("b", "again", "y")])
    assert (shown(catalogue), catalogue.titles[1]) == (["a", "b", "c"], "again")
    assert catalogue.rows(["c", "unknown", "a", "c"]).tolist() == [2, 0, 2]


def test_what_is_not_available_is_active_and_not_recommendable() -> None:
    catalogue = Catalogue(["a", "b"])
    assert not catalogue.recommendable.any()
    catalogue.upsert([("a", "A", None), ("c", "C", None)], unavailable=["a"])
    assert catalogue.recommendable.tolist() == [False, False, True]
    assert shown(catalogue) == ["a", "c"]
    catalogue.upsert([("a", "A", None)])
    catalogue.delete(["c"])
    assert catalogue.recommendable.tolist() == catalogue.active.tolist() == [True, False, False]


def test_rows_are_of_the_domain_that_was_put_last() -> None:
    catalogue = Catalogue(["a"])
    catalogue.upsert([("b", "B", "x"), ("c", None, "y"), ("a", "A", None)])
    assert catalogue.of_domain("x").tolist() == [False, True, False]  # type: ignore[union-attr]
    catalogue.upsert([("b", "B", "y"), ("d", "D", "x")])
    assert catalogue.of_domain("x").tolist() == [False, False, False, True]  # type: ignore[union-attr]
    assert catalogue.of_domain("y").tolist() == [False, True, True, False]  # type: ignore[union-attr]
    assert catalogue.of_domain("never seen") is None


def test_a_reader_sees_consistent_rows_while_items_come_in() -> None:
    catalogue, wrong, stop = Catalogue(), list[str](), threading.Event()

    def read() -> None:
        while not stop.is_set():
            active = catalogue.active
            for row in range(len(active)):
                if catalogue.row(catalogue.item_ids[row]) != row or len(catalogue.titles) <= row:
                    wrong.append(catalogue.item_ids[row])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        catalogue.upsert([(f"i{number}", str(number), "x")])
    stop.set()
    reader.join()
    assert wrong == []
    assert len(catalogue) == 300
