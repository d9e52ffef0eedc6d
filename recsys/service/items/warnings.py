"""What is said beside an answer about items that could not be given as asked."""

from collections.abc import Sequence

from recsys.errors import Degraded
from recsys.retrieval.text_search import LEXICAL, SEARCH
from recsys.service.items.questions import UNKNOWN_EXCLUDED, Options
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot

POPULAR_INSTEAD, TEXT_INSTEAD = "popular items are shown", "the text alone counts"
"""What an answer does without a history."""


def no_history(user_id: str, *, rejects: bool, instead: str) -> Degraded:
    """That no event of the user speaks for an item, whether the user `rejects` some or has none at all."""
    events = f"user {user_id!r} has only rejected items" if rejects else f"no events of user {user_id!r}"
    return Degraded("user", f"{events}: {instead}")


def history_unreachable(user_id: str, *, known: bool, instead: str) -> Degraded:
    consequence = "events that were stored since may be missing" if known else instead
    return Degraded("user", f"the database does not answer for user {user_id!r}: {consequence}")


def no_known_item(*, instead: str) -> Degraded:
    return Degraded("history", f"no known item in it: {instead}")


def no_recommender() -> Degraded:
    return Degraded("history", f"no trained bundle recommends items: {TEXT_INSTEAD}")


def item_without_text(part: str) -> Degraded:
    return Degraded("item", f"it has no text, and {part} goes by nothing else")


def of_state(state: LiveState, snapshot: Snapshot) -> list[Degraded]:
    """That no trained bundle answers; and as `of_store`."""
    popular = Degraded("bundle", f"{'; '.join(snapshot.problems)}: {POPULAR_INSTEAD}")
    return [*([] if snapshot.recommends else [popular]), *of_store(state)]


def of_search(state: LiveState, snapshot: Snapshot, part: str, text: str) -> list[Degraded]:
    """That words alone find items, or only some of them; what of `text` is not read; and as of `of_store`."""
    if part == LEXICAL:
        return [warning for warning in of_store(state) if warning.what == "store"]
    if part == SEARCH and snapshot.meaning is None:
        reason = "; ".join(snapshot.problems) or "no part reads what a text means: train `text`, `item-text` or `blend`"
        return [Degraded("meaning", f"{reason}; until then items are found by their words alone"), *of_store(state)]
    return [*of_store(state), *(snapshot.texts.warnings(text) if snapshot.texts else ())]


def of_store(state: LiveState) -> list[Degraded]:
    """That the store does not answer, or that texts of other processes do not count yet."""
    away = Degraded("store", "the database does not answer: what was written meanwhile may be missing")
    return [*([away] if state.store_unreachable else []), *(Degraded("texts", delay) for delay in state.delays)]


def without_stand_in(degraded: Sequence[Degraded]) -> list[Degraded]:
    """Warnings apart from those that popular items stand in: a live model answers everyone alike, and needs no bundle."""
    return [warning for warning in degraded if not warning.why.endswith(POPULAR_INSTEAD)]


def of_options(snapshot: Snapshot, options: Options) -> list[Degraded]:
    """Ids of the options that the catalogue lacks, or that cannot be shown for now."""
    allow: Sequence[str] = options.allow or ()
    return [
        *snapshot.unknown(allow, what="allow", why="unknown items, which cannot be shown"),
        *snapshot.unavailable(allow, what="allow", why="items that are not available, and so not shown"),
        *snapshot.unknown(options.exclude, what="exclude", why=UNKNOWN_EXCLUDED),
    ]
