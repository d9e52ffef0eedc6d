"""Counts what makes code hard to read: vague names, checks of the class of a part, upward imports, files that know a source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import recsys.retrieval.registry  # noqa: F401  (defines all types of part)
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.source import StoredSource
from tests.benchmarks.harness import ROOT, Row, at_most

PACKAGES = ("recsys", "models", "features", "api", "migrations")
VAGUE = re.compile(
    "_*(told|tell|found|held|kept|read|reads|given|asked|shown|one|some|taken|wanted|place|places|own|past|rest|beside|picked|said|"
    "spoken|met|near|alone|drawn|called|begun|turned|put|meant)_*",
    re.IGNORECASE,
)
"""Names that are no term of the field."""
MAX_VAGUE_PER_1000 = 3
NEW_SOURCE = Path("tests") / "test_new_source.py"
"""Adds a toy source by two rows; no other file may know it."""


def static(_: Path) -> Iterator[Row]:
    """The figures of the working tree; none of them needs data."""
    modules = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _files(*PACKAGES)}
    yield _vague_names([name for tree in modules.values() for name in bound_names(tree)])
    yield _none("checks of a class of the registry outside its file", _outside_checks(modules), n=len(modules))
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    status = subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr).returncode
    yield at_most("lint-imports, status", status, 0, seed=0, n=len(modules))
    yield _none("other files that know the toy source", _files_knowing_the_toy_source(), n=1)


def bound_names(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives: functions, classes, arguments, variables, attributes, aliases."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.alias(asname=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def class_checks(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(class, line) of each `isinstance` and of each pattern of a `match` that asks for a class."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, classes]):
                yield from ((name, node.lineno) for name in _class_names(classes))
            case ast.MatchClass(cls=cls):
                yield from ((name, node.lineno) for name in _class_names(cls))


def _class_names(expression: ast.AST) -> Iterator[str]:
    for node in ast.walk(expression):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def _vague_names(names: list[str]) -> Row:
    vague = [name for name in names if VAGUE.fullmatch(name)]
    per_1000 = 1000 * len(vague) / len(names)
    return Row(
        what="names of the word list per 1,000",
        value={"value": per_1000, "names": sorted(set(vague))},
        must=f"< {MAX_VAGUE_PER_1000}",
        holds=per_1000 < MAX_VAGUE_PER_1000,
        seed=0,
        n=len(names),
    )


def _outside_checks(modules: Mapping[Path, ast.AST]) -> list[str]:
    """Where a module asks whether a part is of a class that another file defines."""
    homes = _part_classes()
    return [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path, tree in modules.items()
        for name, line in class_checks(tree)
        if name in homes and path != homes[name]
    ]


def _part_classes() -> dict[str, Path]:
    """The file of each class that the registry restores."""
    classes, queue = dict[str, Path](), [StoredSource, ListEncoder]
    while queue:
        for subclass in queue.pop().__subclasses__():
            queue.append(subclass)
            if subclass.__module__.startswith("recsys."):
                classes[subclass.__name__] = ROOT / Path(*subclass.__module__.split(".")).with_suffix(".py")
    return classes


def _files_knowing_the_toy_source() -> list[str]:
    text = (ROOT / NEW_SOURCE).read_text(encoding="utf-8")
    names = re.findall(r"^class (\w+)\(StoredSource\)|^    kind = \"([\w-]+)\"", text, flags=re.MULTILINE)
    known = re.compile("|".join(rf"\b{name}\b" for pair in names for name in pair if name))
    others = (path for path in _files(*PACKAGES, "tests") if path != ROOT / NEW_SOURCE)
    return [str(path.relative_to(ROOT)) for path in others if known.search(path.read_text(encoding="utf-8"))]


def _files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _none(what: str, exceptions: list[str], *, n: int) -> Row:
    return at_most(what, len(exceptions), 0, seed=0, n=n, exceptions=exceptions)


BENCHES = {"house-static": static}
