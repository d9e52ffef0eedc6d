"""Which items are of one kind, and more of the same."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsys.data.dataset import Dataset
from recsys.data.playlists import Playlists
from recsys.errors import BundleError
from recsys.retrieval.lists.attributes import ListAttributes, ListAttributesConfig, fit_list_attributes
from recsys.retrieval.registry import restore

SINGERS, ALBUMS, TRACKS = 4, 3, 2
ROWS = np.arange(SINGERS * ALBUMS * TRACKS)


def source(*, singer: str, more: Mapping[int, Mapping[str, Any]] | None = None) -> ListAttributes:
    """Over items of singers with albums of tracks each; `singer` is the name of the attribute, `more` changes those of items."""
    attributes = [
        {"album": f"album {row // TRACKS}", singer: f"singer {row // (ALBUMS * TRACKS)}"}
        | dict((more or {}).get(row, {}))
        for row in ROWS.tolist()
    ]
    data = Dataset(
        item_ids=tuple(map(str, ROWS)),
        texts=("",) * len(ROWS),
        users=("list",),
        starts=np.array([0, len(ROWS)]),
        rows=ROWS,
        at=np.full(len(ROWS), np.nan),
        folds=np.zeros(len(ROWS), dtype=np.uint8),
    )
    lists = Playlists(data=data, names=(None,), attributes=tuple(attributes))
    return fit_list_attributes(lists, ListAttributesConfig(common=1.0))


@pytest.mark.parametrize("singer", ["artist", "Artists", "author"])
def test_items_of_one_artist_are_of_one_kind_whatever_their_album(singer: str) -> None:
    groups = source(singer=singer).group_of(ROWS)
    assert len(set(groups.tolist())) == SINGERS
    assert (groups.reshape(SINGERS, -1) == groups[:: ALBUMS * TRACKS, None]).all()


def test_without_an_artist_it_is_the_attribute_that_groups_the_most() -> None:
    alone = {row: {"singer": f"of {row} alone"} for row in range(2)}
    assert len(set(source(singer="singer", more=alone).group_of(ROWS).tolist())) == SINGERS * ALBUMS


def test_an_item_of_several_is_of_one_kind_and_one_of_none_of_no_kind() -> None:
    several: dict[int, dict[str, Any]] = {0: {"artist": ["singer 3", "singer 0"]}, 1: {"artist": "nobody else"}}
    groups = source(singer="artist", more=several).group_of(np.append(ROWS, [99]))
    assert groups[0] in (groups[2], groups[-2])
    assert groups[[1, -1]].tolist() == [-1, -1]


def test_groups_survive_the_bundle_and_a_part_without_them_is_refused() -> None:
    ours = source(singer="artist")
    part = ours.part("attributes")
    np.testing.assert_array_equal(ListAttributes.from_part(part).group_of(ROWS), ours.group_of(ROWS))
    older = replace(part, arrays={key: value for key, value in part.arrays.items() if key != "kinds"})
    with pytest.raises(BundleError, match=r"part 'attributes' does not fit its settings .*; train it again"):
        restore(older)
