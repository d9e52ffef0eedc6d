"""Which encoder compares lists, by what is asked of the order."""

from dataclasses import dataclass
from typing import cast

import pytest

from recsys.data.continuation_cases import Order
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.serving import DeployedLists


@dataclass
class Named:
    name: str
    order_sensitive: bool


KINDS = {"mean": False, "playlist-seq2seq": True, "weighted": False, "set": False, "mine": False}


@pytest.mark.parametrize(
    ("there", "order", "answers", "kept"),
    [
        (["mean", "playlist-seq2seq", "set"], "sensitive", "playlist-seq2seq", True),
        (["mean", "playlist-seq2seq", "set"], "free", "set", True),
        (["mean", "playlist-seq2seq", "set"], None, "set", True),
        (["mine", "mean", "weighted"], "free", "weighted", True),
        (["mine", "playlist-seq2seq"], "free", "mine", True),
        (["mean", "weighted"], "sensitive", "weighted", False),
        (["playlist-seq2seq"], "free", "playlist-seq2seq", False),
        (["playlist-seq2seq"], None, "playlist-seq2seq", True),
        ([], "sensitive", None, True),
    ],
)
def test_the_order_chooses_the_encoder(
    there: list[str], order: Order | None, answers: str | None, *, kept: bool
) -> None:
    encoders = {name: cast("ListEncoder", Named(name, KINDS[name])) for name in there}
    found, as_asked = DeployedLists(encoders, {}, None).encoder(None, order)
    assert (found.name if found else None, as_asked) == (answers, kept)
