"""The probes: labels are right, encoders that know an answer score above chance, and the others at chance."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from features.synthetic import genre_lists
from recsys.bundle import Bundle, Part
from recsys.bundle_io import save_bundle
from recsys.cli import app
from recsys.data.history import Rows
from recsys.data.playlists import Playlists, playlists, with_folds
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.evaluation.plots import save_probe_plot
from recsys.evaluation.probe_classifiers import NEAREST, Probed, probe_all, save_probes
from recsys.evaluation.probe_protocol import probe_bundle
from recsys.evaluation.probes import category_attribute, category_numbers, probes
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.mean import MEAN, fit_mean
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.training.lists.worlds import dataset, trained

WORLD = genre_lists(lists=700, items=60, genres=4, stay=0.85, shortest=4, longest=40, seed=3)
ATTRIBUTES = tuple({"genre": f"genre {genre}", "id": str(n), "rare": "x"} for n, genre in enumerate(WORLD.genre))
LISTS = with_folds(Playlists(data=dataset(WORLD.lists, items=60), names=(None,) * 700, attributes=ATTRIBUTES), seed=0)
GENRE = category_numbers(LISTS, "genre")
PROBES = {probe.name: probe for probe in probes(LISTS, category=GENRE, seed=0)}


class Counting(ListEncoder):
    """An encoder by hand: how often each genre follows each, how many items of each there are, and the length."""

    kind, name, hash, order_sensitive, dim = "counting", "counting", "0", True, 21

    def encode(self, lists: Sequence[Rows]) -> NDArray[np.float32]:
        return np.stack([self._vector(rows) for rows in lists]).astype(np.float32)

    def part(self, name: str) -> Part:
        raise AssertionError(name)

    def _vector(self, rows: Rows) -> NDArray[np.float64]:
        genres = GENRE[rows]
        after = np.bincount(genres[:-1] * 4 + genres[1:], minlength=16) / max(1, len(rows) - 1)
        return np.concatenate([after, np.bincount(genres, minlength=4) / max(1, len(rows)), [len(rows) / 100]])


class Nothing(Counting):
    """One vector for all lists."""

    def encode(self, lists: Sequence[Rows]) -> NDArray[np.float32]:
        return np.ones((len(lists), self.dim), dtype=np.float32)


def test_every_question_is_asked_in_balanced_classes() -> None:
    assert set(PROBES) == {
        "category",
        "diversity",
        "switches",
        "length",
        "content",
        "order, shuffled",
        "order, neighbours swapped",
    }
    for probe in PROBES.values():
        counts = Counter(probe.labels.tolist())
        assert len(set(counts.values())) == 1, probe.name
        assert probe.chance == pytest.approx(1 / len(counts))
        assert len(probe.lists) == len(probe.labels) == len(probe.owner)


def test_labels_say_what_they_should() -> None:
    rows = LISTS.rows()
    for name, naive in {
        "category": lambda items: max(Counter(GENRE[items].tolist()).values()) / len(items),
        "length": len,
        "switches": lambda items: np.mean(np.diff(GENRE[items]) != 0),
        "diversity": lambda items: len(set(GENRE[items].tolist())),
    }.items():
        probe = PROBES[name]
        values = np.array([naive(items) for items in probe.lists])  # type: ignore[no-untyped-call]
        assert all(np.array_equal(rows[o], items) for o, items in zip(probe.owner, probe.lists, strict=True))
        if name == "category":
            assert (values > 0.5).all()
            continue
        means = [values[probe.labels == label] for label in range(len(np.unique(probe.labels)))]
        for lower, upper in pairwise(means):
            assert lower.max() <= upper.min()  # classes are ranges, in their order


def test_changed_copies_hold_the_same_items_in_another_order_and_have_the_same_owner() -> None:
    for name, most in (("order, shuffled", 40), ("order, neighbours swapped", 2)):
        probe = PROBES[name]
        half = len(probe.lists) // 2
        assert probe.labels.tolist() == [0] * half + [1] * half
        assert probe.owner[:half].tolist() == probe.owner[half:].tolist()
        for items, changed in zip(probe.lists[:half], probe.lists[half:], strict=True):
            assert Counter(items.tolist()) == Counter(changed.tolist())
            assert (items != changed).sum() <= most
        assert max(map(len, probe.lists)) <= 40


def test_the_attribute_with_the_most_usable_values_is_the_category() -> None:
    assert category_attribute(LISTS) == "genre"  # `id` has too many values, `rare` one


@pytest.mark.slow
def test_bags_are_exactly_at_chance_on_order_and_what_is_known_is_found() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)
    bag = fit_mean(LISTS.data, vectors, MEAN, name="mean")
    rows = {
        (row.encoder, row.probe): row
        for row in probe_all({"mean": bag, "hand": Counting()}, LISTS, attribute="genre", seeds=(0, 1))
    }
    recommended = {"recommendation, category", "recommendation, length"}
    assert set(rows) == {(name, probe) for name in ("mean", "hand") for probe in {*PROBES, *recommended}}
    for probe in ("order, shuffled", "order, neighbours swapped"):
        assert rows["mean", probe].accuracy.mean == 0.5
    assert rows["hand", "order, shuffled"].accuracy.low > 0.7
    assert rows["hand", "switches"].accuracy.mean > 0.5 > rows["mean", "switches"].accuracy.mean
    assert rows["hand", "category"].accuracy.mean > 0.9
    assert rows["hand", "length"].accuracy.mean > 2 * rows["hand", "length"].chance
    for row in rows.values():
        assert row.accuracy.low <= row.accuracy.mean <= row.accuracy.high


def naive_precision(encoder: Counting, seed: int) -> float:
    """One list and one depth at a time."""
    probe = next(probe for probe in probes(LISTS, category=GENRE, seed=seed) if probe.name == "category")
    vectors = [encoder.encode([rows])[0].astype(np.float64) for rows in probe.lists]
    precisions = []
    for i, owner in enumerate(probe.owner):
        if LISTS.folds[owner] == 0:
            continue
        others = sorted((j for j in range(len(vectors)) if j != i), key=lambda j: -float(vectors[i] @ vectors[j]))
        alike = [probe.labels[j] == probe.labels[i] for j in others[:NEAREST]]
        precisions.append(np.mean([np.mean(alike[:k]) for k in range(1, len(alike) + 1)]))
    return float(np.mean(precisions))


class Summed(Counting):
    """The plain sum of item vectors."""

    dim = 12

    def _vector(self, rows: Rows) -> NDArray[np.float64]:
        total: NDArray[np.float64] = alike()[rows].sum(axis=0)
        return total


def alike() -> NDArray[np.float64]:
    """Item vectors that have a direction in common, as trained ones do."""
    vectors = np.random.default_rng(0).normal(size=(60, 12))
    return vectors - vectors.mean(axis=0) + 1


@pytest.mark.slow
def test_of_items_drawn_at_random_a_mean_forgets_how_many_a_sum_and_a_recurrence_do_not() -> None:
    generator = np.random.default_rng(1)
    random_lists = [generator.integers(60, size=generator.integers(5, 41)).tolist() for _ in range(1500)]
    data = dataset(random_lists, items=60)
    lists = with_folds(Playlists(data=data, names=(None,) * len(data)), seed=0)
    encoders: dict[str, ListEncoder] = {
        "mean": fit_mean(data, alike().astype(np.float32), MEAN, name="mean"),
        "sum": Summed(),
        "recurrent": trained("playlist-seq2seq"),
    }
    rows = {row.encoder: row for row in probe_all(encoders, lists, attribute=None, seeds=(0, 1), only="length")}
    mean = rows["mean"].accuracy
    assert mean.low < rows["mean"].chance < mean.high
    assert rows["recurrent"].accuracy.low > mean.high
    assert rows["sum"].accuracy.low > rows["sum"].chance


def test_nearest_lists_share_what_the_vector_tells() -> None:
    encoders = {"hand": Counting(), "nothing": Nothing()}
    question = "recommendation, category"
    rows = {row.encoder: row for row in probe_all(encoders, LISTS, attribute="genre", seeds=(0, 1), only=question)}
    hand, nothing = rows["hand"], rows["nothing"]
    assert hand.accuracy.mean == pytest.approx(
        np.mean([naive_precision(Counting(), seed) for seed in (0, 1)]), abs=0.01
    )
    assert hand.accuracy.low > 1.5 * hand.chance
    assert nothing.accuracy.mean == pytest.approx(nothing.chance, abs=0.02)
    assert (hand.probe, hand.by, hand.logistic, hand.layer) == (question, "nearest", None, None)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('probes')}/recsys.db"


@pytest.fixture(scope="module")
def store(url: str) -> Store:
    upgrade(url)
    store = Store.open(url)
    data = dataset(WORLD.lists)
    genre = [*WORLD.genre, 0, 1]
    store.put_items([ItemDraft(item_id=i, attributes={"genre": f"g{genre[n]}"}) for n, i in enumerate(data.item_ids)])
    for number, rows in enumerate(WORLD.lists[:300]):
        store.put_playlist(f"list-{number:03d}", None, [data.item_ids[row] for row in rows])
    return store


def test_lists_that_were_learned_or_chosen_on_are_not_tested_and_without_tests_there_is_no_question() -> None:
    bag = fit_mean(LISTS.data, np.eye(60, 12, dtype=np.float32), MEAN, name="mean")
    results = probe_all({"mean": bag}, LISTS, attribute="genre", seeds=(0, 1))
    most = int((LISTS.folds == 2).sum())
    assert 0 < max(row.lists for row in results) <= most
    for missing in (1, 2):
        assert not list(probe_all({"mean": bag}, LISTS.only(LISTS.folds != missing), attribute="genre", seeds=(0,)))


def stored(folder: Path, store: Store, *, part: Part | None = None) -> str:
    part = part or trained("playlist-seq2seq", epochs=1).part("lists/playlist-seq2seq")
    ids = playlists(store, seed=0).data.item_ids
    about = {"seed": 0}
    return save_bundle(
        Bundle(parts={part.name: part}, default=part.name, item_ids=ids, about=about), str(folder), name="b"
    )


@pytest.mark.slow
def test_a_bundle_is_probed_together_with_means_of_its_own_vectors(store: Store, tmp_path: Path) -> None:
    summary, *rows = probe_bundle(store, uri=stored(tmp_path, store), seeds=(0,))
    assert "300 lists" in str(summary)
    assert "category: genre" in str(summary)
    probed = [row for row in rows if isinstance(row, Probed)]
    assert {row.encoder for row in probed} == {"playlist-seq2seq", "mean", "weighted"}
    assert save_probes(probed, tmp_path).stat().st_size > 1000
    assert save_probe_plot(probed, tmp_path).stat().st_size > 5000


def test_a_bundle_that_cannot_be_probed_is_refused_with_the_reason(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no active bundle: run `recsys train playlist-seq2seq`"):
        next(probe_bundle(store, uri=None))
    with pytest.raises(InvalidRequest, match="no item has an attribute 'colour'"):
        next(probe_bundle(store, uri=stored(tmp_path / "b2", store), category="colour"))
    upgrade(url := f"sqlite:///{tmp_path}/few.db")
    few = Store.open(url)
    ids = playlists(store, seed=0).data.item_ids
    few.put_items([ItemDraft(item_id=i) for i in ids])
    few.put_playlist("one", None, list(ids[:5]))
    with pytest.raises(NotReady, match="1 lists are too few for any question"):
        list(probe_bundle(few, uri=stored(tmp_path / "b4", store)))
    other = Part(name="popular", kind="popular", config={}, arrays={"scores": np.zeros(1, dtype=np.float32)})
    with pytest.raises(BundleError, match="has no list encoder"):
        next(probe_bundle(store, uri=stored(tmp_path / "b3", store, part=other)))


def test_the_command_asks_and_writes(store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe_bundle.__kwdefaults__ is not None
    monkeypatch.setitem(probe_bundle.__kwdefaults__, "seeds", (0,))  # five take five times as long
    monkeypatch.setenv("RECSYS_DATABASE_URL", url)
    uri = stored(tmp_path, store)
    command = ["evaluate", "--protocol", "playlist-probes", "--bundle", uri, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "order, shuffled" in done.output
    assert "recommendation" in done.output
    written = json.loads((tmp_path / "out" / "probes.json").read_text())
    assert {row["encoder"] for row in written if row["probe"] == "recommendation, category"} == {
        "playlist-seq2seq",
        "mean",
        "weighted",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"probes.json", "probes.png"}
    refused = CliRunner().invoke(app, ["evaluate", "--category", "genre"])
    assert refused.exit_code == 1
