"""What commands print fits the page."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recsys.cli import app, shared
from recsys.cli.shared import print_figures
from tests.worlds import Planted


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("page", [80, 200])
def test_figures_that_do_not_fit_stand_in_a_table_below(
    page: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.console, "_width", page)
    columns = ("part", "NDCG@10", "minus simple-blend", "hit@10", "MRR", "coverage", "popular 1 %")
    row = ("sasrec-hybrid", "0.1411 [0.1239, 0.1582]", "-0.0159 [-0.0243, -0.0075]", *["0.1217"] * 4)
    print_figures(columns, [row], keys=1, title="leave-one-out")
    out = capsys.readouterr().out
    assert widest(out) <= 80
    assert out.count("leave-one-out") == 1
    assert out.count("sasrec-hybrid") == 2
    for cell in (*columns, *row):
        assert cell in out  # in one piece
    print_figures(columns[:3], [row[:3]], keys=1)
    assert capsys.readouterr().out.count("sasrec-hybrid") == 1


@pytest.mark.slow
def test_the_tables_of_an_evaluation_fit_80_columns(
    trained: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.copy(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_DATABASE_URL", f"sqlite:///{tmp_path}/recsys.db")
    out = CliRunner().invoke(app, ["evaluate", "--out", "report"]).output
    tables = [line for line in out.splitlines() if line.startswith(("┏", "┃", "│", "└"))]
    assert len(tables) > 20
    assert widest("\n".join(tables)) <= 80
    assert any("sasrec-hybrid" in line and line.count("[") == 2 for line in tables)


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("100", 100), ("0", shared.WIDE), ("many", shared.WIDE)])
def test_the_columns_of_the_environment_count_where_the_output_is_no_terminal(columns: str, width: int) -> None:
    code = "from recsys.cli.shared import console; console.print('x ' * 500)"
    environment = {**os.environ, "COLUMNS": columns}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert width - 2 <= widest(run.stdout) <= width


def test_the_module_is_the_command() -> None:
    words = [sys.executable, "-m", "recsys.cli", "--help"]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Usage: recsys [OPTIONS] COMMAND" in out
