"""Items as text, whatever people put into their catalogues."""

import html
import json
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.text import MAX_ITEM_CHARS, MAX_VALUE_CHARS, clean, item_text, item_text_from_json, title_of, values_of
from recsys.encoders.normalize import MAX_CHARACTERS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def test_title_comes_first_and_attributes_in_alphabetical_order() -> None:
    assert item_text("Hammer", {"weight": 2, "brand": "Acme"}) == "title: Hammer | brand: Acme | weight: 2"


@pytest.mark.parametrize(
    ("title", "attributes", "values"),
    [
        ("Hammer: claw", {"weight": 2, "brand": "Acme"}, "Hammer: claw Acme 2"),
        (None, {"brand": "Acme"}, "Acme"),
        (None, {}, ""),
    ],
)
def test_the_title_and_the_values_can_be_taken_out_again(
    title: str | None, attributes: dict[str, object], values: str
) -> None:
    text = item_text(title, attributes)
    assert (title_of(text), values_of(text)) == (title or "", values)


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


def unbounded_clean(text: str) -> str:
    """As `clean` once was: quadratic where something has no end, but too simple to be wrong in the same way."""
    text = unicodedata.normalize("NFKC", html.unescape(text))
    displayed = re.sub(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", " ", text, flags=re.IGNORECASE | re.DOTALL)
    plain = re.sub(r"[\s\x00-\x1f\x7f]+", " ", re.sub(r"</?[a-z!][^<>]{0,500}>", " ", displayed, flags=re.IGNORECASE))
    return plain.strip()[:MAX_VALUE_CHARS].rstrip()


# fmt: off
WORDS = [
    "Hammer, 3 < 4 & 5 > 4", "Müller & Söhne", "naïve café", "Crème brûlée (2 \xd7 250 g)", "50 % off!", "Ⅷ. Sinfonie",
    "½ inch", "x² + y²", "€19.99", "Привет, мир", "Ελληνικά", "שָׁלוֹם עוֹלָם", "مرحبا بالعالم", "ﷺ", "हिन्दी में",
    "ภาษาไทย", "你好\uff0c世界", "ﾎﾟｹﾓﾝ", "㌔ ㌀", "한국어", "Tiếng Việt", "🎸 🔥", "<b>bold</b>",
    "<p class='a'>Solid&nbsp;oak</p>", "&lt;i&gt;x&lt;/i&gt;", "&#39;60s", "&#x1F3B8;", "&copy 2020", "AT&T", "a<b",
    "<3", "<br/>", "<!-- old -->", "<script>alert(1)</script>", "<SCRIPT src=x>y</Script >", "<style>p{}</style>",
    "<!-- open", "<script> open", "--> end", "</script> end", "<!-- a <script> b --> c </script>",
    "<script> <!-- </script> -->", "<!-->", "<!--->", "\uff1cLive\uff1e", "tab\x09and\x0d\x0aline", "\x00nul\x1f",
    "C++ / C#", "http://a.b/?c=d&e=f", "{'k': [1, 2]}", "e\u0301te\u0301", "I\u0307stanbul", "100\xa0km", "--", "-->",
    "word", "1", "007",
]
# fmt: on


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), st.sampled_from(["", " ", ", ", "\n"]))
@settings(max_examples=600)
def test_ordinary_texts_are_cleaned_as_ever(words: list[str], separator: str) -> None:
    text = separator.join(words)
    assert clean(text) == unbounded_clean(text)


@given(
    st.lists(
        st.sampled_from(["<", "!--", "-->", "script", "</", "style", ">", " ", "x", "<script>", "</script>"]),
        max_size=14,
    )
)
@settings(max_examples=600)
def test_markup_is_taken_out_as_ever(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert clean(text) == unbounded_clean(text)


SLOW = [
    "<!--",
    "--><!--",
    "<script",
    "<script></style>",
    "</script",
    "<b",
    "&",
    "&lt",
    "&lt;!--",
    "a\u0301\u0316",
    "\ufdfa",
    "\u3316",
]


@pytest.mark.slow
@pytest.mark.parametrize("unit", [*SLOW, "\u0301\u0316\u0334", "<!---->", "\u200b", "&#1;"])
def test_five_megabytes_built_to_be_slow_cost_a_second(unit: str) -> None:
    """As a thousand items, as one item of many attributes, and as one list."""
    value = unit * (5000 // len(unit.encode()))
    items = [{"d": value}] * 1000, [{str(number): value for number in range(1000)}], [{"list": [value] * 1000}]
    for body in items:
        begin = time.process_time()
        for attributes in body:
            item_text(None, attributes)
        assert time.process_time() - begin < 2  # below 1 where nothing else runs


def test_a_long_item_is_cut_where_no_encoder_reads_on() -> None:
    item = item_text("x", {f"{number:04}": "word " * 100 for number in range(5000)})
    assert len(item) <= MAX_ITEM_CHARS == MAX_CHARACTERS
    assert len(clean([["word"] * 100_000])) < 2 * MAX_ITEM_CHARS


def test_a_reference_of_thousands_of_digits_is_no_character() -> None:
    assert clean(f"a&#{'1' * 5000};b") == "a\ufffdb"


@pytest.mark.parametrize("invisible", ["\u200b", "\u3164", "\ufe0f", "&#8203;", "\u202e\u2066"])
def test_what_nobody_sees_is_no_text_and_parts_no_word(invisible: str) -> None:
    assert item_text(invisible, {"brand": [invisible]}) == ""
    assert item_text(f"ham{invisible}mer", {f"bränd{invisible}": "x"}) == "title: hammer | bränd: x"
    assert clean(f"<scr{invisible}ipt>x</script>y") == "y"
