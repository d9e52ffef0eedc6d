"""Commands that ask the recommender."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recsys.cli.shared import console, fail, open_recommender, show, tell
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
) -> None:
    """Score all users into a Parquet file. An interrupted run goes on when it is started again."""
    from recsys.batch import recommend_all

    if task != "recommend":
        _batch_lists(out, task, histories, k, encoder, bundle)
        return
    with open_recommender(Settings(), bundle=bundle) as (recommender, store), console.status("scoring") as status:
        options = replace(_options(k, encoder, layers, dims), include_seen=include_seen)
        tell(recommender.unmet(options))
        users = 0
        for done in recommend_all(recommender, store, out, options=options, histories=histories):
            users = done.users
            status.update(f"{users:,} users")
    console.print(f"{out}: {users:,} users", soft_wrap=True)


def _batch_lists(
    out: Path,
    task: Literal["continue", "similar-lists"],
    histories: Path | None,
    k: int,
    encoder: str | None,
    bundle: str | None,
) -> None:
    from recsys.batch_lists import ListTask, score_lists

    done, wanted = 0, ListTask(task=task, k=k, encoder=encoder)
    with open_recommender(Settings(), bundle=bundle) as (recommender, store), console.status("scoring") as status:
        for done in score_lists(recommender, store, out, wanted=wanted, histories=histories):
            status.update(f"{done:,} lists")
    console.print(f"{out}: {done:,} lists", soft_wrap=True)


def _options(k: int, encoder: str | None, layers: int | None, dims: int | None) -> "Options":
    from recsys.service import Options

    return Options(k=k, encoder=encoder, layers=layers, dims=dims)
