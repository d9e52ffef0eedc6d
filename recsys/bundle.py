"""A bundle: named parts over one vocabulary that are deployed together."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import BundleError


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One encoder, source or fusion as it is stored: settings as JSON, everything learned as arrays.

    `kind` selects the class of `recsys.retrieval` that restores it; `figures` are its measured qualities.
    """

    name: str
    kind: str
    config: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    figures: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over kind, config and arrays: equal parts have equal hashes, whatever they are called."""
        digest = hashlib.sha256(json.dumps([self.kind, self.config], sort_keys=True).encode())
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name}:{array.dtype}:{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """Parts fitted over `item_ids` (row r is item r), the part that answers by default, and how they were trained.

    `texts` has a hash of each item's text as it was trained on, so that a changed text is noticed. `about` is free JSON:
    protocol, seed, data window, whether seen items may return, which parts were left out and why.
    """

    parts: Mapping[str, Part]
    default: str
    item_ids: tuple[str, ...]
    about: dict[str, Any]
    texts: tuple[str, ...] = ()
    uri: str | None = None

    def part(self, name: str) -> Part:
        """The part called `name`.

        Raises:
            BundleError: there is none.
        """
        if name not in self.parts:
            raise BundleError(f"no part {name!r} in this bundle; it has {', '.join(sorted(self.parts))}")
        return self.parts[name]

    @property
    def evaluation_uri(self) -> str | None:
        """URI of the evaluation bundle: the one with the same settings that has not learned the events it is measured on. None
        for a bundle that is measured itself."""
        return evaluation_uri(self.about)


def evaluation_uri(about: Mapping[str, Any]) -> str | None:
    """As `Bundle.evaluation_uri`, from the `about` of a manifest."""
    uri = about.get("evaluation_bundle")
    return uri if isinstance(uri, str) else None


def vocabulary_hash(item_ids: tuple[str, ...]) -> str:
    """SHA-256 of the ids in their order."""
    return hashlib.sha256(json.dumps(item_ids, ensure_ascii=False).encode()).hexdigest()
