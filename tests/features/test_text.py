"""Items as text, whatever people put into their catalogues."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.text import MAX_VALUE_CHARS, clean, item_text, item_text_from_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def test_title_comes_first_and_attributes_in_alphabetical_order() -> None:
    assert item_text("Hammer", {"weight": 2, "brand": "Acme"}) == "title: Hammer | brand: Acme | weight: 2"


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_the_order_in_which_attributes_came_does_not_matter(attributes: dict[str, object]) -> None:
    reordered = dict(reversed(attributes.items()))
    assert item_text("x", attributes) == item_text("x", reordered)


@given(st.none() | st.text(max_size=10), st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_it_is_one_normal_line_whatever_comes(title: str | None, attributes: dict[str, object]) -> None:
    values = [clean(value) for value in (title, *attributes.values())]
    assert all(value == value.strip() and "\n" not in value and "\0" not in value for value in values)
    assert all(unicodedata.is_normalized("NFKC", value) for value in values)


@pytest.mark.parametrize("empty", [None, "", "  ", [], [None, ""], float("nan"), "<br/>", "\x00", "&nbsp;"])
def test_what_is_empty_is_left_out(empty: object) -> None:
    assert item_text("Saw", {"brand": empty, "use": "wood"}) == "title: Saw | use: wood"


def test_an_item_without_text_gives_the_empty_text() -> None:
    assert item_text(None, {}) == item_text("", {"a": None}) == ""


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("<p>Solid&nbsp;<b>oak</b></p>", "Solid oak"),
        ("Tom &amp; Jerry &#39;60", "Tom & Jerry '60"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("<script>alert(1)</script>table<!-- old -->", "table"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("\uff26\uff55\uff4c\uff4c\u3000\ufb01le", "Full file"),
        ("a\tb\r\nc", "a b c"),
        ("Привет 你好 🎸", "Привет 你好 🎸"),
    ],
)
def test_markup_and_odd_characters_become_plain_text(raw: str, plain: str) -> None:
    assert clean(raw) == plain


def test_lists_booleans_and_objects_are_written_out() -> None:
    assert clean(["a", 1, None, ["b"]]) == "a, 1, b"
    assert clean(True) == "true"
    assert clean({"k": "ü"}) == '{"k": "ü"}'


def test_a_very_long_value_is_cut() -> None:
    assert len(clean("word " * 10_000)) <= MAX_VALUE_CHARS


def test_json_and_mapping_give_the_same() -> None:
    attributes = {"b": [1, "x"], "a": None}
    assert item_text_from_json("t", json.dumps(attributes)) == item_text("t", attributes)
