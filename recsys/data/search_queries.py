"""Queries made from the items' own texts, each with the item that it is about: no log of queries is needed."""

import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from features.text import title_of, values_of

ERRORS = 4
"""Misspelt words of a query with many errors, one error each."""
MIN_LETTERS = 3
"""A word that is misspelt among several has as many letters, at least."""
PART_WORDS = (2, 6)
"""Fewest and most words of a part of a text."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """`text` of the `kind` of `KINDS`, made from the item at `row`."""

    kind: str
    row: int
    text: str


def search_queries(texts: Sequence[str], *, items: int, seed: int) -> list[SearchQuery]:
    """Queries of all kinds from up to `items` of the items with a title, by their `texts`; each item's stand together.

    An item's queries depend on its text and the seed alone.
    """
    rows = [row for row, text in enumerate(texts) if any(map(str.isalnum, title_of(text)))]
    chosen = sorted(random.Random(seed).sample(rows, min(items, len(rows))))
    return [query for row in chosen for query in _queries(row, texts[row], random.Random(f"{seed} {texts[row]}"))]


def _queries(row: int, text: str, generator: random.Random) -> Iterator[SearchQuery]:
    for kind, make in KINDS.items():
        if query := make(text, generator):
            yield SearchQuery(kind, row, query)


def misspelt(text: str, generator: random.Random) -> str:
    """`text` with one letter or digit replaced, left out, added or swapped with the next character."""
    letters = [i for i, c in enumerate(text) if c.isalnum()]
    if not letters:
        return text
    i, letter = generator.choice(letters), generator.choice(string.ascii_lowercase)
    edits = (
        text[:i] + letter + text[i + 1 :],
        text[:i] + text[i + 1 :],
        text[:i] + letter + text[i:],
        text[:i] + text[i + 1 : i + 2] + text[i] + text[i + 2 :],
    )
    return generator.choice([edit for edit in edits if edit != text])


def _one_error(text: str, generator: random.Random) -> str:
    return misspelt(title_of(text), generator)


def _many_errors(text: str, generator: random.Random) -> str:
    """The title with an error in each of `ERRORS` words; empty where it has fewer."""
    words = title_of(text).split()
    long = [i for i, word in enumerate(words) if sum(map(str.isalnum, word)) >= MIN_LETTERS]
    if len(long) < ERRORS:
        return ""
    for i in generator.sample(long, ERRORS):
        words[i] = misspelt(words[i], generator)
    return " ".join(words)


def _part(text: str, generator: random.Random) -> str:
    """Words of the text that stand together."""
    words = values_of(text).split()
    count = generator.randint(*PART_WORDS)
    start = generator.randrange(max(1, len(words) - count + 1))
    return " ".join(words[start : start + count])


KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "title": lambda text, _: title_of(text),
    "one error": _one_error,
    "four errors": _many_errors,
    "part of a text": _part,
}
