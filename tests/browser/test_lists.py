"""The page of lists in a real browser: build a list by search and drag, and see what comes next and what is like it."""

import pytest
from playwright.sync_api import Locator, Page, expect

from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import NAMES, Planted

Served = tuple[Recommender, Store, Planted]


@pytest.fixture
def path() -> str:
    return "/lists"


def add(page: Page, item: str) -> None:
    page.get_by_role("combobox", name="Search for an item").fill(item)
    page.locator(f"#hits > li[data-item='{item}']").click()


def ids(rows: Locator) -> list[str | None]:
    return [row.get_attribute("data-item") for row in rows.all()]


def test_a_list_goes_on_as_it_grows(page: Page, served: Served) -> None:
    recommender, _, planted = served
    first = next(iter(planted.world.successor))
    second = planted.world.successor[first]
    expect(page.locator("#continuation-empty")).to_be_visible()
    for size, item in enumerate([first, second], start=1):
        add(page, item)
        expect(page.locator("#list > li")).to_have_count(size)
    expected = recommender.lists.continued([first, second], None).alternatives[0].items
    onwards = page.locator("#continuation .items > li")
    expect(onwards.first).to_have_attribute("data-item", expected[0].item_id)
    assert ids(onwards) == [item.item_id for item in expected]
    onwards.first.get_by_role("button", name="Add ").click()
    expect(page.locator("#list > li")).to_have_count(3)
    expect(page.locator("#list > li").last).to_have_attribute("data-item", expected[0].item_id)


def test_alternatives_stand_side_by_side_and_one_is_taken_whole(page: Page, served: Served) -> None:
    add(page, next(iter(served[2].world.successor)))
    page.get_by_label("Alternatives").select_option("3")
    page.locator("#k").select_option("5")
    alternatives = page.locator(".alternative")
    expect(alternatives).to_have_count(3)
    expect(alternatives.nth(1).locator("li")).to_have_count(5)
    chosen = ids(alternatives.nth(1).locator("li"))
    assert chosen != ids(alternatives.nth(0).locator("li"))
    page.get_by_role("button", name="Add all of alternative 2").click()
    expect(page.locator("#list > li")).to_have_count(6)
    assert ids(page.locator("#list > li"))[1:] == chosen


def test_one_artist_comes_as_often_as_it_may(page: Page, served: Served) -> None:
    """Of four brands no more than four items are left."""
    add(page, next(iter(served[2].world.successor)))
    onwards = page.locator("#continuation .items > li")
    expect(onwards).to_have_count(10)
    page.get_by_label("Of one artist").select_option("1")
    expect(onwards).to_have_count(4)
    expect(page.locator("#degraded")).to_contain_text("only 4 of the 10 items asked for")
    cluster = served[2].world.cluster
    assert len({cluster[item or ""] for item in ids(onwards)}) == 4


def test_items_are_dragged_and_moved_by_the_keyboard(page: Page, served: Served) -> None:
    items = list(served[2].world.successor)[:3]
    for item in items:
        add(page, item)
    rows = page.locator("#list > li")
    expect(rows).to_have_count(3)
    rows.nth(2).drag_to(rows.nth(0))
    expect(rows.first).to_have_attribute("data-item", items[2])
    assert ids(rows) == [items[2], items[0], items[1]]
    rows.first.get_by_role("button", name="Move", exact=False).and_(page.locator(".down")).press("Enter")
    expect(rows.first).to_have_attribute("data-item", items[0])
    rows.first.locator(".remove").press("Enter")
    expect(rows).to_have_count(2)


def test_the_order_switch_changes_who_answers(page: Page, served: Served) -> None:
    add(page, next(iter(served[2].world.successor)))
    expect(page.locator("#similar > li").first).to_be_visible()
    with page.expect_request("**/v1/playlists/similar") as sent:
        page.get_by_label("Order matters").uncheck(force=True)
    assert (sent.value.post_data_json or {})["order"] == "free"
    with page.expect_request("**/v1/playlists/continue") as sent:
        page.get_by_label("Order matters").check(force=True)
    assert (sent.value.post_data_json or {})["order"] == "sensitive"


def test_titles_of_alternatives_have_the_width_of_their_column(page: Page, served: Served) -> None:
    add(page, next(iter(served[2].world.successor)))
    page.get_by_label("Alternatives").select_option("5")
    expect(page.locator(".alternative")).to_have_count(5)
    row = page.locator(".alternative").nth(4).locator("li").first
    title, whole = row.locator(".title").bounding_box(), row.bounding_box()
    assert title is not None
    assert whole is not None
    assert title["width"] > 0.85 * whole["width"]


def test_a_name_alone_is_continued_and_a_similar_list_opened(page: Page, served: Served) -> None:
    with page.expect_request("**/v1/playlists/continue") as sent:
        page.get_by_label("Name of the list").fill(f"{NAMES[1]} mix")
    assert (sent.value.post_data_json or {})["order"] is None  # no items, no order
    expect(page.locator("#continuation .items > li").first).to_be_visible()
    row = page.locator("#similar > li").first
    playlist = served[1].playlist(row.get_attribute("data-list") or "")
    row.get_by_role("button", name="Open ").click()
    expect(page.locator("#list > li")).to_have_count(len(playlist.item_ids))
    assert ids(page.locator("#list > li")) == list(playlist.item_ids)
    expect(page.get_by_label("Name of the list")).to_have_value(playlist.name or "")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#continuation-empty")).to_be_visible()
