"""The trainings that the item-text benchmark measures, each kept once made.

Of each domain's items 30 % are held out by seed. What is learned from has none of them in any pair, what is asked has both
ends among them, and the candidates are all items of the domain. A figure is Recall@10 of one query over all its partners.
"""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.encoders.text import with_experts
from models.pretrained import load_text_encoder
from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.cooccurrence import Pairs
from recsys.encoders.catalogue import CatalogueTextEncoder, truncate
from recsys.encoders.catalogue_parts import checkpoint_part, text_part
from recsys.encoders.tokenizer import TextTokenizer
from recsys.metrics.pair_recall import partner_recall
from recsys.training.item_text.config import NAME, ItemTextRecipe, TextData
from recsys.training.item_text.train import train
from recsys.training.plan import RunContext
from tests.benchmarks.harness import artifact, say

SEED, HELD_OUT, SMALL_PAIRS = 0, 0.3, 2500
LEFT_OUT = ("games", "grocery")

SERVED = ItemTextRecipe()
"""The default recipe, as `recsys train item-text` runs it."""

SMALL = replace(
    SERVED,
    layers=3,
    offered=((2, 64), (2, 384), (3, 64), (3, 384)),
    loop=replace(SERVED.loop, epochs=2),
)

LOOKED_UP = 8000
"""Texts whose vectors a search is measured on."""

Recalls = dict[str, NDArray[np.float64]]
"""Per `domain layers dims` the figure of each query, in the order of the domain's items; `seconds`, `cpu`, `gigabytes` beside."""


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """Items of all domains end to end, and which pairs are learned from and evaluated."""

    texts: tuple[str, ...]
    domains: tuple[str, ...]
    learned: Pairs
    evaluated: Pairs


def pairs_file(data: Path) -> Path:
    return data / "multidomain_pairs" / "pairs.parquet"


def protocol(data: Path, *, most: int | None = None) -> Protocol:
    """The split; at most `most` pairs of a domain are learned from."""
    table = pl.read_parquet(pairs_file(data))
    texts, domains = list[str](), list[str]()
    learned, evaluated = [], []
    for domain in sorted(table["domain"].unique()):
        pairs = table.filter(pl.col("domain") == domain)
        ends = [pairs.select(item=f"item_{end}", text=f"text_{end}") for end in "ab"]
        items = pl.concat(ends).unique("item", keep="first", maintain_order=True).sort("item")
        number = {item: row for row, item in enumerate(items["item"], start=len(texts))}
        rows = np.array([[number[a], number[b]] for a, b in pairs.select("item_a", "item_b").iter_rows()])
        generator = np.random.default_rng(SEED)
        held_out = len(texts) + generator.permutation(len(items))[: round(HELD_OUT * len(items))]
        inside = np.isin(rows, held_out)
        free = rows[~inside.any(axis=1)]
        learned.append(free[np.sort(generator.permutation(len(free))[:most])])
        evaluated.append(rows[inside.all(axis=1)])
        texts.extend(items["text"])
        domains.extend([domain] * len(items))
    return Protocol(tuple(texts), tuple(domains), _pairs(learned), _pairs(evaluated))


def run(data: Path, name: str) -> Recalls:
    """The figures of one run: `frozen LAYERS`, `served`, `mixture`, `dense`, `only DOMAIN`, `without` or `size LAYERS DIMS`."""
    path = artifact("item-text", name, SERVED, SMALL, SEED, LEFT_OUT, files=[pairs_file(data)]).with_suffix(".npz")
    kind, *arguments = name.split()
    if not path.exists() or (kind == "served" and not _encoder(data).exists()):
        split = protocol(data, most=None if kind in ("served", "frozen") else SMALL_PAIRS)
        started, cpu = time.monotonic(), time.process_time()
        is_frozen = kind == "frozen"
        part = checkpoint_part("packaged", layers=int(*arguments)) if is_frozen else _trained(kind, arguments, split)
        spent = {"seconds": np.array([time.monotonic() - started]), "cpu": np.array([time.process_time() - cpu])}
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        domains = {"only": arguments, "without": list(LEFT_OUT)}.get(kind, sorted(set(split.domains)))
        encoder = CatalogueTextEncoder.from_part(part)
        recalls = _recalls(encoder, split, domains)
        say(f"{name}: trained in {spent['seconds'][0]:.0f} s ({spent['cpu'][0]:.0f} s of processor time)")
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "served" and not (encoder_path := _encoder(data)).exists():
            bundle = Bundle(parts={NAME: part}, default=NAME, item_ids=(), about={})
            save_bundle(bundle, str(encoder_path.parent), name=encoder_path.name)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **recalls, **spent, gigabytes=np.array([gigabytes]))  # type: ignore[arg-type]  # a stub without names
        partial.replace(path)
    return dict(np.load(path))


def across(data: Path, name: str) -> Recalls:
    """`served` or `frozen 6` among the items of all domains at once; ` nobody`: queries do not name their domain."""
    path = artifact("item-text", "across", name, SERVED, SEED, files=[pairs_file(data)]).with_suffix(".npz")
    if not path.exists():
        run(data, name)
        split = protocol(data)
        part = checkpoint_part("packaged") if name == "frozen 6" else load_bundle(str(_encoder(data))).part(NAME)
        encoder, label = CatalogueTextEncoder.from_part(part), np.array(split.domains)
        items = encoder.encode_documents(split.texts, domains=split.domains)
        figures, asking, nobody = Recalls(), np.unique(split.evaluated.rows), items.copy()
        nobody[asking] = encoder.encode_queries([split.texts[row] for row in asking])
        for kind, query_vectors in {"": items, " nobody": nobody}.items():
            queries, recalls = partner_recall(items, split.evaluated.rows, query_vectors=query_vectors)
            figures |= {f"{domain}{kind}": recalls[label[queries] == domain] for domain in np.unique(label)}
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **figures)  # type: ignore[arg-type]  # a stub without names
        partial.replace(path)
    return dict(np.load(path))


def vectors(data: Path) -> NDArray[np.float32]:
    """Whole vectors of `LOOKED_UP` texts of all domains by the served encoder."""
    path = artifact("item-text", "vectors", SERVED, files=[pairs_file(data)]).with_suffix(".npy")
    if not path.exists():
        run(data, "served")
        split, encoder = protocol(data), CatalogueTextEncoder.from_part(load_bundle(str(_encoder(data))).part(NAME))
        chosen = np.random.default_rng(SEED).permutation(len(split.texts))[:LOOKED_UP]
        encoded = encoder.encode_documents([split.texts[i] for i in chosen], domains=[split.domains[i] for i in chosen])
        partial = path.with_suffix(".partial.npy")
        np.save(partial, encoded)
        partial.replace(path)
    stored: NDArray[np.float32] = np.load(path)
    return stored


def _encoder(data: Path) -> Path:
    """Where the served encoder lies."""
    return artifact("item-text", "encoder", SERVED, files=[pairs_file(data)])


def routed(domains: Sequence[str]) -> Part:
    """The packaged checkpoint as it is, with an expert for each of `domains` in as many layers as the served encoder has."""
    pretrained = load_text_encoder("packaged")
    cls = TextTokenizer(pretrained.tokenizer, max_length=SERVED.max_length).cls
    mixed = with_experts(pretrained.encoder, experts=len(domains) + 1, layers=SERVED.depth, cls=cls)
    return text_part(mixed, name="routed", tokenizer=pretrained.tokenizer, domains=domains, offered=SERVED.offered)


def _trained(kind: str, arguments: Sequence[str], split: Protocol) -> Part:
    label = np.array(split.domains)
    pairs, recipe = split.learned, SERVED if kind == "served" else SMALL
    match kind:
        case "dense":
            recipe = replace(recipe, expert_layers=0)
        case "only":
            pairs = pairs.both_in(label == arguments[0])
        case "without":
            pairs = pairs.both_in(~np.isin(label, LEFT_OUT))
        case "size":
            layers, dims = map(int, arguments)
            recipe = replace(recipe, layers=layers, dims=dims, offered=((layers, dims),))
    data = TextData(split.texts, split.domains, pairs)
    *_, part = train(recipe, data, context=RunContext(name=NAME, seed=SEED))
    assert isinstance(part, Part)
    return part


def _recalls(encoder: CatalogueTextEncoder, split: Protocol, domains: Sequence[str]) -> Recalls:
    label, recalls = np.array(split.domains), Recalls()
    for layers in sorted({layers for layers, _ in encoder.offered}):
        for domain in domains:
            rows = np.flatnonzero(label == domain)
            texts = [split.texts[row] for row in rows]
            vectors = encoder.encode_documents(texts, domains=[domain] * len(texts), layers=layers)
            pairs = split.evaluated.both_in(label == domain).rows - rows[0]
            for dims in [dims for at, dims in encoder.offered if at == layers]:
                recalls[f"{domain} {layers} {dims}"] = partner_recall(truncate(vectors, dims), pairs)[1]
    return recalls


def _pairs(by_domain: Sequence[NDArray[np.int64]]) -> Pairs:
    rows = np.unique(np.sort(np.concatenate(by_domain), axis=1), axis=0)
    return Pairs(rows, np.ones(len(rows), dtype=np.int64))
