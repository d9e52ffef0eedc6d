"""Commands that recommend items for a user, a history, an item or a text."""

from dataclasses import asdict
from typing import Annotated

import typer

from recsys.cli.options import (
    Bundle,
    Explain,
    HistoryFilters,
    ItemCount,
    LiveModelOptions,
    PartOptions,
    TruncationOptions,
    set_options,
    with_options,
)
from recsys.cli.shared import fail, open_recommender, parse_ids, print_answer
from recsys.settings import Settings


@with_options
def recommend(
    user: Annotated[str | None, typer.Argument(help="A stored user.")] = None,
    *,
    history: Annotated[str | None, typer.Option(help="Item ids, oldest first, separated by commas.")] = None,
    k: ItemCount = 10,
    part: PartOptions,
    live: LiveModelOptions,
    filters: HistoryFilters,
    truncation: TruncationOptions,
    explain: Explain = False,
) -> None:
    """The best items for a stored user, or after a history given here."""
    from recsys.service import Options

    item_ids = None if history is None else parse_ids(history)
    if (user is None) == (item_ids is None):
        fail("give either a user or --history")
    more = set_options(asdict(live) | asdict(filters) | asdict(truncation))
    options = Options(k=k, encoder=part.encoder, explain=explain, **more)
    with open_recommender(Settings(), bundle=part.bundle) as (recommender, _):
        print_answer(recommender.recommend(user_id=user, history=item_ids, options=options))


@with_options
def similar(
    item: Annotated[str, typer.Argument(help="An item id.")],
    *,
    k: ItemCount = 10,
    part: PartOptions,
    truncation: TruncationOptions,
) -> None:
    """The items that fit best beside one item."""
    from recsys.service import Options

    options = Options(k=k, encoder=part.encoder, **asdict(truncation))
    with open_recommender(Settings(), bundle=part.bundle) as (recommender, _):
        print_answer(recommender.similar(item, options=options))


@with_options
def search(
    text: Annotated[str, typer.Argument(help="Words to find items by.")],
    *,
    k: ItemCount = 10,
    domain: Annotated[str | None, typer.Option(help="Find items of this domain alone.")] = None,
    user: Annotated[str | None, typer.Option(help="A stored user, whose taste counts, too.")] = None,
    history: Annotated[str | None, typer.Option(help="Or item ids, oldest first, separated by commas.")] = None,
    bundle: Bundle = None,
    truncation: TruncationOptions,
) -> None:
    """The items that fit a text best: by its words, typing errors forgiven, and by what it means."""
    from recsys.service import Options

    item_ids = None if history is None else parse_ids(history)
    if user is not None and item_ids is not None:
        fail("give either --user or --history")
    options = Options(k=k, **asdict(truncation))
    with open_recommender(Settings(), bundle=bundle) as (recommender, _):
        print_answer(recommender.search_text(text, domain=domain, user_id=user, history=item_ids, options=options))
