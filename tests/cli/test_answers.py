"""Commands that answer on a store that nothing was trained on."""

import time
from pathlib import Path

import polars as pl
import pytest

from tests.cli.test_commands import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Three items, of which two were viewed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_DATABASE_URL", f"sqlite:///{tmp_path}/recsys.db")
    monkeypatch.setenv("RECSYS_TEXT_ENCODER", "hashed")
    shell = Shell(tmp_path)
    shell("db", "upgrade")
    (tmp_path / "items.csv").write_text("item_id\na\nb\nc\n")
    (tmp_path / "events.csv").write_text("user_id,item_id,kind\nu,a,view\nu,b,purchase\nv,b,dislike\n")
    shell("import", "items", "items.csv")
    shell("import", "events", "events.csv")
    return shell


def test_live_models_answer_before_any_training(shell: Shell) -> None:
    out = shell("recommend", "w", "--model", "popular", "--window", "all")
    assert "popular (no bundle)" in out
    assert out.index(" b ") < out.index(" a ")
    assert "popular items are shown" not in out
    assert "for a user or a history" not in shell("recommend", "--history", "c", "--model", "newest")
    assert "popular takes 1h to 720h" in shell("recommend", "w", "--model", "popular", "--window", "1w", status=1)


def test_live_models_are_scored_for_all_users(shell: Shell) -> None:
    shell("batch", "--out", "out.parquet", "--model", "newest", "--k", "2")
    table = pl.read_parquet(shell.folder / "out.parquet")
    assert table.select("user_id", "item_id").rows() == [("u", "c"), ("v", "c"), ("v", "a")]
    assert table["bundle"].is_null().all()
    out = shell("batch", "--out", "more.csv", "--model", "trending", "--window", "30d")
    assert "no event speaks for an item in the last 720 hours: ask for a longer window" in out


def test_items_of_the_history_come_back_where_that_is_asked_for(shell: Shell) -> None:
    seen = ("--include-seen", "--include-open")
    (shell.folder / "more.csv").write_text("user_id,item_id,kind\nv,a,view\n")
    shell("import", "events", "more.csv")
    for options, expected in (
        ((), ["c"]),
        (seen, ["a", "c"]),
        (("--include-rejected",), ["b", "c"]),
        ((*seen, "--include-rejected"), ["b", "a", "c"]),
    ):
        shell("batch", "--out", "out.parquet", *options)
        rows = pl.read_parquet(shell.folder / "out.parquet").filter(user_id="v")
        assert sorted(rows["item_id"]) == sorted(expected)
        out = shell("recommend", "v", *options)
        assert [item_id for item_id in "abc" if f" {item_id} " in out] == sorted(expected)


def test_items_of_a_session_that_ended_come_back(shell: Shell) -> None:
    shell("batch", "--out", "out.parquet", "--include-seen", "--no-include-open")
    assert (
        "a" in pl.read_parquet(shell.folder / "out.parquet").filter(user_id="u")["item_id"]
    )  # its events are not dated
    (shell.folder / "more.csv").write_text(f"user_id,item_id,at\nu,a,{time.time():.0f}\n")
    shell("import", "events", "more.csv")
    shell("batch", "--out", "out.parquet", "--include-seen", "--no-include-open")
    assert "a" not in pl.read_parquet(shell.folder / "out.parquet").filter(user_id="u")["item_id"]
    assert "says nothing to --task continue" in shell(
        "batch", "--out", "x.csv", "--task", "continue", "--include-open", status=1
    )
