"""A bundle is written whole or not at all, and a damaged one is refused with the reason."""

import json
import os
import signal
from itertools import count
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from recsys.bundle import Bundle, Part
from recsys.bundle_io import add_figures, load_bundle, read_manifest, save_bundle
from recsys.errors import BundleError
from tests.failing import full_disk

PART = Part(name="p", kind="popular", config={"share": 1.0}, arrays={"scores": np.arange(3, dtype=np.float32)})
BUNDLE = Bundle(parts={"p": PART}, default="p", item_ids=("007", "ü/1", "c"), about={"seed": 3}, texts=("x", "y", "z"))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return save_bundle(BUNDLE, str(tmp_path))


def test_what_was_saved_comes_back(uri: str) -> None:
    again = load_bundle(uri)
    assert (again.item_ids, again.texts, again.default, again.about) == (
        BUNDLE.item_ids,
        BUNDLE.texts,
        "p",
        {"seed": 3},
    )
    np.testing.assert_array_equal(again.parts["p"].arrays["scores"], PART.arrays["scores"])
    assert again.parts["p"].hash == PART.hash
    assert again.uri == uri


def test_the_manifest_says_what_is_inside(uri: str) -> None:
    manifest = read_manifest(uri)
    assert {"created", "vocabulary_hash", "libraries", "parts", "files", "about"} <= set(manifest)
    assert set(manifest["files"]) == {
        path.relative_to(uri).as_posix() for path in Path(uri).rglob("*") if path.is_file()
    } - {"manifest.json"}
    assert not list(Path(uri).rglob("*.pkl"))


def test_figures_can_be_added_and_nothing_else_changes(uri: str) -> None:
    before = {path: path.read_bytes() for path in Path(uri).rglob("*.*") if path.name != "manifest.json"}
    add_figures(uri, {"p": {"test": {"ndcg@10": 0.1}}, "elsewhere": {}})
    assert load_bundle(uri).parts["p"].figures == {"test": {"ndcg@10": 0.1}}
    assert {path: path.read_bytes() for path in before} == before


def test_a_damaged_byte_anywhere_is_found(uri: str) -> None:
    for path in [path for path in Path(uri).rglob("*") if path.is_file() and path.name != "manifest.json"]:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(BundleError, match=f"{path.name} is damaged"):
            load_bundle(uri)
        path.unlink()
        with pytest.raises(BundleError, match=f"{path.name} is missing"):
            load_bundle(uri)
        path.write_bytes(whole)
    load_bundle(uri)


def test_a_manifest_that_is_missing_damaged_or_newer_is_said(uri: str) -> None:
    path = Path(uri, "manifest.json")
    whole = path.read_text()
    path.write_text(json.dumps(json.loads(whole) | {"format": 99}))
    with pytest.raises(BundleError, match="bundle format 99; this version reads 2"):
        load_bundle(uri)
    path.write_text(whole[:50])
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(uri)
    path.unlink()
    with pytest.raises(BundleError, match="no bundle at"):
        load_bundle(uri)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    write = LocalFileSystem.pipe_file

    def full(self: LocalFileSystem, path: str, value: bytes, **more: object) -> None:
        if path.endswith("manifest.json"):
            raise OSError(28, "No space left on device")
        write(self, path, value, **more)

    with patch.object(LocalFileSystem, "pipe_file", full), pytest.raises(BundleError, match="free space"):
        save_bundle(BUNDLE, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [0, 100, 700])
def test_a_real_write_that_fails_leaves_nothing(tmp_path: Path, room: int) -> None:
    with full_disk(room), pytest.raises(BundleError, match="free space"):
        save_bundle(BUNDLE, str(tmp_path), name="mine")
    assert list(tmp_path.iterdir()) == []
    load_bundle(save_bundle(BUNDLE, str(tmp_path), name="mine"))


def test_a_process_killed_at_any_write_leaves_no_bundle(tmp_path: Path) -> None:
    """Killed before each write in turn, until there is none left to be killed at."""
    for number in range(20):
        if not _killed_saving(tmp_path / str(number), at=number):
            assert number > len(BUNDLE.parts)
            load_bundle(str(tmp_path / str(number) / "mine"))
            return
        with pytest.raises(BundleError, match="no bundle at"):
            load_bundle(str(tmp_path / str(number) / "mine"))
        load_bundle(save_bundle(BUNDLE, str(tmp_path / str(number)), name="mine"))  # what it left is in nobody's way
    raise AssertionError("there is no end of writes")


def _killed_saving(folder: Path, *, at: int) -> bool:
    """Saves in a process that kills itself before write number `at`; False where it came to its end."""
    pid = os.fork()
    if pid == 0:
        writes, write = count(), LocalFileSystem.pipe_file

        def fatal(self: LocalFileSystem, path: str, value: bytes, **more: object) -> None:
            if next(writes) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            write(self, path, value, **more)

        with patch.object(LocalFileSystem, "pipe_file", fatal):
            save_bundle(BUNDLE, str(folder), name="mine")
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    save_bundle(BUNDLE, str(tmp_path), name="mine")
    with pytest.raises(BundleError, match="there already"):
        save_bundle(BUNDLE, str(tmp_path), name="mine")


def test_any_fsspec_place_will_do() -> None:
    uri = save_bundle(BUNDLE, "memory://bundles")
    assert uri.startswith("memory://")
    assert load_bundle(uri).item_ids == BUNDLE.item_ids


def test_the_hash_of_a_part_is_that_of_its_content() -> None:
    def part(**changed: object) -> Part:
        values = {"name": "p", "kind": PART.kind, "config": PART.config, "arrays": PART.arrays}
        return Part(**(values | changed))  # type: ignore[arg-type]

    assert part(name="q").hash == PART.hash
    assert part(config={"share": 0.5}).hash != PART.hash
    assert part(arrays={"scores": PART.arrays["scores"] + 1}).hash != PART.hash


def test_a_part_that_is_not_there_is_said() -> None:
    with pytest.raises(BundleError, match="no part 'q' in this bundle; it has p"):
        BUNDLE.part("q")
