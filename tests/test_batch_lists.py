"""Many lists in one file: what the routes answer, row for row."""

from pathlib import Path

import polars as pl

from recsys.batch_lists import score_lists
from recsys.service import Recommender
from recsys.service.lists import ContinueOptions, SimilarOptions
from recsys.store import Store
from tests.worlds import Planted


def test_rows_are_what_the_routes_answer(served: tuple[Recommender, Store, Planted], tmp_path: Path) -> None:
    recommender, store, _ = served
    store.put_playlist("empty", None, [])
    for task, column in (("continue", "item_id"), ("similar-lists", "similar_id")):
        out = tmp_path / f"{task}.parquet"
        assert list(score_lists(recommender, store, out, task=task, k=3, encoder=None))[-1] == 151  # type: ignore[arg-type]
        rows = pl.read_parquet(out)
        assert rows["playlist_id"].n_unique() == 150
        some = rows.filter(pl.col("playlist_id") == "list-0007")
        stored = store.playlist("list-0007")
        if task == "continue":
            answer = recommender.lists.continued(stored.item_ids, stored.name, ContinueOptions(k=3))
            expected = [item.item_id for item in answer.alternatives[0].items]
        else:
            like = recommender.lists.similar_to("list-0007", SimilarOptions(k=3))
            expected = [one.playlist_id for one in like.playlists]
        assert some[column].to_list() == expected
        assert some["rank"].to_list() == [1, 2, 3]
    assert not list(tmp_path.glob(".*partial"))
