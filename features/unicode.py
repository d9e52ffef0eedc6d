"""Unicode clean-up in linear time: characters that nobody sees, endless combining marks, compatibility forms."""

import re
import unicodedata
from functools import cache

MAX_MARKS = 30
"""Combining marks in a row; no writing system needs more. Source: Unicode Standard Annex #15, section 13 (stream-safe text)."""
LONG_EXPANSIONS = {
    char: expansion
    for char in map(chr, [*range(0x3200, 0x3400), *range(0xFDF0, 0xFE00)])
    if len(expansion := unicodedata.normalize("NFKC", char)) > 3
}
"""Squared words and Arabic ligatures: NFKC makes 4 to 18 characters of each."""
LONG = re.compile(f"[{''.join(LONG_EXPANSIONS)}]")

IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # Default_Ignorable_Code_Point
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f]+"  # the rest of Cf
)


def without_ignorable(text: str) -> str:
    """`text` without format characters (Cf), variation selectors and fillers: they change how a text looks, not what it says.

    So Persian and Indic words are equal with and without joiners, and an emoji sequence is the emoji that it is made of.
    """
    return text if text.isascii() else IGNORABLE.sub("", text)


def with_few_marks(text: str) -> str:
    """`text` without the combining marks of a row beyond `MAX_MARKS`: normalisation sorts a row in quadratic time."""
    if text.isascii():
        return text
    marks, suspects = _mark_rows()
    return marks.sub(lambda row: row[0][:MAX_MARKS], text) if suspects.search(text) else text


def normalise(text: str, *, max_chars: int) -> str:
    """The start of `text` in NFKC without ignorable characters; no more than `max_chars` characters are normalised."""
    if text.isascii():
        return text[:max_chars]
    text = LONG.sub(lambda char: LONG_EXPANSIONS[char[0]], without_ignorable(text))
    return unicodedata.normalize("NFKC", with_few_marks(text[:max_chars]))


@cache
def _mark_rows() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Too many marks in a row: exactly, and, many times as fast, what may be such a row.

    A mark is what decomposes to a combining character first; all lie below U+1F000.
    """
    points = map(chr, range(0x300, 0x1F000))
    marks = [char for char in points if unicodedata.combining(unicodedata.normalize("NFKD", char)[0])]
    basic = "".join(char for char in marks if char < "\U00010000")  # a set of these is one table look-up
    return (
        re.compile(f"[{''.join(marks)}]{{{MAX_MARKS + 1},}}"),
        re.compile(f"[{basic}\U00010000-\U0010ffff]{{{MAX_MARKS + 1},}}"),
    )
