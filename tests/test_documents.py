"""What the documents say is so."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.app import create_app
from recsys.cli import app
from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import Planted

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALK = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def files_named(text: str) -> list[str]:
    return sorted(set(re.findall(r"`((?:api|recsys|models|features|migrations|tests|notebooks)/[\w./]+\.\w+)`", text)))


@pytest.mark.parametrize("name", files_named(WALK + README))
def test_every_file_named_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_walk_names_its_files() -> None:
    assert len(files_named(WALK)) > 25


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_the_code_of_the_readme_runs(
    code: str, trained: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.copy(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("\n") >= 5


@pytest.mark.parametrize("line", [line for block in blocks(README, "console") for line in block.splitlines()])
def test_the_commands_of_the_readme_exist(line: str) -> None:
    words = line.split("#")[0].replace(".venv/bin/", "").split()
    if words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        return
    if words[:1] != ["recsys"]:
        return
    command = [word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]+", word)]
    named = command[:2] if command[0] in ("db", "import", "bundles") else command[:1]
    shown = CliRunner().invoke(app, [*named, "--help"])
    assert shown.exit_code == 0, line
    for option in re.findall(r"--[a-z-]+", line):
        assert option in re.sub(r"\s+", " ", shown.output), (line, option)


def test_the_routes_of_the_readme_exist(served: tuple[Recommender, Store, Planted]) -> None:
    paths = create_app(served[0]).openapi()["paths"]
    known = {re.sub(r"\{.*?\}", "{}", path) for path in paths} | {"/"}
    named = re.findall(r"`(?:GET|POST|PUT|DELETE|/)+ ?(/[\w/{}:.]*)`", README)
    assert len(named) > 8
    assert [path for path in named if re.sub(r"\{.*?\}", "{}", path) not in known] == []
