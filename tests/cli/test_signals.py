"""What the command line says of kinds of events."""

from pathlib import Path

import pytest

from recsys.signals import SignalTable
from tests.cli.test_commands import Shell
from tests.worlds import Planted


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_DATABASE_URL", f"sqlite:///{tmp_path}/recsys.db")
    monkeypatch.setenv("RECSYS_TEXT_ENCODER", "hashed")
    return Shell(tmp_path)


@pytest.fixture
def filled(shell: Shell) -> Shell:
    """A store with two items and no event."""
    shell("db", "upgrade")
    (shell.folder / "items.csv").write_text("item_id\na\nb\n")
    shell("import", "items", "items.csv")
    return shell


def events(shell: Shell, *rows: str, header: str = "user_id,item_id,kind,weight") -> str:
    (shell.folder / "events.csv").write_text("\n".join([header, *rows]) + "\n")
    return shell("import", "events", "events.csv")


def test_doctor_lists_kinds_with_their_events_and_weights(filled: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    events(filled, "u,a,view,", "u,b,view,", "u,a,Add to cart,", "u,a,dislike,", "u,b,rating,4")
    monkeypatch.setenv("RECSYS_SIGNALS", "dislike=-3")
    out = filled("doctor", status=1)
    assert "events: 2 view x1, 1 Add to cart x3, 1 dislike x3 against, 1 rating by value up to x4" in out
    assert "unknown kinds" not in out


def test_unknown_kinds_are_named_once_by_import_and_doctor(filled: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "unknown kinds: teleport; each counts as a view: give them weights in RECSYS_SIGNALS, as teleport=2"
    assert events(filled, "u,a,teleport,", "u,b,teleport,", "u,a,view,").count(message) == 1
    assert filled("doctor", status=1).count(message) == 1
    monkeypatch.setenv("RECSYS_SIGNALS", "teleport=2")
    assert "unknown kinds" not in filled("doctor", status=1)
    assert "unknown kinds" not in filled("import", "events", "events.csv")


def test_ratings_that_another_kind_leaves_out_are_said_once(filled: Shell) -> None:
    out = events(filled, "u,a,purchase,3", "u,b,view,4", header="user_id,item_id,kind,rating")
    assert out.count("2 ratings of events of another kind are left out") == 1


def test_doctor_says_that_nothing_can_be_learned_from_rejections_alone(filled: Shell) -> None:
    events(filled, "u,a,dislike,", "u,b,view,-1", "u,b,view,0")
    assert "bad events: 2 view x1, 1 dislike x2 against: none speaks for its item" in filled("doctor", status=1)
    events(filled, "u,b,view,1")
    assert "ok events: 3 view x1" in filled("doctor", status=1)


@pytest.mark.parametrize("words", [("doctor",), ("train", "popular"), ("recommend", "u"), ("import", "items", "i.csv")])
def test_a_table_that_cannot_be_read_is_one_line(
    filled: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RECSYS_SIGNALS", "purchase=lots")
    out = filled(*words, status=1)
    assert "RECSYS_SIGNALS: the weight of 'purchase' is 'lots'; give a number" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("neutral=high", "neutral=high; give `user-mean`, `none`, or 0 to 5"),
        ("neutral=nan", "neutral=nan; give `user-mean`, `none`, or 0 to 5"),
        ("neutral=5.5", "neutral=5.5; give `user-mean`, `none`, or 0 to 5"),
        ("buy=3,like=2,Buy=4", "'buy' has more than one weight"),
        ("neutral=3,Neutral=none", "'neutral' has more than one weight"),
    ],
)
def test_doctor_says_what_is_wrong_with_a_table(
    filled: Shell, monkeypatch: pytest.MonkeyPatch, setting: str, problem: str
) -> None:
    monkeypatch.setenv("RECSYS_SIGNALS", setting)
    assert f"RECSYS_SIGNALS: {problem}" in filled("doctor", status=1)


@pytest.mark.parametrize("word", ["None", "NONE", " none "])
def test_words_of_the_neutral_rating_come_in_any_case(word: str) -> None:
    assert SignalTable.parse(f"neutral={word}").neutral == "none"
    assert SignalTable.parse("neutral=User mean").neutral == "user-mean"


def test_another_table_than_the_bundle_s_is_named_by_doctor(
    shell: Shell, trained: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.copy(shell.folder)
    assert "train again" not in shell("doctor")
    monkeypatch.setenv("RECSYS_SIGNALS", "purchase=5,neutral=3")
    message = "trained with another table of kinds (purchase x4, now x5, neutral 2.5, now 3.0): train again"
    assert message in shell("doctor")


def test_training_says_how_it_counts(filled: Shell) -> None:
    rows = [f"u{u},{item},{kind}," for u in range(4) for item, kind in (("a", "view"), ("b", "view"), ("a", "cart"))]
    events(filled, *rows, "u0,b,dislike,")
    out = filled("train", "popular")
    assert (
        "events: 8 view x1, 4 cart x3, 1 dislike x2 against; sessions end after 30 min; 0 % of items come again" in out
    )


def test_training_on_rejections_alone_says_what_to_do(filled: Shell) -> None:
    events(filled, *(f"u,{item},dislike," for item in "abab"))
    assert "no event of the store speaks for its item" in filled("train", "popular", status=1)


def test_doctor_asks_for_events_before_training(filled: Shell) -> None:
    out = filled("doctor", status=1)
    assert "bad events: none, and no playlists: import some before training" in out
    assert "active bundle: none: import events, then run `recsys train blend`" in out
    events(filled, "u,a,view,1")
    assert "active bundle: none: run `recsys train blend`" in filled("doctor", status=1)


def test_doctor_takes_playlists_for_events(filled: Shell) -> None:
    (filled.folder / "lists.csv").write_text("playlist_id,position,item_id\nl,1,a\nl,2,b\n")
    filled("import", "playlists", "lists.csv")
    out = filled("doctor", status=1)
    assert "ok events: none" in out
    assert "active bundle: none: run `recsys train blend`" in out
