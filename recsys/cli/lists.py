"""Commands that ask about lists."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from recsys.cli.shared import console, fail, ids, open_recommender, tell
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.service import Recommender

Stored = Annotated[str | None, typer.Argument(help="A stored playlist.")]
Items = Annotated[str | None, typer.Option(help="Item ids of a list, in order, separated by commas.")]
Name = Annotated[str | None, typer.Option(help="The name of the list.")]
Many = Annotated[int, typer.Option("--k", min=1, max=1000, help="How many.")]
Encoder = Annotated[str | None, typer.Option(help="Part that answers; by default the bundle's.")]
Bundle = Annotated[str | None, typer.Option(help="URI of a bundle; by default the active one.")]


def continue_list(
    playlist: Stored = None,
    items: Items = None,
    name: Name = None,
    k: Many = 10,
    alternatives: Annotated[int, typer.Option(min=1, max=8, help="How many continuations.")] = 1,
    repeats: Annotated[bool, typer.Option("--repeats", help="Items of the list may come back.")] = False,
    order: Annotated[Literal["sensitive", "free"] | None, typer.Option(help="Does the order count?")] = None,
    exclude: Annotated[str | None, typer.Option(help="Item ids not to show, separated by commas.")] = None,
    strength: Annotated[
        float | None, typer.Option(min=0, help="What an item loses for each earlier alternative with it.")
    ] = None,
    same_group: Annotated[float, typer.Option(min=0, help="What it loses for each earlier one of its artist.")] = 0.0,
    most_of_group: Annotated[int | None, typer.Option(min=1, help="Most items of one artist.")] = None,
    encoder: Encoder = None,
    bundle: Bundle = None,
) -> None:
    """What comes after a stored list, a list given here, or a name alone."""
    from recsys.retrieval.lists.encoder import STRENGTH
    from recsys.service.playlists.questions import ContinueOptions

    with open_recommender(Settings(), bundle=bundle) as (recommender, _):
        item_ids, name = _list(recommender, playlist, items, name)
        options = ContinueOptions(
            k=k,
            alternatives=alternatives,
            repeats=repeats,
            order=order,
            exclude=ids(exclude),
            strength=STRENGTH if strength is None else strength,
            same_group=same_group,
            most_of_group=most_of_group,
            encoder=encoder,
        )
        answer = recommender.lists.continued(item_ids, name, options)
    for number, one in enumerate(answer.alternatives, start=1):
        table = Table("rank", "item", "title", "score", "source", title=f"{answer.encoder}, alternative {number}")
        for rank, item in enumerate(one.items, start=1):
            table.add_row(str(rank), item.item_id, item.title or "", f"{item.score:.3f}", item.source)
        console.print(table)
    tell(answer.degraded)


def similar_lists(
    playlist: Stored = None,
    items: Items = None,
    name: Name = None,
    k: Many = 10,
    order: Annotated[Literal["sensitive", "free"] | None, typer.Option(help="Does the order count?")] = None,
    name_contains: Annotated[str | None, typer.Option(help="Part of the name, in any case.")] = None,
    min_length: Annotated[int | None, typer.Option(min=0, help="Fewest items.")] = None,
    max_length: Annotated[int | None, typer.Option(min=0, help="Most items.")] = None,
    holds: Annotated[str | None, typer.Option(help="An item that they hold.")] = None,
    encoder: Encoder = None,
    bundle: Bundle = None,
) -> None:
    """The stored lists most like a stored one, or one given here."""
    from recsys.service.playlists.questions import SimilarOptions

    options = SimilarOptions(
        k=k,
        order=order,
        encoder=encoder,
        name_contains=name_contains or None,
        min_length=min_length,
        max_length=max_length,
        holds=holds,
    )
    with open_recommender(Settings(), bundle=bundle) as (recommender, _):
        if playlist is not None and items is None and name is None:
            answer = recommender.lists.similar_to(playlist, options)
        else:
            answer = recommender.lists.similar(*_list(recommender, playlist, items, name), options)
    table = Table("rank", "playlist", "name", "items", "score", title=answer.encoder)
    for rank, one in enumerate(answer.playlists, start=1):
        table.add_row(str(rank), one.playlist_id, one.name or "", str(one.length), f"{one.score:.3f}")
    console.print(table)
    tell(answer.degraded)


def _list(
    recommender: "Recommender", playlist: str | None, items: str | None, name: str | None
) -> tuple[list[str], str | None]:
    if playlist is not None and items is not None:
        fail("give either a stored playlist or --items")
    if playlist is not None:
        stored = recommender.lists.stored(playlist)
        return list(stored.item_ids), name or stored.name
    return list(ids(items)), name
