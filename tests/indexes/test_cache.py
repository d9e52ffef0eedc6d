"""A cached index is used again where it is right, and built again where it is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.indexes import files
from recsys.indexes.build import IndexConfig, build
from recsys.indexes.cache import build_or_load
from recsys.indexes.exact import ExactConfig
from recsys.indexes.index import Flags, Index, Vectors
from recsys.indexes.space import Space
from recsys.indexes.staleness import MIN_STALE_ROWS
from tests.indexes.reference import FUNNEL, GRAPH, QUANTISED, clusters

SPACE = Space(encoder="a" * 64, layers=6, dims=24)
ROWS = 400

Start = Callable[..., Index]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[IndexConfig]:
    """The settings of each index that was built."""
    built = list[IndexConfig]()

    def noted(config: IndexConfig, vectors: Vectors, *, known: Flags) -> Index:
        built.append(config)
        return build(config, vectors, known=known)

    monkeypatch.setattr("recsys.indexes.cache.build", noted)
    return built


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """The index at a start over the vectors, all of them known."""

    def started(
        config: IndexConfig, vectors: Vectors, *, space: Space = SPACE, cache_dir: Path | None = tmp_path
    ) -> Index:
        known = np.ones(len(vectors), dtype=np.bool_)
        return build_or_load(config, vectors, known=known, space=space, cache_dir=cache_dir, name="item-text")

    return started


@pytest.fixture
def vectors() -> Vectors:
    return clusters(np.random.default_rng(0), ROWS)


@pytest.mark.parametrize("config", [GRAPH, QUANTISED], ids=str)
def test_the_next_start_reads_what_the_first_built(
    config: IndexConfig, start: Start, vectors: Vectors, builds: list[IndexConfig], tmp_path: Path
) -> None:
    first, queries = start(config, vectors), clusters(np.random.default_rng(1), 20)
    again = start(config, vectors.copy())
    assert builds == [config]
    assert [path.name for path in tmp_path.iterdir()] == ["item-text-6x24.index"]
    for a, b in zip(first.search(queries, k=9), again.search(queries, k=9), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_changed_between_two_starts_is_found_beside_it(
    start: Start, vectors: Vectors, builds: list[IndexConfig]
) -> None:
    start(GRAPH, vectors)
    now = np.concatenate([vectors, clusters(np.random.default_rng(2), 3)])
    now[7] = -now[7]
    again = start(GRAPH, now)
    assert len(builds) == 1
    for row in (7, ROWS, ROWS + 2):
        assert again.search(now[row : row + 1] * 100, k=1).rows.tolist() == [[row]]
    assert (again.vectors == now).all()


def test_one_that_has_aged_is_built_anew(start: Start, vectors: Vectors, builds: list[IndexConfig]) -> None:
    start(GRAPH, vectors)
    now = np.concatenate([vectors, clusters(np.random.default_rng(2), MIN_STALE_ROWS + 1)])
    start(GRAPH, now)
    start(GRAPH, now)
    assert len(builds) == 2


@pytest.mark.parametrize(
    "space", [Space(encoder="b" * 64, layers=6, dims=24), Space(encoder="a" * 64, layers=3, dims=24)], ids=str
)
def test_vectors_of_another_space_are_never_read(
    space: Space, start: Start, vectors: Vectors, builds: list[IndexConfig], tmp_path: Path
) -> None:
    start(GRAPH, -vectors, space=space)
    (written,) = tmp_path.iterdir()
    written.rename(tmp_path / "item-text-6x24.index")
    assert (start(GRAPH, vectors).vectors == vectors).all()
    start(GRAPH, vectors)
    assert len(builds) == 2


def test_other_settings_and_fewer_rows_are_built_anew(
    start: Start, vectors: Vectors, builds: list[IndexConfig]
) -> None:
    start(QUANTISED, vectors)
    start(GRAPH, vectors)
    start(GRAPH, vectors[:-1])
    assert builds == [QUANTISED, GRAPH, GRAPH]


def test_a_damaged_file_is_told_and_built_anew(
    start: Start, vectors: Vectors, builds: list[IndexConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(GRAPH, vectors)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    start(GRAPH, vectors)
    assert "item-text-6x24.index is damaged" in caplog.text
    start(GRAPH, vectors)
    assert len(builds) == 2


def test_a_folder_that_cannot_be_written_stops_nothing(
    start: Start, vectors: Vectors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    index = start(GRAPH, vectors, cache_dir=tmp_path / "file" / "below")
    assert index.search(vectors[:1] * 100, k=1).rows.tolist() == [[0]]
    assert "index not written" in caplog.text


@pytest.mark.parametrize("config", [ExactConfig(), FUNNEL], ids=str)
def test_what_is_quick_to_build_is_not_kept(
    config: IndexConfig, start: Start, vectors: Vectors, tmp_path: Path
) -> None:
    start(config, vectors)
    assert not list(tmp_path.iterdir())


def test_without_a_folder_nothing_is_written(
    start: Start, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "save", None)
    monkeypatch.chdir(tmp_path)
    start(GRAPH, vectors, cache_dir=None)
    assert not list(tmp_path.iterdir())
