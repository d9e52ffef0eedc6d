"""Texts that are about nothing: words of all domains drawn at random, on which the general expert stays near to its start.

It reads what no domain of the training is like, through layers that all experts share and that the domains of the training move.
What those say of unknown texts is held by texts of no domain, for none of an unknown one are there.

Source: Krishna et al., Thieves on Sesame Street (arXiv:1910.12366), section 4: what a text encoder knows can be taught by random
sequences of words.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.tokenizer import Tokens

TOGETHER = 64
"""Texts that are compared with each other."""
BAG = 80
"""Words that these are made of, so that some are more alike than others."""
GROUPS = 128
SHORTEST, LONGEST = 2, 20
"""Words of a text."""


def random_texts(tokens: Sequence[Tokens], generator: np.random.Generator) -> list[list[Tokens]]:
    """`GROUPS` of `TOGETHER` texts as long as those of `tokens` (each with its special ends), from words as frequent as there."""
    words = np.concatenate([text[1:-1] for text in tokens])
    lengths = np.array([len(text) - 2 for text in tokens]).clip(SHORTEST, LONGEST)
    if not len(words):
        return []
    first, last = tokens[0][:1], tokens[0][-1:]

    def group() -> list[NDArray[np.int64]]:
        bag = generator.choice(words, BAG)
        sizes = generator.choice(lengths, TOGETHER)
        return [np.concatenate([first, generator.choice(bag, size), last]) for size in sizes.tolist()]

    return [group() for _ in range(GROUPS)]
