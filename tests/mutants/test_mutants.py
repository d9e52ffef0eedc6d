"""The lines that `make mutants` breaks are there, and are broken in a copy."""

from dataclasses import replace

import pytest

from recsys.retrieval.registry import TYPES
from tests.mutants.lines import MUTANTS, Mutant
from tests.mutants.run import ROOT, survivors


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.technique}: {mutant.broken}")
def test_a_line_that_is_broken_is_there_once_and_so_are_its_tests(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutant.applied(text) != text
    compile(mutant.applied(text), mutant.file, "exec")
    assert (ROOT / mutant.tests).is_file()


def test_each_type_of_part_and_each_mixer_has_a_line_that_carries_its_idea() -> None:
    covered = {name for mutant in MUTANTS for name in mutant.techniques}
    mixers = {file.stem for file in (ROOT / "models" / "mixers").glob("*.py")} - {"__init__"}
    assert {*TYPES, *mixers} <= covered


def test_a_line_that_is_gone_or_there_twice_is_an_error() -> None:
    mutant = Mutant("x", "x.py", "a = 1", "a = 2", "tests/test_x.py")
    assert mutant.applied("b = a\na = 1\n") == "b = a\na = 2\n"
    for text in ("b = a\n", "a = 1\na = 1\n"):
        with pytest.raises(LookupError, match=r"x\.py has \d times `a = 1`, not once"):
            mutant.applied(text)


@pytest.mark.slow
def test_what_a_test_notices_is_killed_and_what_none_does_survives(capsys: pytest.CaptureFixture[str]) -> None:
    (fatal,) = (mutant for mutant in MUTANTS if mutant.technique == "gbce")
    harmless = replace(fatal, line='"""The exponent of', broken='"""Exponent of')
    before = (ROOT / fatal.file).read_text(encoding="utf-8")
    assert survivors([fatal, harmless]) == [harmless]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["killed    gbce", "SURVIVED  gbce"]
    assert (ROOT / fatal.file).read_text(encoding="utf-8") == before
    with pytest.raises(LookupError, match="pytest could not run"):
        survivors([replace(fatal, tests="tests/models/no_such_tests.py")])
