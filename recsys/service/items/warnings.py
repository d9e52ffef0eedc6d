"""What is said beside an answer about items that could not be given as asked."""

from collections.abc import Sequence

from recsys.errors import Degraded
from recsys.service.items.questions import UNKNOWN_EXCLUDED, Options
from recsys.service.state.live import LiveState
from recsys.service.state.snapshot import Snapshot


def unknown_user(user_id: str) -> Degraded:
    return Degraded("user", f"no events of user {user_id!r}: popular items are shown")


def no_known_item() -> Degraded:
    return Degraded("history", "no known item in it: popular items are shown")


def item_without_text(part: str) -> Degraded:
    return Degraded("item", f"it has no text, and {part} goes by nothing else")


def of_state(state: LiveState, snapshot: Snapshot) -> list[Degraded]:
    """That no trained bundle answers, that the store does not, or that texts follow."""
    warnings = []
    if not snapshot.recommends:
        warnings.append(Degraded("bundle", f"{'; '.join(state.problems)}: popular items are shown"))
    if state.store_unreachable:
        reason = "the database does not answer: what was written meanwhile may be missing"
        warnings.append(Degraded("store", reason))
    return [*warnings, *(Degraded("texts", delay) for delay in state.delays)]


def of_options(snapshot: Snapshot, options: Options) -> list[Degraded]:
    """Ids of the options that the catalogue lacks."""
    allow: Sequence[str] = options.allow or ()
    return [
        *snapshot.unknown(allow, what="allow", why="unknown items, which cannot be shown"),
        *snapshot.unknown(options.exclude, what="exclude", why=UNKNOWN_EXCLUDED),
    ]
