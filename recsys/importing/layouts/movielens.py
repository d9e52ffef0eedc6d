"""MovieLens folders as GroupLens publishes them: ml-100k (u.data), ml-1m and ml-10m (ratings.dat), ml-20m and later (CSV).

Times have many ties, for a user rates a page of films at once: the order of the file decides among them, as for every
import. Source: the README files of the sets; Harper and Konstan, ACM TiiS 2015, doi:10.1145/2827872.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from recsys.importing.layouts.layout import Layout
from recsys.importing.readers import Rows, read_csv

GENRES = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The meaning of the 19 flags at the end of a line of u.item (u.genre)."""
EVENT = ("user_id", "item_id", "rating", "timestamp")
YEAR = re.compile(r"\((\d{4})\)\s*$")


def _u_data(path: Path) -> Rows:
    return _events(_split(path, "\t"))


def _u_item(path: Path) -> Rows:
    for values in _split(path, "|"):
        if len(values) != 5 + len(GENRES):
            yield ValueError(f"wrong width: {len(values)} values in place of {5 + len(GENRES)}")
            continue
        genres = [genre for genre, flag in zip(GENRES, values[5:], strict=True) if flag == "1"]
        yield _film(values[0], values[1], genres)


def _ratings_dat(path: Path) -> Rows:
    return _events(_split(path, "::"))


def _movies_dat(path: Path) -> Rows:
    for values in _split(path, "::"):
        if len(values) != 3:
            yield ValueError(f"wrong width: {len(values)} values in place of 3")
            continue
        yield _film(values[0], values[1], values[2].split("|"))


def _ratings_csv(path: Path) -> Rows:
    for row in read_csv(path, ("userId", "movieId", "rating", "timestamp")):
        if isinstance(row, ValueError):
            yield row
        else:
            yield dict(zip(EVENT, (row["userId"], row["movieId"], row["rating"], row["timestamp"]), strict=True))


def _movies_csv(path: Path) -> Rows:
    for row in read_csv(path, ("movieId", "title", "genres")):
        yield (
            row
            if isinstance(row, ValueError)
            else _film(row["movieId"], row["title"], (row["genres"] or "").split("|"))
        )


def _events(lines: Iterator[list[str]]) -> Rows:
    for values in lines:
        if len(values) == len(EVENT):
            yield dict(zip(EVENT, values, strict=True))
        else:
            yield ValueError(f"wrong width: {len(values)} values in place of {len(EVENT)}")


def _film(item_id: str | None, title: str | None, genres: Sequence[str]) -> dict[str, object]:
    title = title or ""
    year = YEAR.search(title)
    return {
        "item_id": item_id,
        "domain": "films",
        "title": (title[: year.start()].rstrip() if year else title) or None,
        "year": year[1] if year else None,
        "genres": ", ".join(genre for genre in genres if genre and genre != "(no genres listed)") or None,
    }


def _split(path: Path, separator: str) -> Iterator[list[str]]:
    """The values of each line. The older sets are Latin-1, the later ones UTF-8: a line that is no UTF-8 is Latin-1."""
    with path.open("rb") as file:
        for line in file:
            try:
                text = line.decode()
            except UnicodeDecodeError:
                text = line.decode("latin-1")
            if text := text.rstrip("\r\n"):
                yield text.split(separator)


LAYOUT = Layout(
    readers={
        "items": {"u.item": _u_item, "movies.dat": _movies_dat, "movies.csv": _movies_csv},
        "events": {"u.data": _u_data, "ratings.dat": _ratings_dat, "ratings.csv": _ratings_csv},
    }
)
