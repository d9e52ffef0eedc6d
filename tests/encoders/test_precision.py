"""Catalogues are encoded in bfloat16 only where that is faster and leaves the nearest texts as they are."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch

from models.pretrained import packaged_folder
from recsys.encoders.base import Vectors
from recsys.encoders.precision import MIN_OVERLAP, SAMPLE_TEXTS, CataloguePrecision, Document, nearest_overlap
from recsys.encoders.sentence import BertTextEncoder

DOCUMENTS: list[Document] = [(f"title: {number}", None) for number in range(SAMPLE_TEXTS)]


class FakeNetwork:
    """Random vectors by text; in bfloat16 with `noise`, after `half_seconds` instead of .1 s."""

    def __init__(self, *, noise: float, half_seconds: float) -> None:
        self.noise, self.half_seconds = noise, half_seconds
        self.in_half = list[bool]()

    def encode(self, documents: Sequence[Document]) -> Mapping[int, Vectors]:
        self.in_half.append(torch.is_autocast_enabled("cpu"))
        time.sleep(self.half_seconds if self.in_half[-1] else 0.1)
        draw, noise = np.random.default_rng(0), np.random.default_rng(1)
        vectors = draw.normal(size=(len(documents), 32)).astype(np.float32)
        if self.in_half[-1]:
            vectors += self.noise * noise.normal(size=vectors.shape).astype(np.float32)
        return {6: vectors}


@pytest.mark.parametrize(
    ("noise", "half_seconds", "in_half"),
    [(1e-5, 0.002, True), (1e-5, 0.3, False), (1.0, 0.002, False)],
    ids=["alike and faster", "slower", "other neighbours"],
)
def test_it_takes_the_faster_precision_that_ranks_alike(*, noise: float, half_seconds: float, in_half: bool) -> None:
    network, precision = FakeNetwork(noise=noise, half_seconds=half_seconds), CataloguePrecision("fake", device="cpu")
    precision.encode(DOCUMENTS, network.encode)
    precision.encode(DOCUMENTS[:1], network.encode)
    assert network.in_half == [False, True, in_half, in_half]  # the check is made once
    assert precision.description.startswith("bfloat16: of 256" if in_half else "float32: of 256")
    assert not torch.is_autocast_enabled("cpu")  # queries stay as they are


def test_few_texts_are_encoded_in_float32_and_count_towards_the_sample() -> None:
    network, precision = FakeNetwork(noise=0, half_seconds=0), CataloguePrecision("fake", device="cpu")
    for start in range(0, SAMPLE_TEXTS, 64):
        assert not any(network.in_half)
        assert precision.description == "float32 until 256 texts are compared with bfloat16"
        precision.encode(DOCUMENTS[start : start + 64] * 2, network.encode)
    assert network.in_half == [False] * 4 + [True, True]


def test_the_overlap_counts_the_same_nearest_rows() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    assert nearest_overlap(vectors, 3 * vectors) == 1
    assert 0.8 <= nearest_overlap(vectors, vectors[::-1].copy()) < 1  # 10 of 11 others: few can differ


@pytest.mark.slow
@pytest.mark.skipif(packaged_folder() is None, reason="the packaged weights are not installed")
def test_a_catalogue_ranks_alike_in_the_precision_of_this_machine() -> None:
    encoder = BertTextEncoder("packaged")
    words = ["claw", "hammer", "guitar", "steel", "strings", "garden", "hose", "drill", "bit", "paint", "brush", "oil"]
    draw = np.random.default_rng(0)
    texts = [f"title: {' '.join(draw.permutation(words)[:5])} {number}" for number in range(400)]
    (vectors,) = encoder.encode_exits(texts).values()
    exact = encoder.encode_documents(texts)
    assert encoder.precision.startswith(("float32: of 256", "bfloat16: of 256"))
    np.testing.assert_array_equal(np.array_equal(vectors, exact), encoder.precision.startswith("float32"))
    assert nearest_overlap(vectors, exact) > MIN_OVERLAP - 0.01
    assert (vectors * exact).sum(axis=1).min() > 0.999
    np.testing.assert_array_equal(encoder.encode_queries(texts[:3]), encoder.encode_documents(texts[:3]))
