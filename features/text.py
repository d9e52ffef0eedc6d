"""Items as text: the key-value form that text encoders read.

The work is linear in the input and bounded per item, whatever the input is.
"""

import html
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from features.unicode import normalise

TEXT_VERSION = 1
"""To be raised with every change of what `item_text` returns: stored texts of other versions are cleaned again."""

HIDDEN = (
    (re.compile(r"<(?=script\b)", re.IGNORECASE), re.compile(r".*(?=</script\s*>)", re.IGNORECASE | re.DOTALL)),
    (re.compile(r"<(?=style\b)", re.IGNORECASE), re.compile(r".*(?=</style\s*>)", re.IGNORECASE | re.DOTALL)),
    (re.compile(r"<(?=!--)"), re.compile(r".*(?=-->)", re.DOTALL)),
)
"""How scripts, style sheets and comments begin, and all that stands before the last end of one."""
NOT_DISPLAYED = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?[a-z!][^<>]{0,500}>", re.IGNORECASE)
SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
HUGE_REFERENCE = re.compile(r"&#\d{10,};?")
"""`html.unescape` fails on references of thousands of digits."""
MAX_VALUE_CHARS = 4000
"""A longer value is truncated: no encoder reads more."""
MAX_RAW_CHARS = 4 * MAX_VALUE_CHARS
"""A longer value is cut before it is cleaned; markup may be most of it."""
MAX_ITEM_CHARS = 8000
"""A longer text of an item is truncated: no encoder reads more."""
TITLE = "title: "
"""Begins the text of an item that has a title."""
SEPARATOR = " | "
"""Between the attributes in the text of an item."""
MAX_ENTRIES = 4000
"""Attributes of an item, and elements of a list with those in lists within it, that are looked at."""


def item_text(title: str | None, attributes: Mapping[str, Any]) -> str:
    """`title: ... | brand: ...`, attributes in alphabetical order without empty ones; "" for an item without text.

    Unicode is normalised (NFKC), format characters are removed, HTML entities decoded and tags removed. At most `MAX_ITEM_CHARS`.
    """
    pairs = [("title", title), *islice(sorted(attributes.items()), MAX_ENTRIES)]
    cleaned = ((key, clean(value)) for key, value in pairs)
    return SEPARATOR.join(_enough(f"{_name(key)}: {text}" for key, text in cleaned if text))[:MAX_ITEM_CHARS].rstrip()


def title_of(text: str) -> str:
    """The title in the text of an item; empty where it has none."""
    return text.split(SEPARATOR, 1)[0].removeprefix(TITLE) if text.startswith(TITLE) else ""


def values_of(text: str) -> str:
    """The values of all attributes in the text of an item, without the names."""
    return " ".join(pair.split(": ", 1)[-1] for pair in text.split(SEPARATOR))


def item_text_from_json(title: str | None, attributes: str) -> str:
    """`item_text` for attributes given as a JSON object."""
    return item_text(title, json.loads(attributes))


def clean(value: Any) -> str:
    """One value as plain text on one line; lists are joined by commas, null and NaN are empty."""
    match value:
        case None:
            return ""
        case str():
            return _plain(value)
        case list() | tuple():
            return ", ".join(_enough(filter(None, map(clean, islice(_elements(value), MAX_ENTRIES)))))
        case float() if math.isnan(value):
            return ""
        case _:
            return _plain(json.dumps(value, ensure_ascii=False))


def _elements(values: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    """The elements of a list with those of lists within it, in order; an empty list is an element without text."""
    for value in values:
        if isinstance(value, list | tuple) and value:
            yield from _elements(value)
        else:
            yield None if isinstance(value, list | tuple) else value


def _enough(texts: Iterable[str]) -> Iterator[str]:
    """The first of `texts`, as many as it takes for `MAX_ITEM_CHARS`."""
    size = 0
    for text in texts:
        yield text
        size += len(text)
        if size >= MAX_ITEM_CHARS:
            return


def _name(key: str) -> str:
    return key[:MAX_VALUE_CHARS] if key.isascii() else _plain(key)


def _plain(text: str) -> str:
    text = text[:MAX_RAW_CHARS]
    if "&" in text:
        text = html.unescape(HUGE_REFERENCE.sub("\ufffd", text))
    text = normalise(text, max_chars=MAX_RAW_CHARS)
    if "<" in text:
        text = TAG.sub(" ", _displayed(text))
    return SPACE.sub(" ", text).strip()[:MAX_VALUE_CHARS].rstrip()


def _displayed(text: str) -> str:
    """`text` with a blank for each comment, script and style sheet; one without an end is text.

    `NOT_DISPLAYED` would look for each missing end as far as the text goes: what begins after the last end is hidden from it.
    """
    text = text.replace("\0", " ")
    for begin, before_last_end in HIDDEN:
        if begin.search(text):
            last = before_last_end.match(text)
            cut = last.end() if last else 0
            text = text[:cut] + begin.sub("<\0", text[cut:])
    return NOT_DISPLAYED.sub(" ", text).replace("\0", "")
