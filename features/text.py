"""Items as text: the key-value form that text encoders read."""

import html
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

NOT_DISPLAYED = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?[a-z!][^<>]{0,500}>", re.IGNORECASE)
SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
MAX_VALUE_CHARS = 4000
"""A longer value is truncated: no encoder reads more."""


def item_text(title: str | None, attributes: Mapping[str, Any]) -> str:
    """`title: ... | brand: ...`, attributes in alphabetical order without empty ones; "" for an item without text.

    Unicode is normalised (NFKC), HTML entities are decoded and tags removed.
    """
    pairs = [("title", title), *sorted(attributes.items())]
    cleaned = ((key, clean(value)) for key, value in pairs)
    return " | ".join(f"{key}: {text}" for key, text in cleaned if text)


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
            return ", ".join(filter(None, (clean(element) for element in value)))
        case float() if math.isnan(value):
            return ""
        case _:
            return _plain(json.dumps(value, ensure_ascii=False))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", html.unescape(text[: 4 * MAX_VALUE_CHARS]))  # markup may be most of it
    return SPACE.sub(" ", TAG.sub(" ", NOT_DISPLAYED.sub(" ", text))).strip()[:MAX_VALUE_CHARS].rstrip()
