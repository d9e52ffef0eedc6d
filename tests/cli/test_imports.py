"""`recsys import` with files of other people: what it says, where rejected rows go, and the exit status."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recsys.cli import app
from recsys.store.sessions import upgrade


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/recsys.db"
    monkeypatch.setenv("RECSYS_DATABASE_URL", url)
    upgrade(url)


def recsys(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["import", *words])
    assert result.exit_code == status, result.output
    return result.output


def test_what_was_detected_is_reported_and_columns_are_mapped() -> None:
    Path("i.csv").write_bytes("id;name\n1;Café\n2;Größe\n".encode("windows-1252"))
    out = recsys("items", "i.csv", "--map", "id=item_id,name=title,sku=item_id")
    assert "i.csv: 2 new, 0 unchanged, 0 rejected" in out
    assert "encoding windows-1252, as detected" in out
    assert "delimiter semicolon, as detected" in out
    Path("e.tsv").write_text("customer\tsku\ttime\n7\t1\t20240101\n")
    assert "1 new" in recsys("events", "e.tsv", "--map", "customer=user_id,sku=item_id", "--map", "time=at")
    Path("i.csv").write_text("id,name\n1,Café\n2,other\n3,new\n")
    assert "1 new, 1 changed, 1 unchanged" in recsys("items", "i.csv", "--map", "id=item_id,name=title")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--map", "id"), "--map 'id': give NAME=OURS, such as id=item_id"),
        (("--map", "id=item_id,id=title"), "--map names 'id' twice, as 'item_id' and as 'title'"),
        (("--delimiter", ";;"), "--delimiter ';;': give one character, or tab"),
        (("--encoding", "klingon"), "unknown encoding 'klingon': give utf-8"),
    ],
)
def test_an_option_that_cannot_be_is_refused(words: tuple[str, ...], message: str) -> None:
    Path("i.csv").write_text("item_id\n1\n")
    assert message in recsys("items", "i.csv", *words, status=1)


def test_options_of_plain_files_are_refused_for_layouts() -> None:
    Path("x.inter").write_text("user_id:token\titem_id:token\n1\t1\n")
    assert "is of a known layout: --map, --delimiter and --encoding do not" in recsys(
        "events", "x.inter", "--encoding", "utf-8", status=1
    )


def rows(valid: int, rejected: int) -> None:
    Path("i.csv").write_text("item_id,title\n" + "".join(f"{n},x\n" for n in range(valid)) + ",x\n" * rejected)


@pytest.mark.parametrize(
    ("valid", "rejected", "words", "status"),
    [
        (95, 5, (), 0),
        (94, 6, (), 1),
        (94, 6, ("--max-rejected", "6"), 0),
        (99, 1, ("--max-rejected", "0"), 1),
        (0, 3, ("--max-rejected", "100"), 1),
        (1, 99, ("--max-rejected", "100"), 0),
    ],
)
def test_the_exit_status_says_whether_too_many_were_rejected(
    valid: int, rejected: int, words: tuple[str, ...], status: int
) -> None:
    rows(valid, rejected)
    out = recsys("items", "i.csv", *words, status=status)
    assert f"{valid} new, 0 unchanged, {rejected} rejected" in out
    if status:
        assert ("the valid rows are imported" if valid else "no row was valid") in out
        recsys("items", "i.csv", *words, status=1)  # and again
        rows(valid, 0)
        assert not valid or f"0 new, {valid} unchanged" in recsys("items", "i.csv")


def test_rejected_rows_of_all_files_go_where_the_option_says() -> None:
    rows(1, 1)
    Path("j.csv").write_text('item_id\nx\n""\n')
    recsys("items", "i.csv", "j.csv", "--rejected", "out/rejected.jsonl", status=1)
    lines = [json.loads(line) for line in Path("out/rejected.jsonl").read_text().splitlines()]
    assert [(line["file"], line["row"]) for line in lines] == [("i.csv", 2), ("j.csv", 2)]
    assert not list(Path().glob("*.rejected.jsonl"))
    before = Path("i.csv").read_text()
    out = recsys("items", "i.csv", "--rejected", "i.csv", status=1)
    assert "i.csv exists and is no report of rejected rows: name another file" in out
    assert Path("i.csv").read_text() == before


def test_a_file_of_events_is_refused_as_items() -> None:
    Path("e.csv").write_text("user_id,item_id,timestamp\nu,a,1\n")
    assert "has a column 'user_id', so that it seems to hold events" in recsys("items", "e.csv", status=1)
    assert "1 new" in recsys("items", "e.csv", "--allow-event-columns")


def test_a_damaged_list_stops_no_other_of_its_folder() -> None:
    Path("lists").mkdir()
    for name in "acd":
        track = {"identifier": f"song-{name}", "title": name}
        Path(f"lists/{name}.jspf").write_text(json.dumps({"playlist": {"title": name, "track": [track]}}))
    Path("lists/b.jspf").write_text('{"playlist": {"title": "b", "tr')
    Path("lists/c.jspf").write_text("")
    for kind in ("items", "playlists"):
        out = " ".join(recsys(kind, "lists", status=1).split())
        assert "lists/a.jspf: 1 new" in out
        assert "lists/d.jspf: 1 new" in out
        assert "error: lists/b.jspf is no JSPF file" in out
        assert out.count("error:") == 1
        assert "lists/c.jspf is empty" in out


def test_a_damaged_slice_stops_no_other_of_its_folder() -> None:
    Path("mpd").mkdir()
    for first in (0, 1000):
        track = {"pos": 0, "track_uri": f"spotify:track:{first}", "track_name": "t", "artist_name": "a"}
        slices = json.dumps({"playlists": [{"pid": first, "name": "n", "tracks": [track]}]})
        Path(f"mpd/mpd.slice.{first}-{first + 999}.json").write_text(slices if first else slices[:60])
    for kind in ("items", "playlists"):
        out = " ".join(recsys(kind, "mpd", status=1).split())
        assert "mpd.slice.1000-1999.json: 1 new" in out
        assert "mpd.slice.0-999.json" in out.partition("error:")[2]


def test_a_damaged_file_stops_none_of_those_after_it() -> None:
    Path("a.parquet").write_bytes(b"PAR1 and no more")
    Path("b.csv").write_text("item_id\n1\n")
    Path("c.csv").write_text("name\n1\n")
    out = " ".join(recsys("items", "a.parquet", "missing.csv", "b.csv", "c.csv", status=1).split())
    assert "b.csv: 1 new" in out
    for reason in ("a.parquet is no Parquet file, or damaged", "no such file: missing.csv", "c.csv"):
        assert reason in out.partition("error:")[2]
    assert "error: a.parquet is no Parquet file" in recsys("items", "a.parquet", status=1)


def test_a_folder_of_no_known_layout_stops_neither_the_files_beside_it_nor_their_errors() -> None:
    Path("a.csv").write_text("name\n1\n")
    Path("folder").mkdir()
    Path("b.csv").write_text("item_id\n1\n")
    out = " ".join(recsys("items", "a.csv", "folder", "b.csv", status=1).split())
    assert "b.csv: 1 new" in out
    for reason in ("a.csv has no column 'item_id'", "folder is a folder of no known layout"):
        assert reason in out.partition("error:")[2]
    assert recsys("items", "a.csv", "b.csv", "--layout", "none", status=1).count("unknown layout 'none'") == 1
