"""Lines of progress, and what fills the silence between them."""

import io
import time

import pytest
from rich.console import Console

from recsys.cli import progress
from recsys.cli.progress import ProgressLines


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=out, width=200))
    monkeypatch.setattr(progress, "MAX_SILENCE_SECONDS", 0.05)
    return out


def test_a_long_step_is_said_to_go_on(page: io.StringIO) -> None:
    with ProgressLines() as lines:
        lines.add("ease", "inverting")
        time.sleep(0.3)
        lines.add("ease", "inverted")
    printed = page.getvalue().splitlines()
    assert printed[0] == "ease inverting"
    assert printed[-1] == "ease inverted"
    assert 2 <= len(printed) - 2 <= 6
    assert set(printed[1:-1]) == {"ease still at it, 0 s so far"}


def interrupted() -> None:
    with ProgressLines() as lines:
        for number in range(3):
            lines.add("text", f"step {number}")
        raise KeyboardInterrupt


def test_quick_steps_are_not_interrupted_and_nothing_is_printed_after_the_end(page: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    time.sleep(0.1)
    assert page.getvalue().splitlines() == ["text step 0", "text step 1", "text step 2"]
