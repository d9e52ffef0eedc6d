"""Playlist files of music players: what a track and a list are called, in which encoding, and what a later file leaves alone."""

import json
from pathlib import Path
from unicodedata import normalize

import pytest

from recsys.importing.layouts.detect import detect
from recsys.store import Store
from tests.importing.test_layouts import items, run, write

FILES: dict[str, str | bytes] = {
    "mix.jspf": json.dumps({"playlist": {"title": "J", "track": [{"location": ["4.mp3"]}]}}),
    "mix.m3u": "3.mp3\n",
    "mix.m3u8": "1.mp3\n2.mp3\n",
}


def lists(store: Store) -> dict[str, tuple[str, ...]]:
    return {playlist_id: store.playlist(playlist_id).item_ids for playlist_id in store.playlist_ids()}


def titles(path: Path) -> list[object]:
    """The titles in a list, None where it says nothing."""
    (file,) = detect(path, "items")
    assert file.reader is not None
    return [row.get("title") for row in file.reader(path, ()) if isinstance(row, dict)]


def test_lists_of_one_name_do_not_replace_each_other(store: Store, tmp_path: Path) -> None:
    other: dict[str, str | bytes] = {f"other/{name}": content for name, content in FILES.items()}
    folder = write(tmp_path, FILES | other)
    for path in (folder, folder / "other"):
        assert run(store, path, "items").accepted == 4
        assert run(store, path, "playlists").accepted == 4
        again = run(store, path, "playlists")
        assert (again.accepted, again.unchanged) == (0, 4)
    assert lists(store)[f"{folder}/mix.m3u8"] == (f"{folder}/1.mp3", f"{folder}/2.mp3")
    assert lists(store)[f"{folder}/other/mix.jspf"] == (f"{folder}/other/4.mp3",)
    assert len(lists(store)) == 6
    assert store.playlist(f"{folder}/mix.m3u").name == "mix"


@pytest.mark.parametrize(
    "written",
    [
        "../music/a b.mp3",
        "./../lists/../music/a b.mp3",
        "..\\music\\a b.mp3",
        "{folder}/music/a b.mp3",
        "file://{folder}/music/a%20b.mp3",
        "file://localhost{folder}/music/a%20b.mp3",
    ],
)
def test_one_file_is_one_item_however_a_list_writes_it(store: Store, tmp_path: Path, written: str) -> None:
    path = write(tmp_path, {"lists/a.m3u8": written.format(folder=tmp_path)}) / "lists"
    run(store, path, "items")
    assert [item.item_id for item in items(store)] == [f"{tmp_path}/music/a b.mp3"]


@pytest.mark.parametrize(
    ("written", "item_id"),
    [
        ("http://radio.example/stream;?x=1", "http://radio.example/stream;?x=1"),
        ("spotify:track:1", "spotify:track:1"),
        ("C:\\Music\\a.mp3", "C:/Music/a.mp3"),
    ],
)
def test_addresses_stay_as_they_are(store: Store, tmp_path: Path, written: str, item_id: str) -> None:
    run(store, write(tmp_path, {"a.m3u8": written}), "items")
    assert [item.item_id for item in items(store)] == [item_id]


def test_composed_and_decomposed_letters_are_one_path(store: Store, tmp_path: Path) -> None:
    forms = [normalize(form, "caf\u00e9/\u00fc.mp3") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    run(store, write(tmp_path, {"a.m3u8": "\n".join(forms)}), "items")
    assert [item.item_id for item in items(store)] == [f"{tmp_path}/{forms[0]}"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "latin-1"])
def test_m3u_is_utf_8_or_what_western_players_write(store: Store, tmp_path: Path, encoding: str) -> None:
    folder = write(tmp_path, {"a.M3U": "#EXTINF:1,M\u00fcller - Caf\u00e9\nm\u00fcller.mp3\n".encode(encoding)})
    assert run(store, folder, "items").accepted == 1
    assert [(item.item_id, item.title) for item in items(store)] == [
        (f"{tmp_path}/m\u00fcller.mp3", "M\u00fcller - Caf\u00e9")
    ]


def test_m3u8_is_utf_8_and_other_lines_are_rejected(store: Store, tmp_path: Path) -> None:
    report = run(store, write(tmp_path, {"a.m3u8": b"a.mp3\nm\xfcller.mp3\n"}), "items")
    assert (report.accepted, report.reasons) == (1, {"broken encoding": 1})


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("#EXTINF:123,Artist - Title", "Artist - Title"),
        ('#EXTINF:123 tvg-id="x",Artist - Title', "Artist - Title"),
        ('#EXTINF:-1 tvg-name="A, B" group-title="C, D",Artist - Title, Part 2', "Artist - Title, Part 2"),
        ('#EXTINF:123,A 12" mix, long', 'A 12" mix, long'),
        ('#EXTINF:-1 tvg-id="x,Unclosed', "Unclosed"),
        ("#extinf:,Title", "Title"),
        ("#EXTINF:123,", None),
        ("#EXTINF:123", None),
    ],
)
def test_attributes_of_a_track_are_no_part_of_its_title(tmp_path: Path, line: str, title: str | None) -> None:
    write(tmp_path, {"a.m3u": f"{line}\nx.mp3\n"})
    assert titles(tmp_path / "a.m3u") == [title]


def test_a_bare_path_says_nothing_of_a_title(tmp_path: Path) -> None:
    write(tmp_path, {"a.m3u": "x.mp3\n#EXTINF:1,Artist - Song\nx.mp3\n", "b.m3u": "x.mp3\n"})
    assert titles(tmp_path / "a.m3u") == ["Artist - Song"]
    (file,) = detect(tmp_path / "b.m3u", "items")
    assert file.reader is not None
    assert list(file.reader(file.path, ())) == [{"item_id": f"{tmp_path}/x.mp3", "domain": "music"}]


def test_a_second_list_keeps_a_known_title(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.m3u8": "#EXTINF:1,Artist - Song\nx.mp3\n", "b.m3u8": "x.mp3\n"})
    report = run(store, folder, "items")
    assert (report.accepted, report.unchanged) == (1, 1)
    assert [item.title for item in items(store)] == ["Artist - Song"]
