"""Two invented logs with published seeds: a shop whose customers say what they dislike, and visits that end in a purchase.

Both know what no real log tells: whether a rejection was meant, and what was bought next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import polars as pl

SHOP_SEED, NOISY_SHOP_SEED, FUNNEL_SEED = 1901, 1902, 1903
NOISE = 0.1
"""Share of wrong labels in the noisy shop: likes stored as dislikes, and the other way round."""

USERS, ITEMS, CATEGORIES = 400, 480, 12
VISITS, VIEWS = (6, 10), (3, 6)
"""Fewest and most of each user, and of each visit."""
TASTES, LIKED, DISLIKED = 6, 3, 2
"""Kinds of customers, and how many categories each likes and dislikes."""
BROWSES = {"liked": 0.65, "disliked": 0.2, "other": 0.15}
"""Of what categories views are."""
EVERY_BAD = 6
"""One in so many items is bad: looked at like the others, and disliked in any category."""
REACTIONS = {
    "liked": {"purchase": 0.2, "like": 0.25, "cart": 0.1, "dislike": 0.03},
    "disliked": {"purchase": 0.02, "like": 0.03, "dislike": 0.6},
    "other": {"purchase": 0.05, "like": 0.1, "dislike": 0.15},
    "bad": {"purchase": 0.03, "like": 0.03, "dislike": 0.5},
}
"""Probability of what follows a view."""

FUNNEL_USERS, FUNNEL_ITEMS, FUNNEL_CATEGORIES = 600, 300, 10
FUNNEL_VISITS, INTERESTS = (6, 12), 3
LOADS, CART, BUY = (1, 3), 0.5, 0.7
"""How often a page is loaded; which share of visits fills the cart, and which share of these buys."""
FOLLOWS, RETURNS = 0.5, 0.1
"""Share of visits for what goes with the last purchase, and for an item that was viewed in an earlier visit."""

START, DAY, MINUTE = 1_700_000_000, 86_400, 60
SOUNDS = ("ba", "co", "di", "fu", "ge", "ha", "ki", "lo", "mu", "ne", "po", "ru", "sa", "ti", "vo", "wa")
Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """`events` are learned from; `withheld` (user_id, item_id, and in the shop `meant`) is what is asked for."""

    items: pl.DataFrame
    events: pl.DataFrame
    withheld: pl.DataFrame


def shop(seed: int, *, wrong: float) -> Log:
    """Views, carts, purchases, likes and dislikes; half of each user's dislikes are withheld, with all else of these items.

    `wrong` is the share of likes and dislikes that are stored as the other; `meant` says which of the withheld ones are not.
    """
    random = Random(seed)
    events, withheld = Rows(), Rows()
    tastes = [random.sample(range(CATEGORIES), LIKED + DISLIKED) for _ in range(TASTES)]
    for user in range(USERS):
        own = list(_shop_events(random, f"u{user:03d}", random.choice(tastes), wrong=wrong))
        disliked = sorted({event["item_id"] for event in own if event["kind"] == "dislike"}, key=str)
        hidden = set(random.sample(disliked, len(disliked) // 2))
        events += [event for event in own if event["item_id"] not in hidden]
        withheld += [event for event in own if event["item_id"] in hidden and event["kind"] == "dislike"]
    columns = ["user_id", "item_id", "kind", "timestamp", "session_id"]
    asked = pl.DataFrame(withheld).select("user_id", "item_id", "meant").unique(("user_id", "item_id"), keep="last")
    items = _items(random, ITEMS, CATEGORIES)
    return Log(items, pl.DataFrame(events).select(columns), asked.sort("user_id", "item_id"))


def _shop_events(random: Random, user: str, taste: list[int], *, wrong: float) -> Iterator[dict[str, object]]:
    groups = {"liked": taste[:LIKED], "disliked": taste[LIKED:]}
    groups["other"] = [category for category in range(CATEGORIES) if category not in taste]
    at, seen = START + random.randrange(60 * DAY), set[int]()
    for visit in range(random.randint(*VISITS)):
        at += random.randint(1, 10) * DAY
        for _ in range(random.randint(*VIEWS)):
            at += random.randint(1, 4) * MINUTE
            (group,) = random.choices(list(BROWSES), list(BROWSES.values()))
            item = _new_to(seen, random, random.choice(groups[group]), ITEMS, CATEGORIES)
            seen.add(item)
            event = {"user_id": user, "item_id": f"i{item:03d}", "session_id": f"{user}-{visit}", "meant": True}
            yield event | {"kind": "view", "timestamp": at}
            chances = REACTIONS["bad" if item // CATEGORIES % EVERY_BAD == 1 else group]
            (kind,) = random.choices(["", *chances], [1 - sum(chances.values()), *chances.values()])
            if kind:
                other = {"like": "dislike", "dislike": "like"}.get(kind)
                is_wrong = other is not None and random.random() < wrong
                yield event | {"kind": other if is_wrong else kind, "timestamp": at + 30, "meant": not is_wrong}


def funnel(seed: int) -> Log:
    """Visits of views, page loads, carts and purchases, no item of which is ever bought twice.

    Of each user the visit with the last purchase is withheld with what comes after it, and this purchase is asked for.
    """
    random = Random(seed)
    goes_with = list(range(FUNNEL_ITEMS))
    random.shuffle(goes_with)
    events, withheld = Rows(), Rows()
    for user in range(FUNNEL_USERS):
        visits = list(_visits(random, f"u{user:03d}", goes_with))
        buying = [number for number, visit in enumerate(visits) if visit[-1]["kind"] == "purchase"]
        last = buying[-1] if buying and buying[-1] >= 2 else len(visits)
        events += [event for visit in visits[:last] for event in visit]
        withheld += [visit[-1] for visit in visits[last : last + 1]]
    asked = pl.DataFrame(withheld).select("user_id", "item_id")
    return Log(_items(random, FUNNEL_ITEMS, FUNNEL_CATEGORIES), pl.DataFrame(events), asked)


def _visits(random: Random, user: str, goes_with: list[int]) -> Iterator[Rows]:
    """The events of each visit; a purchase is the last of its visit."""
    interests = random.sample(range(FUNNEL_CATEGORIES), INTERESTS)
    seen, bought = set[int](), list[int]()
    at = START + random.randrange(60 * DAY)
    for visit in range(random.randint(*FUNNEL_VISITS)):
        at += random.randint(1, 10) * DAY
        events, category = Rows(), random.choice(interests)
        target = _wanted(random, seen, bought, goes_with, category)
        views = {_new_to(seen, random, category, FUNNEL_ITEMS, FUNNEL_CATEGORIES) for _ in range(3)} - {target}
        kinds = [(item, "view") for item in (*sorted(views), target) for _ in range(random.randint(*LOADS))]
        if random.random() < CART:
            kinds.append((target, "cart"))
            if random.random() < BUY:
                kinds.append((target, "purchase"))
                bought.append(target)
        seen |= {*views, target}
        for item, kind in kinds:
            at += random.randint(1, 4) * MINUTE
            event = {"user_id": user, "item_id": f"i{item:03d}", "kind": kind, "timestamp": at}
            events.append(event | {"session_id": f"{user}-{visit}"})
        yield events


def _wanted(random: Random, seen: set[int], bought: list[int], goes_with: list[int], category: int) -> int:
    """What a visit is for: an item seen before, what goes with the last purchase, or another; never one that was bought."""
    chance = random.random()
    known = sorted(seen - set(bought))
    if known and chance < RETURNS:
        return random.choice(known)
    if bought and chance < RETURNS + FOLLOWS and goes_with[bought[-1]] not in seen:
        return goes_with[bought[-1]]
    return _new_to(seen, random, category, FUNNEL_ITEMS, FUNNEL_CATEGORIES)


def _new_to(seen: set[int], random: Random, category: int, items: int, categories: int) -> int:
    """An item of the category that the user has not been at, the first ones more often."""
    size = items // categories
    while (item := category + categories * int(size * random.random() ** 1.5)) in seen:
        pass
    return item


def _items(random: Random, items: int, categories: int) -> pl.DataFrame:
    """Titles share the words of their category."""
    words = ["".join(random.choices(SOUNDS, k=3)) for _ in range(2 * categories)]
    titles = [
        f"{words[2 * (item % categories)]} {words[2 * (item % categories) + 1]} {''.join(random.choices(SOUNDS, k=3))}"
        for item in range(items)
    ]
    return pl.DataFrame({"item_id": [f"i{item:03d}" for item in range(items)], "title": titles})
