"""Which of equal rows a row is: as a dictionary would count, however the rows are cut into pieces."""

import hashlib
from collections import Counter
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from recsys.importing.duplicate_counter import DuplicateCounter


@given(pieces=st.lists(st.lists(st.integers(0, 8), max_size=12), max_size=6))
def test_it_counts_as_a_dictionary_does(pieces: list[list[int]]) -> None:
    seen = Counter[int]()
    with closing(DuplicateCounter()) as equal:
        for piece in pieces:
            expected = []
            for value in piece:
                seen[value] += 1
                expected.append(seen[value])
            assert equal.numbers([hashlib.sha256(bytes([value])).digest() for value in piece]) == expected
