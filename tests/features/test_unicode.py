"""What nobody sees is taken out; what is built to be slow is not."""

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.unicode import IGNORABLE, MAX_MARKS, normalise, with_few_marks, without_ignorable

EVERY_CHARACTER = [chr(point) for point in range(sys.maxunicode + 1)]


@pytest.mark.slow
def test_every_format_character_is_ignorable_and_no_visible_one_but_those() -> None:
    ignored = {char for char in EVERY_CHARACTER if IGNORABLE.match(char)}
    assert {char for char in EVERY_CHARACTER if unicodedata.category(char) == "Cf"} <= ignored
    assert {unicodedata.category(char) for char in ignored} == {
        "Cf",
        "Mn",
        "Lo",
        "Cn",
    }  # Lo: Hangul fillers, which are blank


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("ham\u200bmer\ufeff \u202edrill\u202c", "hammer drill"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),  # Persian
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u0937"),  # Hindi
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467"),  # a family
        ("\u2764\ufe0f songs", "\u2764 songs"),
        ("\u3164\U000e0041", ""),
        ("co\u00adop", "coop"),
    ],
)
def test_joiners_and_selectors_go_letters_and_emoji_stay(text: str, plain: str) -> None:
    assert without_ignorable(text) == plain


@given(st.text(max_size=30))
def test_texts_become_nfkc_as_the_library_does_it(text: str) -> None:
    assert normalise(text, max_chars=1000) == unicodedata.normalize("NFKC", without_ignorable(text))


@pytest.mark.parametrize("mark", ["\u0301", "\u3099", "\uff9e", "\U0001d165", "\u0344"])
def test_endless_marks_are_cut(mark: str) -> None:
    assert with_few_marks(f"a{mark * 50}b{mark * 3}") == f"a{mark * MAX_MARKS}b{mark * 3}"
    assert with_few_marks("\U0001f3b8" * 50) == "\U0001f3b8" * 50


def test_marks_in_the_wrong_order_cost_no_quadratic_time() -> None:
    text = "a" + "\u0301\u0316\u0334" * 500_000
    begin = time.process_time()
    normalise(text, max_chars=len(text))
    assert time.process_time() - begin < 1
