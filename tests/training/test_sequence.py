"""Sequence models find planted structure under every objective, and epochs cover every event once."""

from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.fx.experimental._config
from numpy.typing import NDArray

from models.embeddings import ItemKind
from models.encoders.sequence import SequenceConfig
from models.mixers import mixer_config
from models.mixers.full import FullConfig
from recsys.bundle import Part
from recsys.data.splits import split_by_fold
from recsys.encoders.hashed import HashedNgrams
from recsys.errors import InvalidRequest
from recsys.retrieval.registry import restore_source as restore
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.overrides import overridden
from recsys.training.plan import RunContext
from recsys.training.sequence import _Objective, _windows, train
from recsys.training.sequence_model import SequenceModel, SequenceRecipe
from recsys.training.tuning import ndcg_at_10
from tests.training.planted import dataset

DATA = dataset()
TEXT = HashedNgrams(dim=64).encode_documents(DATA.texts)


def recipe(**settings: object) -> SequenceRecipe:
    values: dict[str, object] = {
        "encoder": SequenceConfig(dim=32, max_length=12, dropout=0.1),
        "loop": LoopConfig(epochs=15, learning_rate=5e-3, warmup_steps=10),
        "tokens": 256,
        "temperature": 0.1,
        "text_encoder": "hashed",
    }
    return SequenceRecipe(**(values | settings))  # type: ignore[arg-type]


def trained(settings: SequenceRecipe, *, seed: int = 0) -> Part:
    context = RunContext(name="sasrec", seed=seed)
    facts = list(train(settings, fit=split_by_fold(DATA).refit, validation=None, text=TEXT, context=context))
    assert isinstance(facts[-1], Part)
    return facts[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        ("id", "softmax"),
        ("text", "softmax"),
        ("hybrid", "softmax"),
        ("id", "sampled"),
        ("hybrid", "sampled"),
        ("id", "gbce"),
    ],
)
def test_the_planted_successor_is_found(kind: ItemKind, objective: str) -> None:
    settings = recipe(items=kind, objective=objective, negatives=20)
    if objective == "gbce":  # its scores are raw inner products, which take longer to spread
        longer = LoopConfig(epochs=40, learning_rate=1e-2, warmup_steps=10)
        settings = recipe(objective=objective, negatives=20, temperature=None, loop=longer)
    cases = split_by_fold(DATA).test
    figures = ndcg_at_10(restore(trained(settings)), cases, items=DATA.items, include_seen=True)
    assert figures.mean() > 0.75  # the successor follows four times in five; chance is .15


@pytest.mark.parametrize("proposal", ["uniform", "popular", "in-batch"])
def test_negatives_may_come_from_anywhere(proposal: str) -> None:
    settings = recipe(objective="sampled", negatives=20, negatives_from=proposal)
    figures = ndcg_at_10(restore(trained(settings)), split_by_fold(DATA).test, items=DATA.items, include_seen=True)
    assert figures.mean() > 0.75


@pytest.mark.parametrize("include_seen", [True, False])
def test_epochs_are_chosen_by_the_rule_that_serves(include_seen: bool) -> None:
    settings, folds = recipe(loop=LoopConfig(epochs=3, learning_rate=5e-3)), split_by_fold(DATA)
    context = RunContext(name="sasrec")
    *epochs, part = train(
        settings, fit=folds.fit, validation=folds.validation, text=TEXT, context=context, include_seen=include_seen
    )
    assert isinstance(part, Part)
    figures = [
        float(ndcg_at_10(restore(part), folds.validation, items=DATA.items, include_seen=rule).mean())
        for rule in (include_seen, not include_seen)
    ]
    best = max(epoch.figure or 0.0 for epoch in epochs if isinstance(epoch, Epoch))
    assert best == pytest.approx(figures[0], abs=1e-4)
    assert abs(figures[1] - figures[0]) > 0.001


def test_the_same_seed_gives_the_same_bits() -> None:
    settings = recipe(loop=LoopConfig(epochs=2))
    assert trained(settings).hash == trained(settings).hash != trained(settings, seed=1).hash


@pytest.mark.parametrize("length", [3, 5, 50])
def test_every_event_but_the_first_is_a_target_once_an_epoch(length: int) -> None:
    counted: Counter[int] = Counter()
    for window in _windows(DATA, max_length=length, generator=np.random.default_rng(0)):
        assert 2 <= len(window) <= length + 1
        counted.update(window.rows[1:].tolist())
    expected = Counter(row for history in DATA.histories() for row in history.rows[1:].tolist())
    assert counted == expected


def test_an_id_part_marks_what_it_was_not_trained_on() -> None:
    unseen = DATA.keep(DATA.rows != 3)
    short, context = recipe(loop=LoopConfig(epochs=1)), RunContext(name="sasrec")
    facts = list(train(short, fit=unseen, validation=None, text=TEXT, context=context))
    part = facts[-1]
    assert isinstance(part, Part)
    assert not part.arrays["known"][3]
    assert part.arrays["known"].sum() == DATA.items - 1


@pytest.mark.parametrize("objective", ["softmax", "sampled", "gbce"])
@pytest.mark.parametrize("kind", ["text", "hybrid"])
def test_nothing_is_learned_of_an_item_without_events(kind: ItemKind, objective: str) -> None:
    """Whatever its text is, the part is the same to the bit; by its text it then counts as one that comes later."""
    without = DATA.keep(DATA.rows != 3)
    settings = recipe(items=kind, objective=objective, negatives=20, smoothing=0.1, loop=LoopConfig(epochs=3))

    def part_with(text: NDArray[np.float32]) -> Part:
        folds, context = split_by_fold(without), RunContext(name=f"sasrec-{kind}")
        *_, part = train(settings, fit=folds.fit, validation=folds.validation, text=text, context=context)
        assert isinstance(part, Part)
        return part

    other_text = np.where(np.arange(DATA.items)[:, None] == 3, TEXT[[7]], TEXT)
    part, other = part_with(TEXT), part_with(other_text)
    assert part.config == other.config
    for name in part.arrays.keys() - {"item_vectors"}:
        np.testing.assert_array_equal(part.arrays[name], other.arrays[name])
    if kind == "hybrid":
        assert np.flatnonzero(~part.arrays["residual"].any(axis=1)).tolist() == [3]
    later = restore(other).with_items(np.array([3]), TEXT[[3]])
    np.testing.assert_allclose(later.part("later").arrays["item_vectors"], part.arrays["item_vectors"], atol=1e-6)


def test_a_hybrid_knows_an_item_without_events_by_its_text_alone() -> None:
    unseen = DATA.keep(~np.isin(DATA.rows, [3, 5]))
    unseen = replace(unseen, texts=tuple("" if row == 5 else text for row, text in enumerate(DATA.texts)))
    settings, context = recipe(items="hybrid", loop=LoopConfig(epochs=1)), RunContext(name="sasrec-hybrid")
    *_, part = train(settings, fit=unseen, validation=None, text=TEXT, context=context)
    assert isinstance(part, Part)
    assert np.flatnonzero(~part.arrays["known"]).tolist() == [5]
    source = restore(part)
    assert source.trained is not None
    assert np.flatnonzero(~source.trained).tolist() == [3, 5]
    without_text = source.without_texts(np.array([2, 3])).part("sasrec-hybrid")
    assert np.flatnonzero(~without_text.arrays["known"]).tolist() == [3, 5]


@pytest.mark.parametrize("kind", ["id", "hybrid", "text"])
def test_a_step_keeps_to_the_device_of_the_run(monkeypatch: pytest.MonkeyPatch, kind: ItemKind) -> None:
    """On `meta`, which every build of torch has and which refuses a tensor of the CPU as CUDA does, but computes no values."""
    no_padding = "meta_nonzero_assume_all_nonzero"  # of the histories below, so that all of them is what is real
    monkeypatch.setattr(torch.fx.experimental._config, no_padding, True, raising=False)
    data = split_by_fold(DATA).fit
    settings = recipe(items=kind, item_dropout=0.1)
    text = None if kind == "id" else torch.rand(data.items, 8, device="meta")
    model = SequenceModel(settings, items=data.items, text=text).to("meta")
    step = _Objective(settings, model, data, "meta")
    loss = step([history.select(slice(5)) for history in data.histories()], np.random.default_rng(0))
    loss.backward()  # type: ignore[no-untyped-call]
    learned = [parameter.grad for parameter in model.parameters()]
    assert {gradient.device.type for gradient in learned if gradient is not None} == {"meta"}
    assert len(learned) > 10


def test_a_file_changes_the_settings_of_the_mixer_and_a_part_keeps_them() -> None:
    changed = overridden(recipe(), {"encoder": {"mixer": {"heads": 4}}}, where="sasrec")
    assert changed.encoder.mixer == FullConfig(heads=4)
    assert mixer_config(asdict(changed)["encoder"]["mixer"]) == changed.encoder.mixer
    with pytest.raises(InvalidRequest, match=r"\[sasrec.encoder.mixer\] kind='none': Input should be 'full'"):
        overridden(recipe(), {"encoder": {"mixer": {"kind": "none"}}}, where="sasrec")
