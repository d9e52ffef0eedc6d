"""Search by words and meaning: items by their own titles, with and without typing errors, and what one search takes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from features.text import title_of
from recsys.bundle import Bundle
from recsys.bundle_io import save_bundle
from recsys.data.search_queries import SearchQuery, search_queries
from recsys.encoders.normalize import l2_normalize
from recsys.encoders.resolve import text_encoder
from recsys.retrieval.lists.words import folded
from recsys.retrieval.text import TextConfig, fit_text
from recsys.service import Answer, Options, Question, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.bundling import text_hashes
from recsys.training.job import Saved, TrainingRequest, train_from_store
from tests.benchmarks.foundation_runs import PLAN, imported
from tests.benchmarks.harness import Row, artifact, at_least, at_most, say

SETS = ("movielens_100k", "amazon_games", "amazon_industrial")
BOUNDS = {"title": 0.99, "one error": 0.9, "four errors": 0.85}
ITEMS = 500
"""Items whose titles are searched, of each set."""
CONTROLS = {"both": None, "words": "lexical", "meaning": "text"}
LARGE, ENCODED, JITTER = 100_000, 2000, 0.3
"""Items of the large catalogue; those whose texts are encoded; the share of a vector that is added to it in each copy."""
SEARCHES = 300


def search(data: Path) -> Iterator[Row]:
    """Titles at rank 1 among equal titles, by words and meaning, and by each alone."""
    for name in SETS:
        with closing(Store.open(imported(data, name))) as store:
            texts = {item.item_id: item.text for page in store.items() for item in page}
            folder = artifact("search-text", name, files=[data / name / "items.parquet"])
            request = TrainingRequest(model="text", folder=str(folder), checkpoints=folder, refit=False)
            uri = [fact for fact in train_from_store(store, PLAN, request) if isinstance(fact, Saved)][-1].uri
            with closing(Recommender(store, bundle=uri)) as recommender:
                yield from _rows(recommender, texts, name)


def _rows(recommender: Recommender, texts: dict[str, str], name: str) -> Iterator[Row]:
    queries, titles = search_queries(list(texts.values()), items=ITEMS, seed=0), _titles(texts)
    shares = {control: _shares(recommender, queries, list(texts), titles, part) for control, part in CONTROLS.items()}
    for kind, bound in BOUNDS.items():
        values = {control: float(of_kind[kind].mean()) for control, of_kind in shares.items()}
        yield at_least(
            f"own title, {kind}, {name}: rank 1 among equal titles",
            values.pop("both"),
            bound,
            seed=0,
            n=len(shares["both"][kind]),
            **values,
        )


def _titles(texts: dict[str, str]) -> dict[str, str]:
    return {item_id: folded(title_of(text)) for item_id, text in texts.items()}


def _shares(
    recommender: Recommender, queries: list[SearchQuery], item_ids: list[str], titles: dict[str, str], part: str | None
) -> dict[str, np.ndarray]:
    """For each kind of query, which find an item of the title that it was made from first."""
    hits = defaultdict[str, list[bool]](list)
    for start in range(0, len(queries), 64):
        block = queries[start : start + 64]
        answers = recommender.answer([Question(text=q.text, options=Options(k=1, encoder=part)) for q in block])
        for query, answer in zip(block, answers, strict=True):
            assert isinstance(answer, Answer), answer
            first = [titles[item.item_id] for item in answer.items]
            hits[query.kind].append(first == [titles[item_ids[query.row]]])
    return {kind: np.array(of_kind) for kind, of_kind in hits.items()}


def speed(data: Path) -> Iterator[Row]:
    """One search at a time in one thread, queries misspelt titles: the text is encoded, words and meaning are searched."""
    torch.set_num_threads(1)
    with closing(_large_store(data)) as store:
        texts = [item.text for page in store.items() for item in page]
        started = time.monotonic()
        with closing(Recommender(store, bundle=_large_bundle(store, texts))) as recommender:
            recommender.warm_up()
            say(f"opened and indexed {LARGE:,} items: {time.monotonic() - started:.1f} s")
            queries = [q.text for q in search_queries(texts, items=SEARCHES, seed=0) if q.kind == "one error"]
            for control, part in CONTROLS.items():
                seconds = [_seconds(recommender, query, part) for query in queries]
                p50, p95 = (float(1000 * np.quantile(seconds, q)) for q in (0.5, 0.95))
                what = f"milliseconds of a search over {LARGE:,} items by {control}, one thread, median"
                bound = 15 if control == "both" else float("inf")
                yield at_most(what, p50, bound, seed=0, n=len(seconds), p95=p95)


def _seconds(recommender: Recommender, query: str, part: str | None) -> float:
    started = time.perf_counter()
    recommender.search_text(query, options=Options(k=10, encoder=part))
    return time.perf_counter() - started


def _large_store(data: Path) -> Store:
    """The tracks of a music catalogue."""
    path = data / "mpd_popular" / "items.parquet"
    folder = artifact("search-store", LARGE, files=[path], code=["recsys/store", "features/text.py"])
    url = f"sqlite:///{folder}/recsys.db"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        upgrade(url)
        with closing(Store.open(url)) as store:
            for page in pl.read_parquet(path).head(LARGE).iter_slices(1000):
                store.put_items(
                    [
                        ItemDraft(item_id=row["item_id"], title=row["title"], attributes={"artist": row["artist"]})
                        for row in page.iter_rows(named=True)
                    ]
                )
        (folder / "ready").touch()
    return Store.open(url)


def _large_bundle(store: Store, texts: list[str]) -> str:
    """A bundle with text neighbours, whose vectors are jittered copies of some."""
    folder = artifact("search-bundle", LARGE, ENCODED, JITTER, code=["recsys/retrieval", "recsys/indexes"])
    if not (folder / "bundle").exists():
        generator = np.random.default_rng(0)
        encoder = text_encoder(PLAN.text_encoder)
        encoded = encoder.encode_documents(texts[:ENCODED])
        noise = generator.standard_normal((len(texts), encoder.dim), dtype=np.float32)
        vectors = l2_normalize(encoded[np.arange(len(texts)) % ENCODED] + JITTER * l2_normalize(noise))
        source = fit_text(vectors, TextConfig(text_encoder=PLAN.text_encoder))
        item_ids = tuple(item.item_id for page in store.items() for item in page)
        about = replace(PLAN, text_encoder_hash=encoder.hash).about() | {"data": {}}
        bundle = Bundle(
            parts={"text": source.part("text")},
            default="text",
            item_ids=item_ids,
            about=about,
            texts=text_hashes(texts, ()),
        )
        save_bundle(bundle, str(folder), name="bundle")
    return str(folder / "bundle")


BENCHES = {"search": search, "search-speed": speed}
