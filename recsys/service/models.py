"""The active bundle as `GET /v1/models` describes it."""

from typing import Any

from recsys.bundle import Part
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.live_models import described_live_models
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.registry import TYPES
from recsys.retrieval.truncation import truncations_of
from recsys.service.state.snapshot import Snapshot


def described(snapshot: Snapshot) -> dict[str, Any]:
    """The bundle and its parts with settings and measured figures, those that answer questions about lists apart; and the live
    models, which need no bundle."""
    bundle, live = snapshot.bundle, described_live_models()
    if bundle is None:
        return {"bundle": None, "default": POPULAR, "about": {}, "parts": [], "lists": [], "live": live}
    parts = bundle.parts.values()
    return {
        "bundle": bundle.uri,
        "default": bundle.default if snapshot.recommends else POPULAR,
        "about": bundle.about,
        "parts": [_described(part) for part in parts if not part.name.startswith(PREFIX)],
        "lists": [_described(part) for part in parts if part.name.startswith(PREFIX)],
        "live": live,
    }


def _described(part: Part) -> dict[str, Any]:
    truncates = part.kind in TYPES and TYPES[part.kind].capabilities.truncates
    return {
        "name": part.name.removeprefix(PREFIX),
        "kind": part.kind,
        "hash": part.hash,
        "settings": part.config,
        "figures": part.figures,
        "sizes": [measured.as_json() for measured in truncations_of(part).measured] if truncates else [],
    }
