"""Random word sequences stand in for texts of unseen domains: on them the general expert is kept close to its start.

The general expert encodes texts of unseen domains, through layers that it shares with all experts and that training changes.

Source: Krishna et al., Thieves on Sesame Street (arXiv:1910.12366), section 4: random sequences of words suffice to distil a text
encoder.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.tokenizer import Tokens

TEXTS_PER_GROUP = 64
"""Texts that are compared with each other."""
WORDS_PER_GROUP = 80
"""The texts of a group share these words, so that some are more alike than others."""
GROUPS = 128
MIN_WORDS, MAX_WORDS = 2, 20
"""Words of a text."""


def random_texts(tokens: Sequence[Tokens], generator: np.random.Generator) -> list[list[Tokens]]:
    """`GROUPS` of `TEXTS_PER_GROUP` texts with the lengths, word frequencies and special tokens of `tokens`."""
    words = np.concatenate([text[1:-1] for text in tokens])
    lengths = np.array([len(text) - 2 for text in tokens]).clip(MIN_WORDS, MAX_WORDS)
    if not len(words):
        return []
    first, last = tokens[0][:1], tokens[0][-1:]

    def group() -> list[NDArray[np.int64]]:
        bag = generator.choice(words, WORDS_PER_GROUP)
        sizes = generator.choice(lengths, TEXTS_PER_GROUP)
        return [np.concatenate([first, generator.choice(bag, size), last]) for size in sizes.tolist()]

    return [group() for _ in range(GROUPS)]
