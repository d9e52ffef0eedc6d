"""Items as text: the key-value form that text encoders read."""

import html
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

TAG = re.compile(r"<[^<>]{1,200}>")
SPACE = re.compile(r"\s+")
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
    """One value as plain text; lists are joined by commas, null is empty."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, (clean(one) for one in value)))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = unicodedata.normalize("NFKC", html.unescape(text[:LONGEST]))
    return SPACE.sub(" ", TAG.sub(" ", text)).strip()
