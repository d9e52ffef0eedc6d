"""What the settings that are tried on validation depend on."""

from dataclasses import dataclass

SMALL_ITEMS = 5000
"""Catalogues up to this size get the whole grid; beyond it what takes long is fitted once."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Its number of items, and the name of the text encoder that reads them."""

    items: int
    text_encoder: str

    @property
    def is_small(self) -> bool:
        return self.items <= SMALL_ITEMS
