"""A tokenizer learned from a catalogue, and token numbers as tensors."""

import numpy as np
import pytest
import torch

from models.errors import ConfigError
from recsys.encoders.tokenizer import TextTokenizer, collate_tokens, train_tokenizer

TEXTS = ["title: claw hammer | brand: acme", "title: wool socks", "title: claw hammer, blue"] * 5


def test_a_learned_tokenizer_knows_the_words_of_its_catalogue() -> None:
    tokenizer = TextTokenizer(train_tokenizer(TEXTS, vocabulary=200), max_length=16)
    hammer, upper, unknown = tokenizer.encode(["claw hammer", "CLAW HAMMER", "\U0001f3b8"])
    assert len(hammer) == 4
    assert hammer.tolist() == upper.tolist()
    assert hammer[0] == unknown[0] == tokenizer.cls
    assert unknown.tolist()[-2:] == [1, 3]
    assert train_tokenizer(TEXTS, vocabulary=200) == tokenizer.definition


def test_every_text_begins_and_ends_and_fits() -> None:
    tokenizer = TextTokenizer(train_tokenizer(TEXTS, vocabulary=200), max_length=16)
    empty, long = tokenizer.encode(["", "claw " * 10_000])
    assert empty.tolist() == [tokenizer.cls, 3]
    assert len(long) == 16
    assert long[-1] == 3


def test_padding_is_on_the_right() -> None:
    batch = collate_tokens([np.array([2, 7, 3]), np.array([2, 3])], experts=[1, 0])
    assert batch.tokens.tolist() == [[2, 7, 3], [2, 3, 0]]
    assert batch.real.tolist() == [[True, True, True], [True, True, False]]
    assert torch.equal(batch.expert, torch.tensor([1, 0]))  # type: ignore[arg-type]
    assert collate_tokens([]).tokens.shape == (0, 1)


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(ConfigError, match="this is no tokenizer"):
        TextTokenizer("{}", max_length=8)
