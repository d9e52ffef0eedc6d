"""What is said beside an answer about lists that could not be given as asked."""

from collections.abc import Iterator, Sequence, Set

from recsys.data.history import History
from recsys.errors import Degraded
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.serving import ListServingModel
from recsys.retrieval.popular import POPULAR
from recsys.service.playlists.questions import ContinueOptions


def cut_to(size: int, total: int) -> Degraded:
    return Degraded("items", f"only the last {size:,} of its {total:,} items are read")


def fewer_lists(count: int, k: int) -> list[Degraded]:
    return [Degraded("k", f"only {count} of the {k} lists asked for can be shown")] if count < k else []


def other_order(encoder: ListEncoder) -> Degraded:
    """That `order` is not followed where `encoder` answers."""
    if encoder.order_sensitive:
        reason = f"every encoder here is sensitive to order, {encoder.name} answers: train set or blend"
    else:
        reason = f"no encoder here is sensitive to order, {encoder.name} answers: train playlist-seq2seq"
    return Degraded("order", reason)


def ignored_inputs(
    model: ListServingModel, part: str, history: History, name: str | None, options: ContinueOptions
) -> Iterator[Degraded]:
    """What of the question the one part that answers does not use; a fusion uses everything.

    Raises InvalidRequest: a list encoder was named that does the opposite of `order`.
    """
    can = model.capabilities(part)
    if can is None:
        return
    blended = model.decoder(part) is not None and model.fusion is not None
    instead = "leave encoder out" if options.encoder else "train blend"
    if options.order is not None and can.order != (options.order == "sensitive"):
        if part in model.encoders:
            model.encoder(options.encoder, options.order)  # refused where it was named
        does = "takes every list in its order" if can.order else "takes no account of the order of a list"
        yield Degraded("order", f"{part} {does}: {instead}, or leave order out")
    if len(history) and not can.items:
        yield Degraded("items", f"{part} takes no account of the items of a list: {instead}")
    if (name or "").strip() and not can.names and not blended:
        yield Degraded("name", f"{part} takes no account of the name of a list: {instead}")


def of_sources(
    part: str, item_ids: Sequence[str], leading: Set[str], *, known: bool, sole_source: str | None
) -> Iterator[Degraded]:
    """What answers where it is popularity, or for a list of which no item is `known`; that nothing does.

    `leading` are the sources that contributed most to the items shown; validation gave all weight to `alone`.
    """
    if not leading:
        reason = "has nothing to go by, or nothing that may be shown: send what it knows, or leave encoder out"
        yield Degraded("encoder", f"{part} {reason}")
        return
    if part == POPULAR:
        return
    missing = "no item of the list is known" if item_ids else "nothing known of the name outweighs popularity"
    if known:
        missing = "nothing that goes with these items in the lists learned from outweighs popularity"
    if sole_source == POPULAR:
        missing = "nothing continued lists of this length better on validation"
    if leading == {POPULAR}:
        yield Degraded("items" if item_ids else "name", f"{missing}: popular items answer")
    elif item_ids and not known:
        yield Degraded("items", f"{missing}: its name alone answers")


def of_continuations(
    part: str, lengths: Sequence[int], candidates: int, options: ContinueOptions, *, decoded: bool
) -> Iterator[Degraded]:
    """Continuations that are shorter or fewer than asked for; `decoded` says that `part` itself made them."""
    shortest = min(lengths, default=0)
    if decoded and shortest < min(options.k, candidates):
        most = options.most_of_group
        few = "knows only" if most is None else f"shows, with {most} of a group at most, only"
        yield Degraded("k", f"{part} {few} {shortest} of the {options.k} items asked for")
    if len(lengths) < options.alternatives:
        reason = "differ: nothing else may be shown, ask for fewer items" if lengths else "can be made"
        yield Degraded("alternatives", f"only {len(lengths)} of {options.alternatives} {reason}")
