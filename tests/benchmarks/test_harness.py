"""The figures of a benchmark can be trusted as far as its harness can."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import harness
from tests.benchmarks.harness import Row, artifact, at_least, at_most, checkout, in_two_workers, main


def bench(value: float) -> harness.Bench:
    return lambda _: [at_least("quality", value, 0.5, seed=0, n=3, low=value - 0.1)]


def test_it_prints_a_json_line_a_row_and_says_whether_all_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main({"good": bench(0.5), "bad": bench(0.4)}, [str(tmp_path)]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["holds"] for row in rows] == [True, False]
    assert rows[0] == {
        "what": "quality",
        "value": {"value": 0.5, "low": 0.4},
        "must": ">= 0.5",
        "holds": True,
        "seed": 0,
        "n": 3,
    }


def test_one_row_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"good": bench(0.5), "bad": bench(0.4)}, [str(tmp_path), "--row", "good"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_rows_of_a_prefix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benches = {"house-static": bench(0.5), "quality": bench(0.4)}
    comparisons = {"house-lists": lambda _, base: [at_most(base, 0.4, 0.5, seed=0, n=1)]}
    assert main(benches, [str(tmp_path), "--row", "house", "--base", "v1"], comparisons=comparisons) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["what"] for row in rows] == ["quality", "v1"]
    assert rows[1]["must"] == "<= 0.5"


def test_a_comparison_needs_a_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparisons: dict[str, harness.Comparison] = {"house-lists": lambda _, base: [at_most(base, 0.4, 0.5, seed=0, n=1)]}
    assert main({"quality": bench(0.5)}, [str(tmp_path)], comparisons=comparisons) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(SystemExit):
        main({}, [str(tmp_path), "--row", "house-lists"], comparisons=comparisons)
    assert "BASE=COMMIT" in capsys.readouterr().err


def test_a_failure_in_the_middle_still_prints_the_rows_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> Iterator[Row]:
        yield at_least("first", 1.0, 0.5, seed=0, n=1)
        raise RuntimeError("no second row")

    with pytest.raises(RuntimeError, match="no second row"):
        main({"broken": broken}, [str(tmp_path)])
    assert json.loads(capsys.readouterr().out)["what"] == "first"


def test_numbers_of_numpy_print_as_plain_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.array([0.5, 0.75], dtype=np.float32)
    main({"row": lambda _: [at_least("x", values[1], values[0], seed=0, n=2, all=values)]}, [str(tmp_path)])
    row = json.loads(capsys.readouterr().out)
    assert row["holds"] is True
    assert row["value"] == {"value": 0.75, "all": [0.5, 0.75]}


def test_a_missing_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main({}, ["/no/such/folder"])
    assert "no such folder" in capsys.readouterr().err


def test_artefacts_are_kept_by_settings_files_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data.csv"
    data.write_text("a")
    first = artifact("blend", 0, files=[data])
    assert artifact("blend", 0, files=[data]) == first
    assert artifact("blend", 1, files=[data]) != first
    data.write_text("b")
    changed = artifact("blend", 0, files=[data])
    assert changed != first
    monkeypatch.setattr(harness, "CODE", ("recsys",))
    assert artifact("blend", 0, files=[data]) != changed


def add(left: int, right: int) -> int:
    return left + right


def test_a_checkout_has_the_files_of_its_commit_and_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setattr(harness, "ARTIFACTS", tmp_path / "artifacts")
    (tmp_path / "code.py").write_text("old")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (["init"], ["add", "code.py"], [*identity, "commit", "-m", "First"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "code.py").write_text("new")
    with checkout("HEAD") as tree:
        assert (tree / "code.py").read_text() == "old"
    assert not tree.exists()
    assert not list((tmp_path / "artifacts").iterdir())
    assert (tmp_path / "code.py").read_text() == "new"


def test_workers_give_results_in_order() -> None:
    assert list(in_two_workers(add, [(1, 2), (3, 4), (5, 6)])) == [3, 7, 11]


def threads() -> int:
    import torch

    return torch.get_num_threads()


@pytest.mark.slow
def test_a_worker_computes_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert list(in_two_workers(threads, [()])) == [1]


def leave_a_mark(folder: Path, number: int) -> None:
    if number == 0:
        raise RuntimeError("the first job")
    (folder / str(number)).touch()


def test_the_first_failure_drops_the_jobs_that_have_not_begun(tmp_path: Path) -> None:
    jobs = [(tmp_path, number) for number in range(2000)]
    with pytest.raises(RuntimeError, match="the first job"):
        list(in_two_workers(leave_a_mark, jobs))
    assert len(list(tmp_path.iterdir())) < len(jobs) - 1


def test_a_row_needs_all_its_words() -> None:
    with pytest.raises(TypeError):
        Row(what="x")  # type: ignore[call-arg]
