"""Commands that continue a list, or find stored lists similar to it."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from recsys.cli.options import Explain, ListCount, Order, PartOptions, set_options, with_options
from recsys.cli.shared import console, fail, items_table, open_recommender, parse_ids, print_degraded
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.service import Recommender
    from recsys.service.playlists.questions import ContinueOptions, SimilarLists, SimilarOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInput:
    """A stored list, or the items and the name of one that need not be stored."""

    playlist: Annotated[str | None, typer.Argument(help="A stored playlist.")] = None
    items: Annotated[str | None, typer.Option(help="Item ids of a list, in order, separated by commas.")] = None
    name: Annotated[str | None, typer.Option(help="The name of the list.")] = None

    def items_and_name(self, recommender: "Recommender") -> tuple[list[str], str | None]:
        """The item ids and the name of the list. Ends the command where both a stored list and items were given."""
        if self.playlist is None:
            return parse_ids(self.items), self.name
        if self.items is not None:
            fail("give either a stored playlist or --items")
        stored = recommender.lists.stored(self.playlist)
        return list(stored.item_ids), self.name or stored.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuationOptions:
    """How a list is continued."""

    alternatives: Annotated[int, typer.Option(min=1, max=8, help="How many continuations.")] = 1
    repeats: Annotated[bool, typer.Option("--repeats", help="Items of the list may come back.")] = False
    order: Order = None
    exclude: Annotated[str | None, typer.Option(help="Item ids not to show, separated by commas.")] = None
    strength: Annotated[
        float | None, typer.Option(min=0, help="What an item loses for each earlier alternative with it.")
    ] = None
    same_group: Annotated[float, typer.Option(min=0, help="What it loses for each earlier one of its artist.")] = 0.0
    most_of_group: Annotated[int | None, typer.Option(min=1, help="Most items of one artist.")] = None
    explain: Explain = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilters:
    """Which stored lists are compared, and how."""

    order: Order = None
    name_contains: Annotated[str | None, typer.Option(help="Part of the name, in any case.")] = None
    min_length: Annotated[int | None, typer.Option(min=0, help="Fewest items.")] = None
    max_length: Annotated[int | None, typer.Option(min=0, help="Most items.")] = None
    holds: Annotated[str | None, typer.Option(help="An item that they hold.")] = None


@with_options
def continue_list(
    playlist: ListInput, *, k: ListCount = 10, continuation: ContinuationOptions, part: PartOptions
) -> None:
    """What comes after a stored list, a list given here, or a name alone."""
    options = continue_options(k, part, asdict(continuation))
    with open_recommender(Settings(), bundle=part.bundle) as (recommender, _):
        answer = recommender.lists.continued(*playlist.items_and_name(recommender), options)
    for number, alternative in enumerate(answer.alternatives, start=1):
        console.print(items_table(alternative.items, title=f"{answer.encoder}, alternative {number}"))
    print_degraded(answer.degraded)


@with_options
def similar_lists(playlist: ListInput, *, k: ListCount = 10, filters: ListFilters, part: PartOptions) -> None:
    """The stored lists most like a stored one, or one given here."""
    from recsys.service.playlists.questions import SimilarOptions

    values = asdict(filters) | {"name_contains": filters.name_contains or None}
    options = SimilarOptions(k=k, encoder=part.encoder, **values)
    with open_recommender(Settings(), bundle=part.bundle) as (recommender, _):
        answer = _similar(recommender, playlist, options)
    table = Table("rank", "playlist", "name", "items", "score", title=answer.encoder)
    for rank, row in enumerate(answer.playlists, start=1):
        table.add_row(str(rank), row.playlist_id, row.name or "", str(row.length), f"{row.score:.3f}")
    console.print(table)
    print_degraded(answer.degraded)


def continue_options(k: int, part: PartOptions, values: dict[str, Any]) -> "ContinueOptions":
    """The options of the service; those of `values` that are None keep their defaults there."""
    from recsys.service.playlists.questions import ContinueOptions

    excluded = {"exclude": tuple(parse_ids(values["exclude"]))} if values.get("exclude") is not None else {}
    return ContinueOptions(k=k, encoder=part.encoder, **set_options(values) | excluded)


def _similar(recommender: "Recommender", playlist: ListInput, options: "SimilarOptions") -> "SimilarLists":
    """Compares a stored list as it stands in the index, where nothing else was given, and otherwise as one sent along."""
    if playlist.playlist is not None and playlist.items is None and playlist.name is None:
        return recommender.lists.similar_to(playlist.playlist, options)
    return recommender.lists.similar(*playlist.items_and_name(recommender), options)
