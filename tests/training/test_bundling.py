"""What the fusion of a bundle is fitted on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsys.training import bundling
from recsys.training.blending import FusionExamples, collect
from recsys.training.bundling import BLEND, Trained, train_bundle
from recsys.training.plan import Plan
from tests.training.planted import dataset


def test_items_without_events_are_no_candidates_of_the_fusions_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset()
    data = replace(data, item_ids=(*data.item_ids, "new"), texts=(*data.texts, data.texts[0]))
    candidates = list[np.ndarray]()

    def watched(*arguments: Any, catalogue: np.ndarray, **options: Any) -> FusionExamples:
        candidates.append(catalogue)
        return collect(*arguments, catalogue=catalogue, **options)

    monkeypatch.setattr(bundling, "collect", watched)
    text = np.random.default_rng(0).standard_normal((data.items, 4)).astype(np.float32)
    plan = Plan(text_encoder="hashed", include_seen=False)
    names = ["popular", "markov", "text"]
    *_, trained = train_bundle(names, data, text, plan, default=BLEND, included={})
    assert isinstance(trained, Trained)
    assert candidates
    assert all((catalogue == data.has_events).all() and not catalogue[-1] for catalogue in candidates)
