"""Commands that ask the recommender."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys.cli.shared import console, fail, ids, open_recommender, show, tell
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.service import Options

Bundle = Annotated[str | None, typer.Option(help="URI of a bundle; by default the active one.")]
Encoder = Annotated[str | None, typer.Option(help="Part that answers; by default the bundle's.")]
Many = Annotated[int, typer.Option("--k", min=1, max=1000, help="How many items.")]
Layers = Annotated[
    int | None, typer.Option(min=1, help="Layers of the text encoder to run, where the part has a choice.")
]
Dims = Annotated[int | None, typer.Option(min=1, help="Numbers of each text vector to compare, likewise.")]
Seen = Annotated[bool | None, typer.Option(help="May items of the history come back? By default the bundle's rule.")]


def recommend(
    user: Annotated[str | None, typer.Argument(help="A stored user.")] = None,
    history: Annotated[str | None, typer.Option(help="Item ids, oldest first, separated by commas.")] = None,
    k: Many = 10,
    encoder: Encoder = None,
    bundle: Bundle = None,
    include_seen: Seen = None,
    layers: Layers = None,
    dims: Dims = None,
) -> None:
    """The best items for a stored user, or after a history given here."""
    items = None if history is None else [item.strip() for item in history.split(",") if item.strip()]
    if (user is None) == (items is None):
        fail("give either a user or --history")
    with open_recommender(Settings(), bundle=bundle) as (recommender, _):
        options = replace(_options(k, encoder, layers, dims), include_seen=include_seen)
        show(recommender.recommend(user_id=user, history=items, options=options))


def similar(
    item: Annotated[str, typer.Argument(help="An item id.")],
    k: Many = 10,
    encoder: Encoder = None,
    bundle: Bundle = None,
    layers: Layers = None,
    dims: Dims = None,
) -> None:
    """The items that fit best beside one item."""
    with open_recommender(Settings(), bundle=bundle) as (recommender, _):
        show(recommender.similar(item, options=_options(k, encoder, layers, dims)))


def search(
    text: Annotated[str, typer.Argument(help="Words to find items by.")],
    k: Many = 10,
    domain: Annotated[str | None, typer.Option(help="Find items of this domain alone.")] = None,
    bundle: Bundle = None,
    layers: Layers = None,
    dims: Dims = None,
) -> None:
    """The items whose text is nearest to a text: by meaning, not by letters."""
    with open_recommender(Settings(), bundle=bundle) as (recommender, _):
        show(recommender.find(text, domain=domain, options=_options(k, None, layers, dims)))


def batch(
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    task: Annotated[
        Literal["recommend", "continue", "similar-lists"], typer.Option(help="What to answer, for each user or list.")
    ] = "recommend",
    histories: Annotated[
        Path | None, typer.Option(help="user_id (for lists playlist_id), item_id, position of those not stored.")
    ] = None,
    k: Many = 10,
    encoder: Encoder = None,
    bundle: Bundle = None,
    include_seen: Seen = None,
    layers: Layers = None,
    dims: Dims = None,
    order: Annotated[Literal["sensitive", "free"] | None, typer.Option(help="Lists: does the order count?")] = None,
    alternatives: Annotated[int | None, typer.Option(min=1, help="Continue: how many continuations.")] = None,
    repeats: Annotated[bool | None, typer.Option("--repeats", help="Continue: items of the list may return.")] = None,
    exclude: Annotated[str | None, typer.Option(help="Continue: item ids not to show, by commas.")] = None,
    strength: Annotated[float | None, typer.Option(min=0, help="Continue: as in `recsys continue`.")] = None,
    same_group: Annotated[float | None, typer.Option(min=0, help="Continue: likewise.")] = None,
    most_of_group: Annotated[int | None, typer.Option(min=1, help="Continue: most items of one artist.")] = None,
    name_contains: Annotated[str | None, typer.Option(help="Similar lists: part of their name.")] = None,
    min_length: Annotated[int | None, typer.Option(min=0, help="Similar lists: their fewest items.")] = None,
    max_length: Annotated[int | None, typer.Option(min=0, help="Similar lists: their most items.")] = None,
    holds: Annotated[str | None, typer.Option(help="Similar lists: an item that they hold.")] = None,
) -> None:
    """Score all users, or lists, into a Parquet file. An interrupted run goes on when it is started again."""
    from recsys.batch.users import UNKNOWN, recommend_all

    of_users: dict[str, Any] = {"include_seen": include_seen, "layers": layers, "dims": dims}
    onwards: dict[str, Any] = {
        "order": order,
        "alternatives": alternatives,
        "repeats": repeats,
        "exclude": None if exclude is None else ids(exclude),
        "strength": strength,
        "same_group": same_group,
        "most_of_group": most_of_group,
    }
    alike: dict[str, Any] = {
        "order": order,
        "name_contains": name_contains,
        "min_length": min_length,
        "max_length": max_length,
        "holds": holds,
    }
    own = {"recommend": of_users, "continue": onwards, "similar-lists": alike}
    given = {name: value for name, value in (of_users | onwards | alike).items() if value is not None}
    if other := sorted(given.keys() - own[task].keys()):
        fail(f"--{other[0].replace('_', '-')} says nothing to --task {task}: leave it out")
    if task != "recommend":
        _batch_lists(out, task, histories, bundle, {"k": k, "encoder": encoder} | given)
        return
    with open_recommender(Settings(), bundle=bundle) as (recommender, store), console.status("scoring") as status:
        options = replace(_options(k, encoder, layers, dims), include_seen=include_seen)
        tell(recommender.unmet(options))
        for done in recommend_all(recommender, store, out, options=options, histories=histories):
            status.update(f"{done.users:,} users")
    console.print(f"{out}: {done.users:,} users", soft_wrap=True)
    if not done.users:
        console.print("  nobody to score: import events, or send --histories FILE")
    if unknown := done.told.get(UNKNOWN):
        console.print(f"  {unknown:,} with items that the store does not hold: these were left out")


def _batch_lists(
    out: Path,
    task: Literal["continue", "similar-lists"],
    histories: Path | None,
    bundle: str | None,
    options: dict[str, Any],
) -> None:
    from recsys.batch.lists import score_lists
    from recsys.service.playlists.questions import ContinueOptions, SimilarOptions

    wanted = ContinueOptions(**options) if task == "continue" else SimilarOptions(**options)
    with open_recommender(Settings(), bundle=bundle) as (recommender, store), console.status("scoring") as status:
        for done in score_lists(recommender, store, out, wanted=wanted, histories=histories):
            status.update(f"{done.lists:,} lists")
    console.print(f"{out}: {done.lists:,} lists", soft_wrap=True)
    if done.told:
        console.print("not as asked, or of which nothing could be said (the column degraded has the reasons):")
    for what, lists in sorted(done.told.items()):
        console.print(f"  {what}: {lists:,} lists")


def _options(k: int, encoder: str | None, layers: int | None, dims: int | None) -> "Options":
    from recsys.service import Options

    return Options(k=k, encoder=encoder, layers=layers, dims=dims)
