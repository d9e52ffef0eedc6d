"""Dataclasses of options become the options of a command."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from recsys.cli.options import set_options, with_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    width: Annotated[int, typer.Option(min=1, help="Metres.")] = 2
    label: Annotated[str | None, typer.Argument(help="What to print.")] = None


@with_options
def draw(shape: Shape, *, times: Annotated[int, typer.Option()] = 1) -> None:
    """Prints a shape."""
    for _ in range(times):
        print(shape)  # noqa: T201  (the command's output is what the test looks at)


app = typer.Typer()
app.command()(draw)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ([], "Shape(width=2, label=None)\n"),
        (["box", "--width", "3", "--times", "2"], "Shape(width=3, label='box')\n" * 2),
    ],
)
def test_a_command_gets_its_options_as_the_dataclass(words: list[str], output: str) -> None:
    assert CliRunner().invoke(app, words).output == output


def test_the_checks_and_the_help_of_a_field_are_those_of_the_option() -> None:
    assert "greater than or equal to 1" in CliRunner().invoke(app, ["--width", "0"]).output
    text = CliRunner().invoke(app, ["--help"]).output
    assert all(word in text for word in ("Prints a shape.", "--width", "Metres.", "--times"))
    assert "--shape" not in text


def test_only_none_is_not_set() -> None:
    assert set_options({"a": None, "b": 0, "c": "", "d": False}) == {"b": 0, "c": "", "d": False}
