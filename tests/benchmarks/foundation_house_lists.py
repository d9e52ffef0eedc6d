"""Lists and figures of `blend` now against those of an earlier commit, both by the command line: its words are the same in both.

make bench NAME=foundation ROW=house-lists DATA=FOLDER BASE=COMMIT
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from tests.benchmarks.harness import ROOT, Row, artifact, at_least, at_most, checkout, in_two_workers, say

SETS = ("movielens_100k", "amazon_industrial", "amazon_games")
K = 20
MIN_IDENTICAL = 0.99
"""Share of the users who get the same items in the same order."""
MAX_NDCG_DIFFERENCE = 0.0005
TIE = 1e-4
"""Scores closer than this may change places."""
COMMAND_LINE = "from recsys.cli import app; app()"


def lists(data: Path, base: str) -> Iterator[Row]:
    """`blend` with seed 0 on each set, trained and asked by the code of each commit."""
    with checkout(base) as tree:
        jobs = [(data, name, side) for name in SETS for side in (tree, ROOT)]
        folders = list(in_two_workers(answered, jobs))
    for i, name in enumerate(SETS):
        yield from compared(name, *folders[2 * i : 2 * i + 2])


def answered(data: Path, name: str, tree: Path) -> Path:
    """The folder with `lists.parquet` and `evaluation/report.json` by the code in `tree`, made once."""
    files = [data / name / "items.parquet", data / name / "interactions.parquet"]
    folder = artifact("house-lists", name, K, tree=tree, files=files)
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = time.monotonic()
        for command in (
            ["db", "upgrade"],
            ["import", "items", str(files[0])],
            ["import", "events", str(files[1])],
            ["train", "blend"],
            ["batch", "--out", str(folder / "lists.parquet"), "--k", str(K)],
            ["evaluate", "--out", str(folder / "evaluation")],
        ):
            _run(command, tree, folder)
        (folder / "ready").touch()
        say(f"{name} by {tree}: {time.monotonic() - started:.0f} s")
    return folder


def _run(command: list[str], tree: Path, folder: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(tree),
        "RECSYS_DATABASE_URL": f"sqlite:///{folder}/recsys.db",
        "RECSYS_BUNDLES": str(folder / "bundles"),
        "RECSYS_CHECKPOINTS": str(folder / "checkpoints"),
        "RECSYS_INDEXES": str(folder / "indexes"),
        "RECSYS_DEVICE": "cpu",
    }
    subprocess.run(
        [sys.executable, "-c", COMMAND_LINE, *command], check=True, cwd=tree, env=environment, stdout=sys.stderr
    )


def compared(name: str, before: Path, after: Path) -> Iterator[Row]:
    """The rows of one set, from the folders of both sides."""
    old, new = (pl.read_parquet(folder / "lists.parquet") for folder in (before, after))
    same = identical(old, new)
    share = int(same["same"].sum()) / len(same)
    yield at_least(f"users with identical lists of {K}, {name}", share, MIN_IDENTICAL, seed=0, n=len(same))
    ndcgs = [_ndcg(folder) for folder in (before, after)]
    difference = abs(ndcgs[1] - ndcgs[0])
    yield at_most(
        f"|NDCG@10 now - before| of blend, {name}",
        difference,
        MAX_NDCG_DIFFERENCE,
        seed=0,
        n=len(same),
        before=ndcgs[0],
        now=ndcgs[1],
    )


def identical(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """One row per user of either with `same`: both lists have one item at each rank, but for changes of place among ties.

    Two items are tied where one side gives them scores nearer than `TIE`. One that is not in a list counts as scored like its
    last item.
    """
    ranks = old.select("user_id", "rank", old_item="item_id").join(
        new.select("user_id", "rank", new_item="item_id"), on=["user_id", "rank"], how="full", coalesce=True
    )
    for side in (old, new):
        scores = side.select("user_id", "item_id", "score")
        last = side.group_by("user_id").agg(last=pl.col("score").min())
        ranks = ranks.join(last, on="user_id", how="left")
        for item in ("old_item", "new_item"):
            ranks = ranks.join(scores, left_on=["user_id", item], right_on=["user_id", "item_id"], how="left")
            ranks = ranks.with_columns(pl.coalesce("score", "last").alias(f"score_{item}")).drop("score")
        tied = (pl.col("score_old_item") - pl.col("score_new_item")).abs() < TIE
        ranks = ranks.with_columns(tied=tied | pl.col("tied") if "tied" in ranks.columns else tied)
        ranks = ranks.drop("last", "score_old_item", "score_new_item")
    both = pl.col("old_item").is_not_null() & pl.col("new_item").is_not_null()
    is_same = both & ((pl.col("old_item") == pl.col("new_item")) | pl.col("tied"))
    return ranks.group_by("user_id").agg(same=is_same.fill_null(value=False).all())


def _ndcg(folder: Path) -> float:
    report = json.loads((folder / "evaluation" / "report.json").read_text(encoding="utf-8"))
    return next(float(row["ndcg"]["mean"]) for row in report["rows"] if row["name"] == "blend")


COMPARISONS = {"house-lists": lists}
