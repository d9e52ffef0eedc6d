"""The figures of a benchmark can be trusted as far as its harness can."""

import json
from pathlib import Path

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


def test_a_row_needs_all_its_words() -> None:
    with pytest.raises(TypeError):
        Row(what="x")  # type: ignore[call-arg]
