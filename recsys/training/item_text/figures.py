"""From the store to a trained text encoder: pairs of its lists, some items held out, and figures for every setting offered."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle, Part
from recsys.data.cooccurrence import Pairs, mine_pairs, split_items
from recsys.data.corpus import Corpus
from recsys.encoders.base import text_hash
from recsys.encoders.catalogue import CatalogueTextEncoder, checkpoint_part, require_text_encoder, truncate
from recsys.errors import InvalidRequest, NotReady
from recsys.metrics.pair_recall import macro, partner_recall
from recsys.metrics.ranking import Interval
from recsys.retrieval.truncation import MIN_RETAINED
from recsys.training.item_text.config import NAME, ItemTextRecipe, TextData
from recsys.training.item_text.train import add_domain, train
from recsys.training.loop import Epoch
from recsys.training.overrides import overridden
from recsys.training.recipes import Plan, Progress

FEWEST = 20
"""Pairs that can be called something to learn from."""

TIMED, TURNS = 256, 3
"""Texts that speed is measured on, and how often."""

FREE = frozenset(
    ("loop", "pairs", "texts", "beside", "temperature", "hard_negatives", "align", "stay", "held_out", "half_precision")
)
"""Settings that one more domain may have of its own; all others are those of the encoder that it is added to."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Catalogue rows that nothing was learned of, and their pairs."""

    rows: NDArray[np.int64]
    pairs: Pairs


def item_text_bundle(plan: Plan, store_lists: Corpus) -> Iterator[Progress | Bundle]:
    """Yields progress, and last a one-part bundle with the encoder `item-text` and its figures on held-out items.

    Raises:
        NotReady: the lists give too few pairs.
        InvalidRequest: a setting that does not exist.
        ConfigError: the checkpoint to start from cannot be loaded, or does not have what is offered.
    """
    recipe = overridden(ItemTextRecipe(), plan.overrides.get(NAME, {}), where=NAME)
    if plan.epochs:
        recipe = replace(recipe, loop=replace(recipe.loop, epochs=plan.epochs))
    data, held = split(store_lists, recipe, seed=plan.seed)
    yield Progress(
        NAME, f"{len(data.pairs):,} pairs to learn, {len(held.pairs):,} pairs of {len(held.rows):,} items held out"
    )
    checkpoint = plan.checkpoints / f"{NAME}-{plan.seed}.ckpt" if plan.checkpoints else None
    part = yield from _told(
        train(recipe, data, seed=plan.seed, device=plan.device, checkpoint=checkpoint, resume=plan.resume)
    )
    yield Progress(NAME, "measuring every size offered")
    start = None
    if recipe.start != "random":
        untrained = checkpoint_part(recipe.start, max_length=recipe.max_length)
        start = CatalogueTextEncoder.from_part(untrained, device=plan.device)
    figures = measured(CatalogueTextEncoder.from_part(part, device=plan.device), data, held, start=start)
    if gain := figures["with_minus_without"]:
        yield Progress(NAME, f"recall@10 of items held out, minus that of {recipe.start}: {Interval(**gain)}")
    if recipe.compare:
        yield from _compared(figures["settings"], recipe, data, held, plan=plan)
    yield _bundle(plan, store_lists, data, replace(part, figures=figures))


def new_domain_bundle(plan: Plan, store_lists: Corpus, start: Bundle, *, domain: str) -> Iterator[Progress | Bundle]:
    """The same for the encoder in `start` with an expert for `domain` added; the vectors of all other items keep their bits.

    Settings are those that the encoder was trained with, where the plan has others among the `FREE` ones.

    Raises:
        BundleError: `start` has no text encoder.
        InvalidRequest: it is dense, has an expert for `domain` already, or the plan changes what is built already.
        NotReady: the lists give too few pairs of `domain`.
    """
    old = require_text_encoder(start)
    known = old.config["domains"]
    if not known:
        raise InvalidRequest(f"{start.uri} has one expert for all: train `item-text` on items of two or more domains")
    if domain in known:
        raise InvalidRequest(f"{start.uri} has an expert for {domain!r} already; its domains are {', '.join(known)}")
    built = overridden(ItemTextRecipe(), old.config["recipe"], where=NAME)
    recipe = overridden(built, plan.overrides.get(NAME, {}), where=NAME)
    changed = {name for name, value in asdict(recipe).items() if value != asdict(built)[name]}
    if changed - FREE:
        raise InvalidRequest(
            f"[{NAME}] {', '.join(sorted(changed - FREE))}: {start.uri} is built already; for one more domain you may change "
            f"{', '.join(sorted(FREE))}"
        )
    if plan.epochs:
        recipe = replace(recipe, loop=replace(recipe.loop, epochs=plan.epochs))
    data, held = split(store_lists, recipe, seed=plan.seed, domain=domain)
    yield Progress(NAME, f"{len(data.pairs):,} pairs of {domain} to learn, {len(held.pairs):,} held out")
    checkpoint = plan.checkpoints / f"{NAME}-{plan.seed}.ckpt" if plan.checkpoints else None
    part = yield from _told(
        add_domain(
            recipe,
            old,
            data,
            domain=domain,
            seed=plan.seed,
            device=plan.device,
            checkpoint=checkpoint,
            resume=plan.resume,
        )
    )
    before, after = (
        measured(CatalogueTextEncoder.from_part(one, device=plan.device), data, held)["settings"] for one in (old, part)
    )
    if len(held.pairs):
        general, own = before[-1]["recall@10"], after[-1]["recall@10"]
        yield Progress(NAME, f"recall@10 of {domain} held out: {own:.4f}, by the general expert {general:.4f}")
    figures = old.figures | {"added": old.figures.get("added", {}) | {domain: after}}
    yield _bundle(plan, store_lists, data, replace(part, figures=figures))


def _told(facts: Iterator[Epoch | Part]) -> Generator[Progress, None, Part]:
    """A training's epochs as progress; gives the part that comes last."""
    for fact in facts:
        if isinstance(fact, Part):
            return fact
        yield Progress(NAME, f"epoch {fact.number}, loss {fact.loss:.3f}, {fact.seconds:.1f} s")
    raise AssertionError("a training ends with its part")


def _bundle(plan: Plan, store_lists: Corpus, data: TextData, part: Part) -> Bundle:
    about = {k: v for k, v in asdict(plan).items() if k not in ("checkpoints", "resume")}
    about |= {"data": {"items": len(store_lists.item_ids), "pairs": len(data.pairs)}}
    texts = tuple(text_hash(*read) for read in zip(store_lists.texts, store_lists.domains, strict=True))
    return Bundle(parts={NAME: part}, default=NAME, item_ids=store_lists.item_ids, about=about, texts=texts)


def _compared(
    settings: Sequence[dict[str, Any]], recipe: ItemTextRecipe, data: TextData, held: HeldOut, *, plan: Plan
) -> Iterator[Progress]:
    """Trains a model for each size but the whole, and notes in `settings` what share of its recall the size reaches."""
    for setting in settings[:-1]:
        layers, dims = setting["layers"], setting["dims"]
        *_, part = train(
            recipe.alone(layers, dims),
            data,
            seed=plan.seed,
            device=plan.device,
            checkpoint=plan.checkpoints / f"{NAME}-{plan.seed}-{layers}x{dims}.ckpt" if plan.checkpoints else None,
            resume=plan.resume,
        )
        assert isinstance(part, Part)
        own = measured(CatalogueTextEncoder.from_part(part, device=plan.device), data, held)["settings"]
        alone = own[-1]["recall@10"]
        setting["of_separate"] = share = setting["recall@10"] / alone if alone else 1.0
        told = f"{layers} layers x {dims} dims reach {share:.3f} of a model of that size trained alone"
        yield Progress(NAME, told if share >= MIN_RETAINED else f"{told}: withheld, below {MIN_RETAINED}")


def split(found: Corpus, recipe: ItemTextRecipe, *, seed: int, domain: str | None = None) -> tuple[TextData, HeldOut]:
    """What to learn, of `domain` alone where it is given, without any pair of an item held out, and these pairs."""
    pairs = mine_pairs(found.rows, found.owners, domains=found.domains, config=recipe.pairs)
    pairs = pairs.both_in(np.array([bool(text) for text in found.texts], dtype=np.bool_))
    if domain is not None:
        pairs = pairs.both_in(np.array([one == domain for one in found.domains], dtype=np.bool_))
    learned, held = split_items(pairs, items=len(found.item_ids), share=recipe.held_out, seed=seed)
    data = TextData(found.texts, found.domains, pairs.both_in(learned))
    if len(data.pairs) < FEWEST:
        raise NotReady(
            f"{len(data.pairs)} pairs of items with a text{f' of {domain}' if domain else ''} that go together, of at least "
            f"{FEWEST}: import more lists, titles or attributes, or lower "
            f"`lists` ({recipe.pairs.lists}) in [item-text.pairs]"
        )
    return data, HeldOut(np.flatnonzero(held), pairs.any_in(held))


def measured(
    encoder: CatalogueTextEncoder, data: TextData, held: HeldOut, *, start: CatalogueTextEncoder | None = None
) -> dict[str, Any]:
    """Recall@10 of held-out items, macro mean over domains with its interval, and texts a second of each (layers, dims) that is
    offered. `of_separate` is unknown until a model of that size is trained alone.

    `with_minus_without` is what the whole encoder gains over `start`, the checkpoint untrained, paired by query.
    """
    rows = np.unique(np.concatenate([data.pairs.rows.ravel(), held.pairs.rows.ravel()]))
    texts, domains = [data.texts[row] for row in rows], [data.domains[row] for row in rows]
    settings, recalls = [], list[NDArray[np.float64]]()
    speeds = _speeds(encoder, texts[:TIMED], domains[:TIMED])
    for layers, speed in speeds.items():
        vectors = encoder.encode(texts, domains=domains, layers=layers)
        for dims in [dims for at, dims in encoder.offered if at == layers]:
            recalls = _recalls(truncate(vectors, dims), rows, domains, held) if len(held.pairs) else []
            found = macro(recalls) if recalls else None
            settings.append(
                {
                    "layers": layers,
                    "dims": dims,
                    "recall@10": found and found.mean,
                    "interval": found and [found.low, found.high],
                    "queries": sum(map(len, recalls)),
                    "texts_per_second": round(speed, 1),
                    "of_separate": None,
                }
            )
    gain = None
    if start and recalls:
        before = _recalls(start.encode(texts, domains=domains), rows, domains, held)
        gain = asdict(macro([after - first for after, first in zip(recalls, before, strict=True)]))
    return {"validation_recall@10": settings[-1]["recall@10"], "with_minus_without": gain, "settings": settings}


def _speeds(encoder: CatalogueTextEncoder, texts: Sequence[str], domains: Sequence[str | None]) -> dict[int, float]:
    """Texts a second after each exit that is offered: the best of some turns in rotation: other work slows single ones."""
    best = dict.fromkeys(sorted({layers for layers, _ in encoder.offered}), inf)
    for _ in range(TURNS):
        for layers in best:
            started = time.perf_counter()
            encoder.encode(texts, domains=domains, layers=layers)
            best[layers] = min(best[layers], time.perf_counter() - started)
    return {layers: len(texts) / seconds for layers, seconds in best.items()}


def _recalls(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], domains: Sequence[str | None], held: HeldOut
) -> list[NDArray[np.float64]]:
    """Recall of each held-out item among all items of its domain, an array for each domain that has any."""
    pairs, asking = np.searchsorted(rows, held.pairs.rows), np.searchsorted(rows, held.rows)
    label = np.array([domain or "" for domain in domains])
    recalls = []
    for domain in np.unique(label):
        inside = np.flatnonzero(label == domain)
        own = label[pairs[:, 0]] == domain  # both ends of a pair are of one domain
        number = np.searchsorted(inside, pairs[own])
        queries = np.searchsorted(inside, asking[label[asking] == domain])
        _, found = partner_recall(vectors[inside], number, queries=queries)
        recalls.extend([found] if len(found) else [])
    return recalls
