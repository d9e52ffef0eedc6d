"""Commands that answer on a store that nothing was trained on."""

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
