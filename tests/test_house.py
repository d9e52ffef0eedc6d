"""Guards of the house style, measured on the syntax trees of the packages.

Bounds on what is counted by package are today's values: lower them when a value falls.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.registry import TYPES
from recsys.retrieval.source import StoredSource

ROOT = Path(__file__).parent.parent
PACKAGES = ("recsys", "models", "features", "api", "migrations")
VAGUE_NAMES = (
    "told tell found held kept read reads given asked shown one some taken wanted place places own past rest beside picked said "
    "spoken met near alone drawn called begun turned put meant"
)
PLAYLIST_FOLDERS = {"lists", "playlists"}

VAGUE_PER_1000 = 3
MAX_BODY_LINES = 40
P90_BODY_LINES = 15
MAX_FILE_LINES = 250
CLASS_CHECKS = {  # of errors, options and events; of indexes where one is cached or rebuilt
    "api": 2,
    "models": 1,
    "recsys.batch": 2,
    "recsys.cli": 3,
    "recsys.indexes": 11,
    "recsys.service": 1,
    "recsys.training": 3,
}

Modules = Mapping[PurePosixPath, ast.Module]
"""Syntax trees by path from the root of the repository."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def house() -> Modules:
    files = (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
    return {PurePosixPath(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def house_class_checks() -> Mapping[str, list[str]]:
    return class_checks(house())


def modules(**texts: str) -> Modules:
    """Modules of `recsys/retrieval` with these names and texts."""
    return {PurePosixPath(f"recsys/retrieval/{name}.py"): ast.parse(text) for name, text in texts.items()}


def nodes(trees: Modules) -> Iterator[tuple[PurePosixPath, ast.AST]]:
    return ((path, node) for path, tree in trees.items() for node in ast.walk(tree))


def bound_names(trees: Modules) -> Iterator[tuple[str, str]]:
    """Each name that is bound, and where: definitions, arguments, assignments, `as` names and captures of patterns."""
    for path, node in nodes(trees):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, f"{path}:{node.lineno}"
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, f"{path}:{node.lineno}"
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.alias(asname=str(name)):
                yield name, f"{path}:{node.lineno}"


def vague_names(trees: Modules) -> list[str]:
    return [f"{where} {name}" for name, where in bound_names(trees) if name.strip("_").lower() in VAGUE_NAMES.split()]


def shared_base_names(paths: Iterable[PurePosixPath]) -> list[str]:
    """Modules of one second-level package with the same base name; those in folders of playlists are a group of their own."""
    groups = defaultdict[tuple[object, ...], list[str]](list)
    for path in paths:
        if len(path.parts) > 2 and path.stem != "__init__":
            of_playlists = not PLAYLIST_FOLDERS.isdisjoint(path.parts[2:-1])
            groups[*path.parts[:2], of_playlists, path.stem].append(str(path))
    return [", ".join(group) for group in groups.values() if len(group) > 1]


def body_lines(trees: Modules) -> list[tuple[int, str]]:
    """Lines of each function's body without its docstring, and where it is, shortest first."""
    return sorted(
        (_lines(node), f"{path}:{node.lineno} {node.name}") for path, node in nodes(trees) if isinstance(node, Function)
    )


def _lines(function: Function) -> int:
    body = function.body if ast.get_docstring(function) is None else function.body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def class_checks(trees: Modules) -> dict[str, list[str]]:
    """By package, the classes of `trees` in the second argument of an `isinstance` outside the file that defines them."""
    defined_in = defaultdict[str, set[PurePosixPath]](set)
    for path, node in nodes(trees):
        if isinstance(node, ast.ClassDef):
            defined_in[node.name].add(path)
    checks = defaultdict[str, list[str]](list)
    for path, node in nodes(trees):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, classes]):
                ours = [name for name in _names(classes) if name in defined_in and path not in defined_in[name]]
                checks[_package(path)] += [f"{path}:{node.lineno} {name}" for name in ours]
    return {package: lines for package, lines in checks.items() if lines}


def _names(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def _package(path: PurePosixPath) -> str:
    depth = 2 if path.parts[0] == "recsys" else 1
    return ".".join(path.parts[:-1][:depth])


def registered_classes() -> set[str]:
    """The classes of sources and list encoders."""

    def below(parent: type) -> Iterator[str]:
        children: list[type] = parent.__subclasses__()
        for child in children:
            if child.__module__.startswith("recsys."):
                yield child.__name__
                yield from below(child)

    assert TYPES  # the registry imports them all
    return {*below(StoredSource), *below(ListEncoder)}


def class_patterns(trees: Modules, classes: set[str]) -> list[str]:
    """Patterns of `match` that name one of `classes` outside the file that defines it."""
    defined = {(path, node.name) for path, node in nodes(trees) if isinstance(node, ast.ClassDef)}
    return [
        f"{path}:{node.lineno} {name}"
        for path, node in nodes(trees)
        if isinstance(node, ast.MatchClass)
        for name in _names(node.cls)
        if name in classes and (path, name) not in defined
    ]


def listed_kinds(trees: Modules) -> list[str]:
    """Tuples, lists and sets of two or more names of types of part, outside the registry and the recipes."""
    return [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path, node in nodes(trees)
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and path.name not in ("registry.py", "recipes.py")
        if sum(isinstance(entry, ast.Constant) and entry.value in TYPES for entry in node.elts) > 1
    ]


def engine_uses(trees: Modules) -> list[str]:
    """Lines outside `recsys/store` that take `.engine` of what is called a store."""
    lines = {
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path, node in nodes(trees)
        if isinstance(node, ast.Attribute) and node.attr == "engine" and "store" in ast.unparse(node.value).lower()
        if path.parts[:2] != ("recsys", "store")
    }
    return sorted(lines)


def long_files(lengths: Mapping[str, int]) -> list[str]:
    return [f"{path} {lines}" for path, lines in lengths.items() if lines > MAX_FILE_LINES]


def report(offenders: Iterable[str]) -> str:
    return "\n" + "\n".join(offenders)


def test_names_say_what_they_hold() -> None:
    vague, bound = vague_names(house()), sum(1 for _ in bound_names(house()))
    assert 1000 * len(vague) / bound < VAGUE_PER_1000, report(vague)


def test_no_two_modules_of_a_package_share_a_base_name() -> None:
    shared = shared_base_names(house())
    assert not shared, report(shared)


def test_functions_are_short() -> None:
    bodies = body_lines({path: tree for path, tree in house().items() if path.parts[0] != "migrations"})
    assert bodies[len(bodies) * 9 // 10][0] <= P90_BODY_LINES, report(
        f"{lines} {name}" for lines, name in bodies[-200:]
    )
    assert bodies[-1][0] <= MAX_BODY_LINES, report(
        f"{lines} {name}" for lines, name in bodies if lines > MAX_BODY_LINES
    )


def test_files_are_short() -> None:
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in house()}
    long = long_files(lengths)
    assert not long, report(long)


@pytest.mark.parametrize("package", sorted({_package(path) for path in house()}))
def test_few_ask_which_of_our_classes_something_is(package: str) -> None:
    checks = house_class_checks().get(package, [])
    assert len(checks) <= CLASS_CHECKS.get(package, 0), report(checks)


def test_nobody_asks_which_type_of_part_something_is() -> None:
    checks = [
        line for lines in house_class_checks().values() for line in lines if line.split()[1] in registered_classes()
    ]
    patterns = class_patterns(house(), registered_classes())
    assert not checks + patterns, report(checks + patterns)


def test_types_of_part_are_listed_in_the_registry_alone() -> None:
    listed = listed_kinds(house())
    assert not listed, report(listed)


def test_the_engine_stays_inside_the_store() -> None:
    uses = engine_uses(house())
    assert not uses, report(uses)


@pytest.mark.parametrize(
    "text",
    [
        "def found(): ...",
        "class Told: ...",
        "def f(*, given): ...",
        "_kept = 1",
        "self.held: int = 1",
        "import numpy as one",
        "for place in x: ...",
        "match x:\n    case [asked]: ...",
        "match x:\n    case [1, *rest]: ...",
    ],
)
def test_a_vague_name_is_counted(text: str) -> None:
    assert len(vague_names(modules(sample=text))) == 1
    assert not vague_names(modules(sample="rows = founder(found).held"))


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("recsys/retrieval/text.py", "recsys/retrieval/deep/text.py", True),
        ("recsys/retrieval/lists/text.py", "recsys/retrieval/playlists/text.py", True),
        ("recsys/retrieval/text.py", "recsys/retrieval/lists/text.py", False),
        ("recsys/retrieval/text.py", "recsys/indexes/text.py", False),
        ("recsys/retrieval/__init__.py", "recsys/retrieval/deep/__init__.py", False),
    ],
)
def test_a_base_name_of_two_modules_is_seen(first: str, second: str, *, shared: bool) -> None:
    assert bool(shared_base_names([PurePosixPath(first), PurePosixPath(second)])) == shared


def test_a_body_is_measured_without_its_docstring() -> None:
    text = 'async def f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    y = (\n        x\n    )\n    return y\n'
    assert body_lines(modules(sample=text)) == [(4, "recsys/retrieval/sample.py:1 f")]
    assert body_lines(modules(sample='def f():\n    """Only that."""\n')) == [(0, "recsys/retrieval/sample.py:1 f")]


def test_a_long_file_is_seen() -> None:
    assert long_files({"short.py": MAX_FILE_LINES, "long.py": MAX_FILE_LINES + 1}) == ["long.py 251"]


@pytest.mark.parametrize(
    "check", ["isinstance(x, Source)", "isinstance(x, int | a.Source)", "isinstance(x, (Source, str))"]
)
def test_a_check_of_a_class_is_counted_outside_its_file(check: str) -> None:
    definition = "class Source: ..."
    assert class_checks(modules(source=definition, other=check)) == {
        "recsys.retrieval": ["recsys/retrieval/other.py:1 Source"]
    }
    assert not class_checks(modules(source=f"{definition}\n{check}", other="isinstance(x, int)"))


def test_a_pattern_of_a_registered_class_is_seen_and_a_list_of_types() -> None:
    assert class_patterns(modules(x="match x:\n    case TextSource(): ..."), {"TextSource"}) == [
        "recsys/retrieval/x.py:2 TextSource"
    ]
    assert {"TextSource", "SetListEncoder", "SequenceSource"} <= registered_classes()
    assert listed_kinds(modules(x="names = ('popular', 'markov')")) == ["recsys/retrieval/x.py:1 ('popular', 'markov')"]
    assert not listed_kinds(modules(x="names = ('popular', 'other')"))


@pytest.mark.parametrize("text", ["reading(store.engine)", "self._store.engine", "Store.open(url).engine"])
def test_an_engine_taken_from_a_store_is_counted(text: str) -> None:
    assert len(engine_uses(modules(sample=text))) == 1
    assert not engine_uses({PurePosixPath("recsys/store/sample.py"): ast.parse(text)})
    assert not engine_uses(modules(sample="batch.engine.run()"))


@pytest.mark.parametrize("guard", [vague_names, class_checks, engine_uses, body_lines])
def test_nothing_is_found_in_an_empty_module(guard: Callable[[Modules], object]) -> None:
    assert not guard(modules(empty=""))
