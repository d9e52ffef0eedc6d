"""A bundle that somebody else made, signed as it should be, with whatever they like in it."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recsys.bundle_files import MAX_BUNDLE_BYTES
from recsys.bundle_io import load_bundle, read_manifest, save_bundle
from recsys.cli import app
from recsys.errors import BundleError
from recsys.manifest import digest, signed
from recsys.service import Recommender
from recsys.store import Store
from tests.test_bundle import BUNDLE
from tests.worlds import Planted

Change = Callable[[dict[str, Any]], object]
FILE = "parts/p.safetensors"
DIGEST = "0" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(save_bundle(BUNDLE, str(tmp_path), name="theirs"))


def rewrite(folder: Path, change: Change) -> None:
    """Changes the manifest and signs it again."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    (folder / "manifest.json").write_bytes(signed(manifest))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Another content, with its own digest in the manifest."""
    (folder / name).write_bytes(content)
    rewrite(folder, lambda manifest: manifest["files"].update({name: digest(content)}))


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as refused:
        load_bundle(str(folder))
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "parts/../../secret",
        "/etc/passwd",
        "//host/x",
        "file:///etc/passwd",
        "a::b",
        "~/x",
        "a\\..\\b",
        "",
        ".",
        "a//b",
        "a\n",
    ],
)
def test_names_of_files_stay_inside_the_folder(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("mine")

    def point(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"].pop(FILE)
        manifest["parts"]["p"]["file"] = name

    rewrite(folder, point)
    assert "stay inside the bundle's folder" in refusal(folder)


def test_a_part_s_name_stays_inside_the_folder_into_which_it_is_saved_again(folder: Path) -> None:
    rewrite(folder, lambda manifest: manifest["parts"].update({"../../p": manifest["parts"].pop("p")}))
    assert "stay inside the bundle's folder" in refusal(folder)


@pytest.mark.parametrize("name", [FILE, "vocabulary.json", "manifest.json", "parts"])
def test_a_link_out_of_the_folder_is_not_followed(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    assert "is a link out of the bundle's folder" in refusal(folder)


def test_a_link_within_the_folder_and_one_to_the_folder_are_followed(folder: Path) -> None:
    (folder / FILE).rename(folder / "elsewhere")
    (folder / FILE).symlink_to(folder / "elsewhere")
    (folder.parent / "latest").symlink_to(folder)
    assert load_bundle(str(folder.parent / "latest")).item_ids == BUNDLE.item_ids


@pytest.mark.parametrize("name", [FILE, "manifest.json"])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "is no regular file" in refusal(folder)


@pytest.mark.parametrize("name", [FILE, "vocabulary.json", "manifest.json"])
def test_a_file_beyond_all_bounds_is_not_loaded(folder: Path, name: str) -> None:
    os.truncate(folder / name, MAX_BUNDLE_BYTES + 1)  # sparse: it takes no room on the disk
    assert "bytes, it may have" in refusal(folder)


def test_many_large_files_are_bounded_together(folder: Path) -> None:
    def double(manifest: dict[str, Any]) -> None:
        manifest["parts"]["q"] = manifest["parts"]["p"] | {"file": "q"}
        manifest["files"]["q"] = manifest["files"][FILE]

    rewrite(folder, double)
    for name in (FILE, "q"):
        (folder / name).touch()
        os.truncate(folder / name, MAX_BUNDLE_BYTES * 3 // 4)
    assert f"a bundle at most {MAX_BUNDLE_BYTES:,}" in refusal(folder)


@pytest.mark.parametrize("key", ["created", "default", "about", "vocabulary_hash", "parts", "files"])
def test_a_key_that_is_missing_is_named(folder: Path, key: str) -> None:
    rewrite(folder, lambda manifest: manifest.pop(key))
    assert f"'{key}': Field required" in refusal(folder)
    with pytest.raises(BundleError, match="Field required"):
        read_manifest(str(folder))


@pytest.mark.parametrize("key", ["kind", "config", "hash", "figures", "file"])
def test_a_key_of_a_part_that_is_missing_is_named(folder: Path, key: str) -> None:
    rewrite(folder, lambda manifest: manifest["parts"]["p"].pop(key))
    assert f"'parts.p.{key}': Field required" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(default="q"), "the default 'q' is none of its parts, p"),
        (lambda m: m.update(default=["p"]), "'default': Input should be a valid string"),
        (lambda m: m.update(parts={}), "'parts': Dictionary should have at least 1 item"),
        (lambda m: m.update(parts=[1]), "'parts': Input should be a valid dictionary"),
        (lambda m: m.update(files=3), "'files': Input should be a valid dictionary"),
        (lambda m: m["files"].update({"more": DIGEST}), "its files are not those of its parts"),
        (lambda m: m["files"].pop("texts.json"), "its files are not those of its parts"),
        (lambda m: m["parts"].update(q=m["parts"]["p"]), "its files are not those of its parts"),
        (lambda m: m["files"].update({FILE: None}), "Input should be a valid string"),
        (lambda m: m["parts"]["p"].update(config=7), "'parts.p.config': Input should be a valid dictionary"),
        (lambda m: m.update(vocabulary_hash="x"), "'vocabulary_hash': String should match"),
        (lambda m: m.update(created="\x1b[2J"), "'created': String should match"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_the_place(folder: Path, change: Change, message: str) -> None:
    rewrite(folder, change)
    assert message in refusal(folder)


@pytest.mark.parametrize("levels", [100, 2_000, 200_000])
@pytest.mark.parametrize("name", ["manifest.json", "vocabulary.json", "texts.json"])
def test_json_inside_json_without_end_is_refused(folder: Path, name: str, levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    if name == "manifest.json":
        (folder / name).write_bytes(b'{"about": ' + deep + b"}")
    else:
        replace_file(folder, name, deep)
    assert f"{name} is damaged" in refusal(folder)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"7", b"\xff", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}']
)
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json is damaged" in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2, 3]", b'["007", "\\ud800", "c"]', b"[NaN]", b"\xff"])
@pytest.mark.parametrize("name", ["vocabulary.json", "texts.json"])
def test_ids_and_texts_that_are_no_list_of_strings_are_refused(folder: Path, name: str, content: bytes) -> None:
    replace_file(folder, name, content)
    assert f"{name} is damaged" in refusal(folder)


def test_texts_of_another_number_than_the_items_are_refused(folder: Path) -> None:
    replace_file(folder, "texts.json", b'["x"]')
    assert "names 3 items, 3 of them distinct, with 1 texts" in refusal(folder)


def test_a_type_that_numpy_lacks_is_refused(folder: Path) -> None:
    head = json.dumps({"scores": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]}}).encode()
    replace_file(folder, FILE, len(head).to_bytes(8, "little") + head + b"abc")
    assert "is no safetensors file" in refusal(folder)


@pytest.mark.parametrize(
    "uri",
    [
        "mystery://x",
        "github://x/y",
        "dbfs://x",
        "reference://x",
        "dir://x",
        "zip://x",
        "generic://x",
        "hdfs://x",
        "jlab://x",
    ],
)
def test_a_scheme_that_nothing_opens_is_one_line(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for action in (load_bundle, read_manifest, lambda folder: save_bundle(BUNDLE, folder)):
        with pytest.raises(BundleError, match="cannot be opened") as refused:
            action(uri)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("part", "change"),
    [("ease", {"decay": None}), ("ease", {"decay": "x"}), ("blend", {"depth": 10**18})],
)
def test_a_bundle_that_cannot_answer_is_not_activated(
    trained: Planted, tmp_path: Path, part: str, change: dict[str, object]
) -> None:
    bundle = load_bundle(trained.bundle)
    bad = bundle.parts[part]
    parts = {**bundle.parts, part: replace(bad, config={**bad.config, **change})}
    uri = save_bundle(replace(bundle, parts=parts), str(tmp_path), name="bad")
    planted = trained.copy(tmp_path)
    runner = CliRunner(env={"RECSYS_DATABASE_URL": planted.url})
    result = runner.invoke(app, ["bundles", "activate", uri])
    assert result.exit_code == 1, result.output
    assert re.search(
        f"part '{part}' (cannot answer|does not hold its settings|takes depth)", " ".join(result.output.split())
    )
    store = Store.open(planted.url)
    with pytest.raises(BundleError, match=r"cannot answer|does not hold its settings|takes depth"):
        Recommender(store, bundle=uri)
    active = store.active_bundle()
    store.close()
    assert active is not None
    assert active.uri == trained.bundle
