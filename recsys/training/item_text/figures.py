"""The recipe `item-text`: pairs of the store's lists, held-out items, training, and figures of every offered truncation."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.cooccurrence import Pairs, mine_pairs, split_items
from recsys.data.corpus import Corpus
from recsys.encoders.catalogue import CatalogueTextEncoder, truncate
from recsys.errors import NotReady
from recsys.metrics.pair_recall import macro, partner_recall
from recsys.training.item_text.config import ItemTextRecipe, TextData

MIN_PAIRS = 20
"""Fewer pairs are too few to train on."""


TIMED_TEXTS, TIMED_ROUNDS = 256, 3
"""Texts that speed is measured on, and how often."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Catalogue rows without a training pair, and their pairs."""

    rows: NDArray[np.int64]
    pairs: Pairs


def split(corpus: Corpus, recipe: ItemTextRecipe, *, seed: int, domain: str | None = None) -> tuple[TextData, HeldOut]:
    """Training data (only of `domain`, if any) without the pairs of held-out items, and the held-out items with their pairs."""
    pairs = mine_pairs(corpus.rows, corpus.list_ids, domains=corpus.domains, config=recipe.pairs)
    pairs = pairs.both_in(np.array([bool(text) for text in corpus.texts], dtype=np.bool_))
    if domain is not None:
        pairs = pairs.both_in(np.array([name == domain for name in corpus.domains], dtype=np.bool_))
    trained, held_out = split_items(pairs, items=len(corpus.item_ids), share=recipe.held_out, seed=seed)
    data = TextData(corpus.texts, corpus.domains, pairs.both_in(trained))
    if len(data.pairs) < MIN_PAIRS:
        raise NotReady(
            f"{len(data.pairs)} pairs of items with a text{f' of {domain}' if domain else ''} that go together, of at least "
            f"{MIN_PAIRS}: import more lists, titles or attributes, or lower "
            f"`lists` ({recipe.pairs.lists}) in [item-text.pairs]"
        )
    return data, HeldOut(np.flatnonzero(held_out), pairs.any_in(held_out))


def measured(
    encoder: CatalogueTextEncoder, data: TextData, held_out: HeldOut, *, start: CatalogueTextEncoder | None = None
) -> dict[str, Any]:
    """Recall@10 of held-out items (macro mean over domains, with its interval) and texts per second, for each offered
    (layers, dims). `of_separate` is None until a model of that size is trained alone.

    `with_minus_without` is the gain of the whole encoder over `start`, the untrained checkpoint, paired by query.
    """
    rows = np.unique(np.concatenate([data.pairs.rows.ravel(), held_out.pairs.rows.ravel()]))
    texts, domains = [data.texts[row] for row in rows], [data.domains[row] for row in rows]
    settings, recalls = [], list[NDArray[np.float64]]()
    speeds = _speeds(encoder, texts[:TIMED_TEXTS], domains[:TIMED_TEXTS])
    for layers, speed in speeds.items():
        vectors = encoder.encode_documents(texts, domains=domains, layers=layers)
        for dims in [dims for at, dims in encoder.offered if at == layers]:
            recalls = _recalls(truncate(vectors, dims), rows, domains, held_out) if len(held_out.pairs) else []
            interval = macro(recalls) if recalls else None
            settings.append(
                {
                    "layers": layers,
                    "dims": dims,
                    "recall@10": interval and interval.mean,
                    "interval": interval and [interval.low, interval.high],
                    "queries": sum(map(len, recalls)),
                    "texts_per_second": round(speed, 1),
                    "of_separate": None,
                }
            )
    gain = None
    if start and recalls:
        before = _recalls(start.encode_documents(texts, domains=domains), rows, domains, held_out)
        gain = asdict(macro([after - first for after, first in zip(recalls, before, strict=True)]))
    return {"validation_recall@10": settings[-1]["recall@10"], "with_minus_without": gain, "settings": settings}


def _speeds(encoder: CatalogueTextEncoder, texts: Sequence[str], domains: Sequence[str | None]) -> dict[int, float]:
    """Texts per second of each offered exit: the best of a few rounds, for other work slows single ones."""
    best = dict.fromkeys(sorted({layers for layers, _ in encoder.offered}), inf)
    for _ in range(TIMED_ROUNDS):
        for layers in best:
            started = time.perf_counter()
            encoder.encode_documents(texts, domains=domains, layers=layers)
            best[layers] = min(best[layers], time.perf_counter() - started)
    return {layers: len(texts) / seconds for layers, seconds in best.items()}


def _recalls(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], domains: Sequence[str | None], held_out: HeldOut
) -> list[NDArray[np.float64]]:
    """Recall of each held-out item among all items of its domain, an array for each domain that has any."""
    pairs, held_out_numbers = np.searchsorted(rows, held_out.pairs.rows), np.searchsorted(rows, held_out.rows)
    label = np.array([domain or "" for domain in domains])
    recalls = []
    for domain in np.unique(label):
        inside = np.flatnonzero(label == domain)
        of_domain = label[pairs[:, 0]] == domain  # both ends of a pair are of one domain
        number = np.searchsorted(inside, pairs[of_domain])
        queries = np.searchsorted(inside, held_out_numbers[label[held_out_numbers] == domain])
        _, recall = partner_recall(vectors[inside], number, queries=queries)
        recalls.extend([recall] if len(recall) else [])
    return recalls
