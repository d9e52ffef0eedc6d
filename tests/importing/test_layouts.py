"""Files of other systems: each layout gives the rows that our own columns would, and names what it cannot read."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import InputFileError
from recsys.importing.files import Report, import_events, import_items, import_playlists
from recsys.importing.layouts.detect import LAYOUTS, Kind, detect
from recsys.store import Store
from recsys.store.records import Item, ItemDraft

IMPORTERS = {"items": import_items, "events": import_events, "playlists": import_playlists}


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def run(store: Store, path: Path, kind: Kind, *, layout: str | None = None, **more: Any) -> Report:
    """The reports of all files of this kind, added up."""
    total = Report()
    for file in detect(path, kind, layout=layout):
        report = list(IMPORTERS[kind](store, file.path, reader=file.reader, **more))[-1]
        total.accepted += report.accepted
        total.unchanged += report.unchanged
        total.rejected += report.rejected
        total.reasons += report.reasons
    return total


def items(store: Store) -> Iterator[Item]:
    return (item for page in store.items() for item in page)


def history(store: Store, user: str) -> list[tuple[str, float | None, float]]:
    return [(event.item_id, event.at, event.weight) for event in store.recent_events(user, limit=100)]


ATOMIC: dict[str, str | bytes] = {
    "x.item": 'item_id:token\tmovie_title:token_seq\tclass:token_seq\n007\tBond "J"\tAction\n8\tOther\t\n',
    "x.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\t007\t4\t8.8e8\nu\t8\t2.5\t8.9e8\n",
    "x.user": "user_id:token\tage:token\nu\t24\n",
}
FILMS_100K = (
    "1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1" + "|0" * 13 + "\n2|Caf\xe9|||" + "|1" + "|0" * 18 + "\n"
)
MOVIELENS: dict[str, dict[str, str | bytes]] = {
    "100k": {"u.item": FILMS_100K.encode("latin-1"), "u.data": "7\t1\t3\t100\n7\t2\t5\t100\n"},
    "1m": {
        "movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Caf\xe9::unknown\n".encode("latin-1"),
        "ratings.dat": "7::1::3::100\n7::2::5::100\n",
    },
    "latest": {
        "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Animation|Children's|Comedy\n2,Café,unknown\n",
        "ratings.csv": "userId,movieId,rating,timestamp\n7,1,3.0,100\n7,2,5.0,100\n",
    },
}


def listen(track: str, at: int, **more: Any) -> dict[str, Any]:
    mapped = {"mbid_mapping": {"recording_mbid": f"mbid-{track}"}} if track != "new" else {}
    return {
        "listened_at": at,
        "recording_msid": f"msid-{track}",
        "track_metadata": {"track_name": track.title(), "artist_name": "Someone", **mapped},
        **more,
    }


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def slice_of(*names: str) -> str:
    tracks = [{"pos": n, "track_uri": f"spotify:track:{name}", "track_name": name} for n, name in enumerate(names)]
    return json.dumps({"info": {}, "playlists": [{"pid": 5, "name": "Mine", "tracks": tracks}]})


JSPF_TRACKS = [
    {"identifier": ["https://musicbrainz.org/recording/1"], "title": "One", "creator": "Someone"},
    {"identifier": "https://musicbrainz.org/recording/2", "title": "Two"},
    {"location": ["file:///3.ogg"], "title": "Three"},
]
M3U = '#EXTM3U\n#PLAYLIST:Mine\n#EXTINF:123,Someone - One\na/1.ogg\n\n# a remark\nb/2.ogg\n#EXTINF:-1 x="y",One\na/1.ogg\n'


def test_recbole_files_alone_and_as_a_folder(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path, ATOMIC)
    assert run(store, folder, "items").accepted == 2
    assert run(store, folder / "x.inter", "events").accepted == 2
    assert [(item.item_id, item.title, item.attributes) for item in items(store)] == [
        ("007", 'Bond "J"', {"class": "Action"}),
        ("8", "Other", {}),
    ]
    assert history(store, "u") == [("007", 8.8e8, 4.0), ("8", 8.9e8, 2.5)]
    with pytest.raises(InputFileError, match=r"users are known by their events alone"):
        run(store, folder / "x.user", "events")


@pytest.mark.parametrize("name", MOVIELENS)
def test_movielens_folders_of_every_age(store: Store, tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, MOVIELENS[name])
    assert (run(store, folder, "items").accepted, run(store, folder, "events").accepted) == (2, 2)
    toys, cafe = items(store)
    assert (toys.item_id, toys.title, toys.domain) == ("1", "Toy Story", "films")
    assert toys.attributes == {"year": "1995", "genres": "Animation, Children's, Comedy"}
    assert (cafe.title, cafe.attributes) == ("Café", {"genres": "unknown"})
    assert history(store, "7") == [("1", 100.0, 3.0), ("2", 100.0, 5.0)]  # one time: the order of the file


def test_listens_of_an_export_belong_to_its_user(store: Store, tmp_path: Path) -> None:
    listens = lines([listen("one", 100), listen("one", 300), listen("new", 200)])
    folder = write(tmp_path, {"user.json": '{"user_id": 3, "username": "ann"}', "listens/2024/1.jsonl": listens})
    assert run(store, folder, "items").accepted == 2
    assert run(store, folder, "events").accepted == 3
    assert [(item.item_id, item.title, item.attributes) for item in items(store)] == [
        ("mbid-one", "One", {"artist": "Someone"}),
        ("msid-new", "New", {"artist": "Someone"}),
    ]
    assert [(item, at) for item, at, _ in history(store, "ann")] == [
        ("mbid-one", 100.0),
        ("msid-new", 200.0),
        ("mbid-one", 300.0),
    ]


def test_listens_of_a_dump_name_their_users(store: Store, tmp_path: Path) -> None:
    rows = [listen("one", 100, user_name="ann"), listen("one", 200, user_id=7), listen("one", 300), {"listened_at": 1}]
    path = write(tmp_path, {"dump.jsonl": lines(rows)}) / "dump.jsonl"
    assert run(store, path, "items", layout="listenbrainz").accepted == 1
    report = run(store, path, "events", layout="listenbrainz")
    assert (report.accepted, report.rejected) == (2, 2)
    assert report.reasons == {"missing value": 2}
    assert [len(history(store, user)) for user in ("ann", "7")] == [1, 1]


def test_slices_of_the_million_playlists(store: Store, tmp_path: Path) -> None:
    folder = write(tmp_path, {"mpd.slice.0-999.json": slice_of("a", "b", "a")})
    assert run(store, folder, "items").accepted == 2
    assert run(store, folder, "playlists").accepted == 3
    assert store.playlist("5").item_ids == ("spotify:track:a", "spotify:track:b", "spotify:track:a")
    assert store.playlist("5").name == "Mine"
    with pytest.raises(InputFileError, match=r"holds no events in the layout spotify-mpd: it has items and playlists"):
        run(store, folder, "events")


def test_jspf_lists(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, {"mine.jspf": json.dumps({"playlist": {"title": "Mine", "track": JSPF_TRACKS}})})
    assert (run(store, path, "items").accepted, run(store, path, "playlists").accepted) == (3, 3)
    (playlist_id,) = store.playlist_ids()
    assert store.playlist(playlist_id).name == "Mine"
    assert store.playlist(playlist_id).item_ids[::2] == ("https://musicbrainz.org/recording/1", "/3.ogg")


@pytest.mark.parametrize("ending", ["m3u", "m3u8", "M3U", "M3u8"])
def test_m3u_lists(store: Store, tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, {f"mine.{ending}": M3U})
    assert (run(store, path, "items").accepted, run(store, path, "playlists").accepted) == (2, 3)
    (playlist_id,) = store.playlist_ids()
    assert playlist_id == f"{tmp_path}/mine.{ending}"
    assert store.playlist(playlist_id).item_ids == tuple(
        f"{tmp_path}/{name}" for name in ("a/1.ogg", "b/2.ogg", "a/1.ogg")
    )
    assert [item.title for item in items(store)] == ["Someone - One", None]


SEQUENCES = {
    "one row an event, the longest first": "0\t1 2\t3\n0\t1\t2\n",
    "the longest last": "0\t1\t2\n0\t1 2\t3\n",
    "windows": "0\t1 2\t3\n0\t2 3\t4\n0\t3 4\t1\n",
    "windows, the latest first": "0\t3 4\t1\n0\t2 3\t4\n0\t1 2\t3\n",
    "no history": "0\t\t1\n",
}


@pytest.mark.parametrize(
    ("rows", "expected"),
    list(zip(SEQUENCES.values(), ("123", "123", "12341", "12341", "1"), strict=True)),
    ids=SEQUENCES,
)
def test_recbole_lists_of_items_are_histories(store: Store, tmp_path: Path, rows: str, expected: str) -> None:
    heading = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    folder = write(tmp_path, {"x.item": "item_id:token\n1\n2\n3\n4\n", "seq.train.inter": heading + rows})
    run(store, folder, "items")
    assert run(store, folder, "events").accepted == len(expected)
    assert "".join(item for item, *_ in history(store, "0")) == expected
    again = run(store, folder, "events")
    assert (again.accepted, again.unchanged) == (0, len(expected))


def test_recbole_lists_of_one_data_set_do_not_count_an_event_twice(store: Store, tmp_path: Path) -> None:
    heading = "session_id:token\titem_id_list:token_seq\titem_id:token\n"
    files: dict[str, str | bytes] = {
        "x.item": "item_id:token\n1\n2\n3\n",
        "x.train.inter": f"{heading}s\t1\t2\n\t1\t2\n",
        "x.valid.inter": f"{heading}s\t1 2\t3\n",
    }
    folder = write(tmp_path, files)
    run(store, folder, "items")
    report = run(store, folder, "events")
    assert (report.accepted, report.unchanged, report.rejected) == (3, 2, 1)
    assert [item for item, *_ in history(store, "s")] == ["1", "2", "3"]


ODD: tuple[Any, ...] = (["x"], {"x": "y"}, [], [["x"]], 7.5, True)
"""Values that are no ids."""


def odd_files(value: Any) -> dict[str, tuple[str, Kind, str]]:
    track = {"pos": 0, "track_uri": value}
    return {
        "slice": (
            "mpd.slice.0-1.json",
            "items",
            json.dumps({"playlists": [{"pid": 0, "tracks": [track, {"track_uri": "good"}]}]}),
        ),
        "slice members": (
            "mpd.slice.0-1.json",
            "playlists",
            json.dumps({"playlists": [{"pid": value, "tracks": [{"track_uri": "a"}]}, {"pid": 1, "tracks": [track]}]}),
        ),
        "listens": ("x.listens", "items", lines([{"recording_msid": value, "track_metadata": {}}])),
        "listens of a user": ("x.listens", "events", lines([{"user_name": value, "recording_msid": "a"}])),
        "jspf": ("a.jspf", "items", json.dumps({"playlist": {"track": [{"identifier": [value]}, {"location": "b"}]}})),
        "jspf members": ("a.jspf", "playlists", json.dumps({"playlist": {"track": [{"identifier": [value]}]}})),
        "items": ("i.jsonl", "items", lines([{"item_id": value}])),
        "events": (
            "e.jsonl",
            "events",
            lines([{"user_id": "u", "item_id": value}, {"user_id": value, "item_id": "a"}]),
        ),
        "event ids": ("e.jsonl", "events", lines([{"user_id": "u", "item_id": "a", "event_id": value}])),
        "playlists": ("p.jsonl", "playlists", lines([{"playlist_id": value, "position": 0, "item_id": "a"}])),
        "members": ("p.jsonl", "playlists", lines([{"playlist_id": "p", "position": 0, "item_id": value}])),
    }


@pytest.mark.parametrize("file", odd_files(None))
def test_ids_of_another_type_are_rejected_rows(store: Store, tmp_path: Path, file: str) -> None:
    store.put_items([ItemDraft(item_id="a")])
    for value in ODD:
        name, kind, content = odd_files(value)[file]
        report = run(store, write(tmp_path, {name: content}) / name, kind)
        assert report.rejected >= 1
        assert set(report.reasons) <= {"id is no string", "missing value", "unknown item"}
    assert store.counts().events == 0


FILES: dict[str, tuple[str, Kind, str]] = {
    "recbole": ("x.inter", "events", "user_id:token\titem_id:token\nu\tgone\nu\ta\tb\n"),
    "movielens": ("ratings.dat", "events", "7::gone::3::100\n7::1\n"),
    "listenbrainz": ("l.jsonl", "events", lines([listen("gone", 1, user_name="u")]) + "{\n"),
    "spotify-mpd": ("mpd.slice.0-1.json", "playlists", slice_of("gone").replace('{"pos"', '7, {"pos"')),
    "jspf": ("a.jspf", "playlists", '{"playlist": {"track": [{"identifier": "gone"}, 7]}}'),
    "m3u": ("a.m3u8", "playlists", "gone\nbad\0id\n"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dry_run", [True, False])
def test_each_layout_names_the_rows_that_it_rejects(store: Store, tmp_path: Path, layout: str, dry_run: bool) -> None:
    name, kind, content = FILES[layout]
    path = write(tmp_path, {name: content}) / name
    report = run(store, path, kind, layout=layout, dry_run=dry_run, rejects=tmp_path / "r.jsonl")
    assert (report.accepted, report.rejected) == (0, 2)
    rejected = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [(item["file"], item["row"]) for item in rejected] == [(name, 1), (name, 2)]
    assert any("unknown item" in item["reason"] for item in rejected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dry_run_writes_nothing(store: Store, tmp_path: Path, layout: str) -> None:
    contents: dict[str, dict[str, str | bytes]] = {
        "recbole": ATOMIC,
        "movielens": MOVIELENS["1m"],
        "listenbrainz": {"listens/1.jsonl": lines([listen("one", 1)])},
        "spotify-mpd": {"mpd.slice.0-1.json": slice_of("a")},
        "jspf": {"a.jspf": json.dumps({"playlist": {"track": JSPF_TRACKS}})},
        "m3u": {"a.m3u8": M3U},
    }
    assert run(store, write(tmp_path, contents[layout]), "items", dry_run=True).accepted > 0
    assert store.counts().items == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mix.m3u8", f"#EXTINF:{'1' * 100_000}\n/songs/1.mp3\n"),
        ("movies.csv", f"movieId,title,genres\n1,Toy{' ' * 100_000}Story,unknown\n"),
    ],
)
def test_long_lines_cost_no_quadratic_time(store: Store, tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path, {name: content}) / name
    begin = time.process_time()
    run(store, path, "items", layout="movielens" if name == "movies.csv" else None)
    assert time.process_time() - begin < 1
    assert len(list(items(store))) == 1


def test_own_columns_stay_own_whatever_a_file_is_called(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, {"movies.csv": "item_id,title\n1,One\n"}) / "movies.csv"
    assert run(store, path, "items").accepted == 1
    with pytest.raises(InputFileError, match="has no column 'movieId'"):
        run(store, path, "items", layout="movielens")


def test_what_is_no_layout_says_which_there_are(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"unknown layout 'netflix': choose one of movielens, recbole"):
        run(store, tmp_path, "items", layout="netflix")
    with pytest.raises(InputFileError, match=r"folder of no known layout \(movielens"):
        run(store, tmp_path, "items")
    with pytest.raises(InputFileError, match="no such file"):
        run(store, tmp_path / "none.jspf", "items")


@pytest.mark.parametrize("name", ["a.jspf", "mpd.slice.0-1.json"])
@pytest.mark.parametrize("content", ["[", "7", "{}", '{"playlist": 7, "playlists": 7}', "[" * 100_000])
def test_json_of_another_kind_is_refused(store: Store, tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(InputFileError, match="is no"):
        run(store, write(tmp_path, {name: content}) / name, "playlists")
