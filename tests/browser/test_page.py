"""The page in a real browser: search an item, build a history by clicking, see recommendations change at once."""

import pytest
from playwright.sync_api import Page, expect

from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]


def test_a_history_built_by_clicking_changes_the_recommendations(page: Page, served: Served) -> None:
    recommender, _, planted = served
    start, after = next(iter(planted.world.successor.items()))
    items = page.locator("#items > li")
    expect(items).to_have_count(10)
    expect(page.locator("#degraded")).to_contain_text("popular items are shown")

    page.get_by_role("combobox", name="Search for an item").fill(start)
    page.locator("#hits > li").first.click()
    expect(page.locator("#history > li")).to_have_count(1)
    expect(items.first).to_have_attribute("data-item", after)
    answer = recommender.recommend(history=[start])
    assert [item.get_attribute("data-item") for item in items.all()] == [item.item_id for item in answer.items]
    expect(items.first.locator(".source")).to_have_text(answer.items[0].source)
    expect(items.first.locator(".number")).to_have_text(f"{answer.items[0].score:.3f}")

    items.first.get_by_role("button", name="Add ").click()  # a recommendation becomes history
    expect(page.locator("#history > li")).to_have_count(2)
    expect(items.first).to_have_attribute("data-item", planted.world.successor[after])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#degraded")).to_contain_text("popular items are shown")


def test_a_history_is_built_by_the_keyboard_alone(page: Page, served: Served) -> None:
    start, after = next(iter(served[2].world.successor.items()))
    items = page.locator("#items > li")
    field = page.get_by_role("combobox", name="Search for an item")
    for _ in range(10):
        page.keyboard.press("Tab")
        if field.evaluate("field => field === document.activeElement"):
            break
    page.keyboard.type(start)
    expect(page.locator("#hits > li")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "hit-0")
    page.keyboard.press("Enter")
    expect(items.first).to_have_attribute("data-item", after)
    add = items.first.get_by_role("button", name="Add ")
    add.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#history > li")).to_have_count(2)
    expect(page.locator(f"#items > li[data-item='{after}']")).to_have_count(0)
    expect(items.first.get_by_role("button", name="Add ")).to_be_focused()
    items.first.get_by_role("button", name="Similar").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#similar-items > li")).to_have_count(10)
    page.keyboard.press("Escape")
    expect(page.locator("#similar")).to_be_hidden()


@pytest.mark.parametrize("stored", ["{}", "[", '[{"item_id": 5}, null]', "null"])
def test_a_stored_history_that_is_damaged_is_left_out(page: Page, stored: str) -> None:
    page.evaluate("text => localStorage.setItem('recsys-history', text)", stored)
    page.reload()
    expect(page.locator("#items > li")).to_have_count(10)
    expect(page.locator("#history > li")).to_have_count(0)


def test_what_is_not_found_is_said(page: Page) -> None:
    page.get_by_role("combobox", name="Search for an item").fill("%_<b>\\'\"")
    expect(page.locator("#search-note")).to_contain_text("No item has “%_<b>")


def test_another_encoder_answers_when_chosen(page: Page) -> None:
    page.get_by_label("Encoder").select_option("popular")
    expect(page.locator("#trace")).to_contain_text("answered by popular")
    expect(page.locator("#figures")).to_contain_text("sasrec-hybrid")


def test_titles_are_text_and_never_markup(page: Page, served: Served) -> None:
    served[0].put_items([ItemDraft(item_id="x", title="<img src=x onerror=alert(1)> zzz")])
    page.get_by_role("combobox", name="Search for an item").fill("zzz")
    expect(page.locator("#hits > li").first).to_contain_text("<img src=x")
    page.locator("#hits > li").first.click()
    expect(page.locator("#history")).to_contain_text("<img src=x")
    assert page.locator("#history img").count() == 0


def test_an_item_deleted_meanwhile_is_said(page: Page, served: Served) -> None:
    recommender, _, planted = served
    gone = next(iter(planted.world.successor))
    page.get_by_role("combobox", name="Search for an item").fill(gone)
    page.locator("#hits > li").first.click()
    expect(page.locator("#history > li")).to_have_count(1)
    recommender.delete_item(gone)
    page.get_by_label("Include seen").check(force=True)
    expect(page.locator(f"#items > li[data-item='{gone}']")).to_have_count(0)


def test_a_service_that_is_gone_is_said(page: Page) -> None:
    expect(page.locator("#items > li")).to_have_count(10)
    page.route("**/v1/recommendations", lambda route: route.abort())
    page.get_by_label("Show").select_option("5")
    expect(page.locator("#failure")).to_contain_text("cannot be reached")
    page.unroute("**/v1/recommendations")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#failure")).to_be_hidden()
    expect(page.locator("#items > li")).to_have_count(5)


def test_a_live_model_answers_over_a_window(page: Page, served: Served) -> None:
    recommender, _, planted = served
    item_id = next(iter(planted.world.successor))
    recommender.add_events([EventDraft(user_id="u", item_id=item_id)])
    page.get_by_label("Encoder").select_option("trending now")
    expect(page.locator("#trace")).to_contain_text("answered by trending")
    expect(page.locator("#items > li")).to_have_count(1)
    expect(page.locator("#items > li")).to_have_attribute("data-item", item_id)
    assert page.get_by_label("Window").locator("option").all_inner_texts() == [
        "30 days",
        "7 days",
        "24 hours",
        "1 hour",
    ]
    page.get_by_label("Encoder").select_option("newest now")
    page.get_by_label("Window").select_option("all time")
    expect(page.locator("#items > li")).to_have_count(10)
    page.get_by_label("Encoder").select_option("")
    expect(page.get_by_label("Window")).to_be_hidden()


def test_a_narrow_page_scrolls_down_alone_and_shows_whole_titles(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#items > li")).to_have_count(10)
    expect(page.locator("#protocol")).not_to_be_empty()
    page.locator("#protocol").evaluate(
        "hint => { hint.textContent += 'f'.repeat(64) }"
    )  # as long as a hash of a bundle
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#items .title b").evaluate_all("titles => titles.every(b => b.scrollWidth <= b.clientWidth)")
