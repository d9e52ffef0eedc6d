"""The command line as a user types it, good input and bad."""

import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from recsys.bundle_io import load_bundle, save_bundle
from recsys.cli import app
from recsys.cli.serving import listen
from recsys.importing.samples import FILMS
from recsys.settings import Settings
from tests.servers import Server
from tests.worlds import Planted


class Shell:
    """Runs commands in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: object, status: int = 0) -> str:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return " ".join(result.output.split())


SMALL_ENCODER = """[item-text]
start = "random"
layers = 2
width = 16
heads = 2
vocabulary = 200
offered = [[1, 8]]
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_DATABASE_URL", f"sqlite:///{tmp_path}/recsys.db")
    monkeypatch.setenv("RECSYS_TEXT_ENCODER", "hashed")
    return Shell(tmp_path)


@pytest.fixture
def full(shell: Shell, trained: Planted) -> Shell:
    trained.copy(shell.folder)
    return shell


def test_before_the_tables_are_there_it_says_how_to_make_them(shell: Shell) -> None:
    assert "run `recsys db upgrade`" in shell("doctor", status=1)
    assert "run `recsys db upgrade`" in shell("train", "blend", status=1)


def test_that_no_sample_data_is_there_is_no_fault_that_it_is_damaged_is(
    full: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DATA", str(full.folder / "samples"))
    assert "`recsys quickstart` fetches them" in full("doctor")
    (full.folder / "samples").mkdir()
    (full.folder / "samples" / FILMS.file).write_bytes(b"half a wheel")
    assert "is damaged or another file" in full("doctor", status=1)


def test_upgrade_import_and_train_a_part(shell: Shell, trained: Planted) -> None:
    assert "is up to date" in shell("db", "upgrade")
    items = trained.world.items.select(item_id="item", title="title").collect()
    events = trained.world.events.select(user_id="user", item_id="item", position="position").collect()
    items.write_csv(shell.folder / "items.csv")
    events.write_parquet(shell.folder / "events.parquet")
    assert "40 would be new" in shell("import", "items", "items.csv", "--dry-run")
    assert "40 new, 0 unchanged, 0 rejected" in shell("import", "items", "items.csv")
    assert "1,500 new" in shell("import", "events", "events.parquet")
    assert "0 new, 1,500 unchanged" in shell("import", "events", "events.parquet")
    out = shell("train", "markov", "--out", "mine")
    assert "markov" in out
    assert "staged" in out
    assert (shell.folder / "mine" / "manifest.json").exists()
    assert f"active: {shell.folder}/mine" in shell("bundles", "activate", "mine")
    assert "1 │ item" in shell("recommend", "user-0001", "--k", "3")


def test_rejected_rows_are_counted_and_written_with_their_reasons(shell: Shell) -> None:
    shell("db", "upgrade")
    (shell.folder / "items.csv").write_text("item_id,title\na,A\n,B\na,C\n")
    out = shell("import", "items", "items.csv", status=1)
    assert "1 new, 0 unchanged, 2 rejected" in out
    assert "1 x missing value" in out
    lines = (shell.folder / "items.csv.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [2, 3]
    (shell.folder / "items.csv").write_text("item_id,title\na,A\n")
    shell("import", "items", "items.csv", "--dry-run")
    assert (shell.folder / "items.csv.rejected.jsonl").read_text().splitlines() == lines
    (shell.folder / "items.csv").write_text("item_id,title\n,B\n")
    assert "items.csv.would-be-rejected.jsonl" in shell("import", "items", "items.csv", "--dry-run", status=1)
    assert (shell.folder / "items.csv.rejected.jsonl").read_text().splitlines() == lines


def test_evaluate_writes_table_json_and_plot_and_notes_the_figures(full: Shell) -> None:
    out = full("evaluate", "--out", "report")
    assert "simple-blend" in out
    assert (full.folder / "report" / "ndcg.png").exists()
    rows = json.loads((full.folder / "report" / "report.json").read_text())["rows"]
    assert rows[0]["ndcg"]["low"] < rows[0]["ndcg"]["mean"] < rows[0]["ndcg"]["high"]


def test_a_text_encoder_is_trained_and_every_size_shows_its_recall(full: Shell) -> None:
    (full.folder / "run.toml").write_text(SMALL_ENCODER)
    out = full("train", "item-text", "--config", "run.toml", "--out", "text")
    figures = json.loads((full.folder / "text" / "manifest.json").read_text())["parts"]["item-text"]["figures"]
    for row in figures["settings"]:
        assert f"{row['recall@10']:.4f} [{row['interval'][0]:.4f}, {row['interval'][1]:.4f}] │ {row['queries']}" in out
    for setting in ("vocabulary = -5", "width = 0", "hard_negatives = 0", "expert_pairs = 0"):
        (full.folder / "wrong.toml").write_text(f"[item-text]\nstart = 'random'\n{setting}\n")
        name = setting.split()[0]
        assert f"{name}={setting.split()[-1]}: must be at least 1" in full(
            "train", "item-text", "--config", "wrong.toml", status=1
        )


def test_what_a_domain_that_was_added_has_stands_in_a_table_of_its_own(full: Shell, trained: Planted) -> None:
    (full.folder / "run.toml").write_text(f"{SMALL_ENCODER}expert_pairs = 1\nheld_out = 0.2\n")

    def labelled(domains: str) -> None:
        rows = [f"{item},{item},{domains[cluster]}" for item, cluster in trained.world.cluster.items()]
        (full.folder / "items.csv").write_text("\n".join(["item_id,title,domain", *rows]))
        full("import", "items", "items.csv")

    labelled("xyyyyyyy")
    full("train", "item-text", "--config", "run.toml", "--out", "text")
    labelled("xyzyyyyy")
    out = full("train", "item-text", "--config", "run.toml", "--with", "text", "--add-domain", "z", "--out", "wider")
    figures = json.loads((full.folder / "wider" / "manifest.json").read_text())["parts"]["item-text"]["figures"]
    before, after = "".join(out.split()).split("wider,zadded")  # the title is wrapped where the folder is long
    for table, settings in ((before, figures["settings"]), (after, figures["added"]["z"])):
        for row in settings:
            figure = f"{row['recall@10']:.4f} [{row['interval'][0]:.4f}, {row['interval'][1]:.4f}]"
            assert "".join(figure.split()) in table


def test_recommend_similar_and_batch(full: Shell, trained: Planted) -> None:
    first, second = next(iter(trained.world.successor.items()))
    assert second in full("recommend", "--history", first, "--k", "1")
    assert second in full("similar", first, "--k", "3", "--encoder", "markov")
    assert "150 users" in full("batch", "--out", "all.parquet", "--k", "2")
    assert pl.read_parquet(full.folder / "all.parquet").height == 300
    (full.folder / "h.csv").write_text(f"user_id,item_id,position\na,{first},0\na,ghost,1\n")
    out = full("batch", "--out", "sent.parquet", "--histories", "h.csv")
    assert "1 with items that the store does not hold: these were left out" in out
    (full.folder / "none.csv").write_text("user_id,item_id,position\n")
    assert "nobody to score" in full("batch", "--out", "none.parquet", "--histories", "none.csv")


def test_an_empty_list_is_said_and_the_others_are_imported(shell: Shell) -> None:
    shell("db", "upgrade")
    (shell.folder / "lists").mkdir()
    contents = {"a.m3u8": "#EXTM3U\n1.mp3\n", "b.m3u8": "#EXTM3U\n", "c.m3u8": "3.mp3\n", "d.m3u": ""}
    for name, content in contents.items():
        (shell.folder / "lists" / name).write_text(content)
    for kind in ("items", "playlists"):
        out = shell("import", kind, "lists")
        assert "lists/b.m3u8 has no rows: nothing to import" in out
        assert "lists/d.m3u is empty: nothing to import" in out
        assert "a.m3u8: 1 new" in out
        assert "c.m3u8: 1 new" in out
    assert "error: lists/b.m3u8 has no rows" in shell("import", "playlists", "lists/b.m3u8", status=1)


@pytest.mark.slow
def test_lists_are_continued_and_compared(full: Shell, trained: Planted) -> None:
    first, second = next(iter(trained.world.successor.items()))
    out = full("continue", "--items", first, "--k", "3", "--alternatives", "2")
    assert "alternative 2" in out
    assert second in out
    without = full("continue", "--items", first, "--exclude", f"{second}, b-17", "--most-of-group", "1", "--k", "4")
    assert second not in without
    assert "exclude: unknown items, which nothing would show anyway: b-17" in without
    assert "name: markov takes no account" in full("continue", "--name", "sunset mix", "--encoder", "markov")
    assert "alternative 1" in full("continue", "--name", "sunset mix", "--k", "2", "--same-group", "1")
    assert "alternative 1" in full("continue", "list-0007", "--k", "2", "--order", "free", "--repeats")
    out = full("similar-lists", "list-0007", "--k", "2")
    assert "list-" in out
    assert "list-0007" not in out
    assert "sunset mix" in full("similar-lists", "--items", f"{first},{second}", "--name-contains", "SUNSET")
    assert "items: unknown items left out: b-17" in full("similar-lists", "--items", f"{first},b-17", "--k", "1")
    assert "150 lists" in full("batch", "--task", "continue", "--out", "next.parquet", "--k", "2")
    assert pl.read_parquet(full.folder / "next.parquet").height == 300
    words = "--task continue --out two.parquet --k 30 --alternatives 2 --strength 9 --most-of-group 2 --repeats --order free"
    out = full("batch", *words.split(), "--exclude", f"{first}, b-17")
    assert "k: 150 lists" in out
    rows = pl.read_parquet(full.folder / "two.parquet")
    assert set(rows["alternative"]) == {1, 2}
    assert first not in set(rows["item_id"])
    assert "exclude: unknown items, which nothing would show anyway: b-17" in rows["degraded"][0]
    full("batch", "--task", "similar-lists", "--out", "named.parquet", "--name-contains", "SUNSET", "--max-length", "9")
    assert pl.read_parquet(full.folder / "named.parquet").height == 0  # all have ten
    (full.folder / "mine.csv").write_text(f"playlist_id,item_id,position\nx,{first},0\n")
    assert "1 lists" in full("batch", "--task", "similar-lists", "--out", "like.parquet", "--histories", "mine.csv")
    assert pl.read_parquet(full.folder / "like.parquet")["playlist_id"].unique().to_list() == ["x"]


def test_search_finds_a_title_and_says_what_was_not_done(full: Shell) -> None:
    out = full("search", "item", "--k", "3", "--dims", "64")
    assert "3 │" in out
    assert "dims: text has one size, its whole" in out
    assert "send words, not markup alone" in full("search", "<b/>", status=1)
    assert "dims: blend has one size" in full("batch", "--out", "sized.parquet", "--k", "1", "--dims", "64")


def test_a_search_is_measured_and_goes_by_a_taste(full: Shell) -> None:
    out = full("evaluate", "--protocol", "search", "--out", "measured")
    assert all(word in out for word in ("search", "lexical", "one error", "found first"))
    rows = json.loads((full.folder / "measured" / "search.json").read_text(encoding="utf-8"))
    assert {row["part"] for row in rows} == {"search", "lexical", "text"}
    assert "the text alone counts" in full("search", "item", "--user", "nobody")
    assert "give either --user or --history" in full("search", "item", "--user", "a", "--history", "b", status=1)


def test_bundles_are_listed_and_rolled_back(full: Shell, trained: Planted) -> None:
    assert f"active {json.loads(Path(trained.bundle, 'manifest.json').read_text())['created']}" in full(
        "bundles", "list"
    )
    assert "no earlier bundle" in full("bundles", "rollback", status=1)
    full("train", "popular", "--out", "second", "--activate")
    assert trained.bundle in full("bundles", "rollback")


def test_a_deployed_bundle_shows_the_figures_of_its_evaluation_bundle(full: Shell) -> None:
    out = full("train", "popular", "--out", "mine", "--activate")
    uri = str(full.folder / "mine")
    assert f"{uri} has learned all events; {uri}-evaluation measures it" in out
    assert f"learned all events; measured by {uri}-evaluation" in full("bundles", "list")
    assert f"activate {uri} to answer with all of them" in full("bundles", "activate", f"{uri}-evaluation")
    assert "evaluation bundle" not in full("bundles", "activate", uri)
    full("evaluate", "--out", "report")
    deployed, evaluation = (load_bundle(each).parts["popular"].figures for each in (uri, f"{uri}-evaluation"))
    assert evaluation["test"]["ndcg@10"]["mean"] > 0
    assert deployed == evaluation | {"measured_on": f"{uri}-evaluation"}


@pytest.mark.slow
def test_an_evaluation_shows_groups_and_the_row_under_temporal(full: Shell) -> None:
    out = full("evaluate", "--out", "report")
    assert "of the targets are repeats" in out
    assert "fewer than 100 cases, which say little: " in out
    assert "no figure under `temporal` yet" in out
    full("train", "popular", "--out", "mine")
    full("train", "popular", "--out", "cut", "--protocol", "temporal", "--no-refit")
    full("evaluate", "--bundle", "cut", "--out", "report")
    out = full("evaluate", "--bundle", "mine", "--out", "report")
    assert "no figure under" not in out
    assert re.search(r"temporal, \d+ users", out)
    assert "came after event 1,500" in full("evaluate", "--as-of", "now", status=1)
    assert "goes with --protocol next-item" in full(
        "evaluate", "--as-of", "now", "--protocol", "playlist-probes", status=1
    )


def test_no_refit_trains_one_bundle(full: Shell) -> None:
    full("train", "popular", "--out", "mine", "--no-refit", "--activate")
    assert not Path(full.folder, "mine-evaluation").exists()
    full("evaluate", "--out", "report")
    assert "test" in load_bundle(str(full.folder / "mine")).parts["popular"].figures


def test_a_bundle_that_cannot_answer_is_not_activated(full: Shell, trained: Planted) -> None:
    bundle = load_bundle(trained.bundle)
    scores = {"scores": np.full(len(bundle.item_ids), np.nan, dtype=np.float32)}
    broken = replace(bundle.parts["popular"], arrays=scores)
    save_bundle(replace(bundle, parts={**bundle.parts, "popular": broken}), str(full.folder), name="broken")
    assert "part 'popular' has NaN or infinite numbers" in full("bundles", "activate", "broken", status=1)
    assert "broken" not in full("bundles", "list")
    assert trained.bundle in full("doctor")


def test_a_bundle_has_one_name_however_it_is_written(full: Shell) -> None:
    full("train", "popular", "--out", "second")
    full("bundles", "activate", "second/")
    full("bundles", "activate", "./second")
    assert full("bundles", "list").count("/second ") == 1


def test_other_people_s_text_is_printed_as_it_is(full: Shell, trained: Planted) -> None:
    start = next(iter(trained.world.successor))
    (full.folder / "items.csv").write_text("item_id,title\nrec,[REC] [/red] :star: 2\n")
    full("import", "items", "items.csv")
    assert "[REC] [/red] :star: 2" in full("recommend", "--history", start, "--k", "41")
    (full.folder / "config.toml").write_text("[sasrec]\nobjective = 'x'\n")
    assert "[sasrec] objective='x'" in full("train", "sasrec", "--config", "config.toml", status=1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RECSYS_PORT", "abc", "RECSYS_PORT='abc': Input should be a valid integer"),
        ("RECSYS_THREADS", "0", "RECSYS_THREADS='0': Input should be greater than or equal to 1"),
        ("RECSYS_TEXT_INDEX", "ivf", "RECSYS_TEXT_INDEX='ivf': Input should be 'auto', 'exact', 'funnel', 'hnsw' or"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    assert message in shell("doctor", status=1)


@pytest.mark.parametrize("device", ["bogus", "mps"])
def test_a_device_that_is_not_there_is_said(full: Shell, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv("RECSYS_DEVICE", device)
    for words in (("train", "popular"), ("recommend", "u"), ("doctor",)):
        out = full(*words, status=1)
        assert f"RECSYS_DEVICE='{device}'" in out
        assert "set cpu, cuda or auto" in out


def test_the_quickstart_finds_out_about_a_taken_port_before_it_trains(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        monkeypatch.setenv("RECSYS_PORT", str(busy.getsockname()[1]))
        assert "cannot listen on 127.0.0.1" in shell("quickstart", status=1)
    assert not (shell.folder / "recsys.db").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "bert"), "unknown model 'bert': choose one of blend"),
        (("train", "blend", "--config", "none.toml"), "none.toml cannot be read"),
        (("train", "blend", "--with", "nowhere"), "no bundle at"),
        (("bundles", "activate", "nowhere"), "no bundle at"),
        (("recommend",), "give either a user or --history"),
        (("recommend", "u", "--encoder", "bert"), "unknown encoder 'bert'"),
        (("similar", "b-17"), "unknown item 'b-17'"),
        (("import", "items", "none.csv"), "no such file"),
        (("serve", "--host", "203.0.113.1"), "cannot listen on 203.0.113.1"),
        (("continue",), "an empty list without a name says nothing"),
        (("continue", "list-0007", "--items", "a"), "give either a stored playlist or --items"),
        (("continue", "nobody"), "unknown playlist 'nobody'"),
        (("continue", "--name", "x", "--encoder", "bert"), "unknown encoder 'bert'"),
        (("similar-lists", "list-0007", "--min-length", "5", "--max-length", "4"), "no list can be both"),
        (("batch", "--task", "continue", "--out", "x.parquet", "--histories", "h.txt"), "no such file: h.txt"),
        (("batch", "--out", "x.xlsx"), "x.xlsx: unknown kind '.xlsx' of result; end it in .csv, .csv.gz,"),
        (("batch", "--out", "h.csv", "--histories", "./h.csv"), "--out would replace h.csv"),
        (("batch", "--out", "x.parquet", "--holds", "a"), "--holds says nothing to --task recommend: leave it out"),
        (
            ("batch", "--task", "continue", "--out", "x.parquet", "--min-length", "3"),
            "--min-length says nothing to --task continue",
        ),
        (
            ("batch", "--task", "similar-lists", "--out", "x.parquet", "--no-include-seen"),
            "--include-seen says nothing to --task similar-lists",
        ),
        (("batch", "--out", "no/where/x.parquet", "--histories", "h.txt"), "no such file: h.txt"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(full: Shell, words: tuple[str, ...], message: str) -> None:
    out = full(*words, status=1)
    assert f"error: {message}" in out or message in out
    assert "Traceback" not in out


def test_an_unreachable_database_is_said(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert "cannot reach the database" in shell("train", "blend", status=1)
    monkeypatch.setenv("RECSYS_DATABASE_URL", "mystery://x")
    assert "use sqlite:///FILE or postgresql://" in shell("train", "blend", status=1)


def test_a_password_is_not_printed(shell: Shell, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_DATABASE_URL", own_server.url.replace("://postgres:@", "://postgres:Tr0ub4dor@"))
    for words, status in ((("db", "upgrade"), 0), (("doctor",), 1)):
        out = shell(*words, status=status)
        assert "postgres:***@" in out
        assert "Tr0ub4dor" not in out


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_commands_write_is_for_the_owner_alone(shell: Shell, trained: Planted, umask: int) -> None:
    before = os.umask(umask)
    try:
        shell("db", "upgrade")
        (shell.folder / "items.csv").write_text("item_id,title\na,A\n,B\n")
        shell("import", "items", "items.csv", "--max-rejected", "50")
        trained.copy(shell.folder)
        (shell.folder / "report").mkdir()
        (shell.folder / "report" / "report.json").touch(0o666)
        shell("train", "popular", "--out", "mine")
        shell("evaluate", "--out", "report")
    finally:
        os.umask(before)
    bundle = [path for path in (shell.folder / "mine").rglob("*") if path.is_file()]
    written = [
        shell.folder / name
        for name in ("recsys.db", "items.csv.rejected.jsonl", "report/report.json", "report/ndcg.png")
    ]
    assert {path.name for path in [*bundle, *written] if path.stat().st_mode & 0o077} == set()
    assert (shell.folder / "mine").stat().st_mode & 0o077 == 0


def test_doctor_finds_nothing_wrong_with_a_whole_installation(full: Shell) -> None:
    out = full("doctor")
    assert out.count("ok ") == 6
    assert "bad" not in out


def test_the_server_s_socket_names_tcp_so_that_answers_do_not_wait_to_be_filled_up() -> None:
    with listen(Settings(host="127.0.0.1", port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP
