"""The figures of a benchmark can be trusted as far as its harness can."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import harness
from tests.benchmarks.harness import Row, at_least, in_two_workers, main, place


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
    first = place("blend", 0, files=[data])
    assert place("blend", 0, files=[data]) == first
    assert place("blend", 1, files=[data]) != first
    data.write_text("b")
    changed = place("blend", 0, files=[data])
    assert changed != first
    monkeypatch.setattr(harness, "CODE", ("recsys",))
    assert place("blend", 0, files=[data]) != changed


def add(one: int, other: int) -> int:
    return one + other


def test_workers_give_results_in_order() -> None:
    assert list(in_two_workers(add, [(1, 2), (3, 4), (5, 6)])) == [3, 7, 11]


def threads() -> int:
    import torch

    return torch.get_num_threads()


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
