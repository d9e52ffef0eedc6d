"""Which encoder compares lists, by what is asked of the order."""

from dataclasses import dataclass
from typing import cast

import pytest

from recsys.data.continuation_cases import Order
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.serving import ListServingModel


@dataclass
class Named:
    name: str
    kind: str
    order_sensitive: bool


ENCODERS = [
    Named("mean", "list-mean", False),
    Named("playlist-seq2seq", "playlist-seq2seq", True),
    Named("weighted", "list-weighted", False),
    Named("set", "set", False),
    Named("mine", "list-mean", False),
]


@pytest.mark.parametrize(
    ("names", "order", "answers", "as_requested"),
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
    names: list[str], order: Order | None, answers: str | None, *, as_requested: bool
) -> None:
    encoders = {encoder.name: cast("ListEncoder", encoder) for encoder in ENCODERS if encoder.name in names}
    best, treats_order = ListServingModel(encoders, {}, None).encoder(None, order)
    assert (best.name if best else None, treats_order) == (answers, as_requested)
