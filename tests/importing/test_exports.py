"""What the API returns can be imported again."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.importing.files import import_items
from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import Planted

BODIES = [
    {},
    {"title": "One", "domain": "films", "attributes": {"year": 1977, "genres": ["Sci-Fi"], "in print": False}},
    {"attributes": {"none": None, "deep": {"a": [None, {"b": 1.5}]}, "": "x"}},
    {"attributes": {"attributes": {"a": 1}, "title": "no title", "item_id": 7, "domain": []}},
]


@pytest.mark.parametrize("body", BODIES)
def test_an_item_comes_back_unchanged(
    served: tuple[Recommender, Store, Planted], tmp_path: Path, body: dict[str, object]
) -> None:
    with TestClient(create_app(served[0])) as client:
        assert client.put("/v1/items/again", json=body).status_code == 200
        exported = client.get("/v1/items/again")
    path = tmp_path / "items.jsonl"
    path.write_text(exported.text + "\n", encoding="utf-8")
    *_, report = import_items(served[1], path)
    assert (report.accepted, report.unchanged, report.rejected) == (0, 1, 0)
    path.write_text(exported.text.replace("again", "other") + "\n", encoding="utf-8")
    *_, report = import_items(served[1], path)
    assert report.accepted == 1
    again, other = served[1].item("again"), served[1].item("other")
    assert (other.domain, other.title, json.dumps(other.attributes)) == (
        again.domain,
        again.title,
        json.dumps(again.attributes),
    )


def test_columns_beside_attributes_are_attributes_too(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"item_id": "a", "year": 1, "attributes": {"year": 2, "pages": 3}}\n{"item_id": "b", "attributes": "x"}\n'
    )
    list(import_items(store, path))
    assert store.item("a").attributes == {"year": 1, "pages": 3}
    assert store.item("b").attributes == {"attributes": "x"}
