"""Items as text: the key-value form that text encoders read."""

import html
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?[a-z!][^<>]{0,500}>", re.IGNORECASE)
SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
LONGEST = 4000
"""Characters kept of one value: no encoder here reads more."""


def item_text(title: str | None, attributes: Mapping[str, Any]) -> str:
    """`title: ... | brand: ...`, attributes in alphabetical order, empty ones left out; "" for an item without text.

    Unicode is normalised (NFKC), HTML entities are decoded and tags taken out.
    """
    pairs = [("title", title), *sorted(attributes.items())]
    cleaned = ((key, clean(value)) for key, value in pairs)
    return " | ".join(f"{key}: {text}" for key, text in cleaned if text)


def item_text_from_json(title: str | None, attributes: str) -> str:
    """The same for attributes that come as a JSON object."""
    return item_text(title, json.loads(attributes))


def clean(value: Any) -> str:
    """One value as plain text on one line; lists are joined by commas, null and NaN are empty."""
    match value:
        case None:
            return ""
        case str():
            return _plain(value)
        case list() | tuple():
            return ", ".join(filter(None, (clean(one) for one in value)))
        case float() if math.isnan(value):
            return ""
        case _:
            return _plain(json.dumps(value, ensure_ascii=False))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", html.unescape(text[: 4 * LONGEST]))  # markup may be most of it
    return SPACE.sub(" ", TAG.sub(" ", UNSEEN.sub(" ", text))).strip()[:LONGEST].rstrip()
