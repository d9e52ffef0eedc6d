"""The default blend on new items: what `lexical` and `imputed` add to it, and items that the training knew without events.

Parts are kept once made, each by itself, so that a row that was interrupted goes on where it was.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.dataset import Dataset
from recsys.data.history import History
from recsys.data.splits import EvalCases, split_by_fold
from recsys.encoders.base import Vectors
from recsys.errors import TrainingError
from recsys.evaluation.ranking_eval import measure
from recsys.metrics.ranking import PerCase, paired
from recsys.retrieval.serving import ServingModel, serving_model
from recsys.store import Store
from recsys.store.records import LAST_LAYER
from recsys.training.bundling import BLEND, Trained, default_parts, train_bundle
from recsys.training.inputs import TrainingInputs, load_inputs
from recsys.training.recipe_types import TwoStageFit
from recsys.training.tuning import ndcg_at_10
from tests.benchmarks.foundation_runs import PLAN, files, imported
from tests.benchmarks.harness import Row, artifact, say
from tests.benchmarks.new_items_cold import cold_cases, mean_of_vectors

NEW = ("lexical", "imputed")
ABLATION = {"lexical": ("lexical",), "imputed": ("imputed",), "lexical and imputed": NEW}
CODE = ("recsys", "models", "features")
"""What the parts are made by."""


def fusion_cold(data: Path) -> Iterator[Row]:
    """The blend with the new sources minus the one without them, on cold items."""
    seed, figures = 0, list[dict[str, PerCase]]()
    for name in ("amazon_industrial", "amazon_games"):
        inputs = _inputs(data, name)
        cold = cold_items(inputs.data, seed=seed)
        known, cases = without_events(inputs.data, cold), cold_cases(inputs.data, cold)
        figures.append(ablation(data, name, known, inputs.text, cases, made_of=("known", seed)))
    for added in ABLATION:
        pairs = [(of_set[added], of_set[""]) for of_set in figures]
        ratios = [float(with_new.mean() / without.mean()) for with_new, without in pairs]
        ratio, difference = float(np.mean(ratios)), paired(*map(np.concatenate, zip(*pairs, strict=True)))
        bound = 1.08 if added == " and ".join(NEW) else 1.0
        yield Row(
            what=f"blend with {added} / without, NDCG@10 on cold items of amazon_industrial and amazon_games",
            value={"ratio": ratio, "ratios": ratios, "difference": str(difference)},
            must=f">= {bound}, difference above chance",
            holds=ratio >= bound and difference.low > 0,
            seed=seed,
            n=sum(len(without) for _, without in pairs),
        )


def known_at_training(data: Path) -> Iterator[Row]:
    """The default blend on cold items that the training had without events, and on the same imported after it."""
    seed, name = 0, "amazon_industrial"
    inputs = _inputs(data, name)
    text, cold = inputs.text, cold_items(inputs.data, seed=seed)
    known, cases = without_events(inputs.data, cold), cold_cases(inputs.data, cold)
    parts = default_parts(include_seen=False)
    blend = fused(known, text, trained(data, name, known, text, parts, made_of=("known", seed)), parts)
    vectors = mean_of_vectors(split_by_fold(known), text)
    figures = ndcg(blend, cases, items=known.items)
    reference = ndcg_at_10(vectors, cases, items=known.items, include_seen=False)
    later = ndcg(*imported_later(data, name, known, text, cold, cases, made_of=("later", seed)), items=known.items)
    ratio, difference = float(figures.mean() / reference.mean()), paired(figures, reference)
    means = {"blend": float(figures.mean()), "vectors": float(reference.mean()), "later": float(later.mean())}
    yield Row(
        what=f"blend / mean of frozen text vectors, NDCG@10 on cold items of {name} known at training",
        value={"ratio": ratio, "difference": str(difference), **means},
        must=">= 1.1, difference above chance",
        holds=ratio >= 1.1 and difference.low > 0,
        seed=seed,
        n=len(cases),
    )
    ratio = float(figures.mean() / later.mean())
    yield Row(
        what=f"blend, cold items of {name} known at training / the same imported afterwards, NDCG@10",
        value={"ratio": ratio, "difference": str(paired(figures, later)), **means},
        must=">= 0.95",
        holds=ratio >= 0.95,
        seed=seed,
        n=len(cases),
    )


def fusion_warm(data: Path) -> Iterator[Row]:
    """The blend with the new sources minus the one without them, on the last events of users."""
    for name in ("movielens_100k", "amazon_industrial", "amazon_games"):
        inputs = _inputs(data, name)
        cases = split_by_fold(inputs.data).test
        figures = ablation(data, name, inputs.data, inputs.text, cases, made_of=("whole",))
        for added in ABLATION:
            difference = paired(figures[added], figures[""])
            yield Row(
                what=f"blend with {added} minus without, NDCG@10 on {name}",
                value={"difference": str(difference), "without": float(figures[""].mean())},
                must="no loss above chance",
                holds=difference.high >= 0,
                seed=0,
                n=len(cases),
            )


def ablation(
    data: Path, name: str, dataset: Dataset, text: Vectors, cases: EvalCases, *, made_of: tuple[Any, ...]
) -> dict[str, PerCase]:
    """NDCG@10 of each case by the default blend without any of `NEW`, under "", and with those that `ABLATION` names."""
    others = [part for part in default_parts(include_seen=False) if part not in NEW]
    fits = trained(data, name, dataset, text, [*others, *NEW], made_of=made_of)
    blends = {added: fused(dataset, text, fits, [*others, *new]) for added, new in {"": (), **ABLATION}.items()}
    return {added: ndcg(blend, cases, items=dataset.items) for added, blend in blends.items()}


def cold_items(data: Dataset, *, seed: int, share: float = 0.2) -> NDArray[np.bool_]:
    """(items,): those that are held out."""
    return np.random.default_rng(seed).random(data.items) < share


def without_events(data: Dataset, cold: NDArray[np.bool_]) -> Dataset:
    """The same catalogue, in which the cold items have texts and no events."""
    return data.keep(~cold[data.rows])


def imported_later(
    data: Path,
    name: str,
    known: Dataset,
    text: Vectors,
    cold: NDArray[np.bool_],
    cases: EvalCases,
    *,
    made_of: tuple[Any, ...],
) -> tuple[ServingModel, EvalCases]:
    """The default blend trained without the cold items, which are then written at the end, and the cases over these rows."""
    warm, later = np.flatnonzero(~cold), np.flatnonzero(cold)
    row = np.argsort(np.concatenate([warm, later]))
    small = replace(
        known,
        item_ids=tuple(known.item_ids[i] for i in warm),
        texts=tuple(known.texts[i] for i in warm),
        domains=tuple(known.domains[i] for i in warm) if known.domains else (),
        rows=row[known.rows],
    )
    parts = default_parts(include_seen=False)
    blend = fused(small, text[warm], trained(data, name, small, text[warm], parts, made_of=made_of), parts)
    blend = blend.with_items(row[later], {LAST_LAYER: text[later]})
    blend = blend.with_texts(row[later], [known.texts[i] for i in later])
    histories = tuple(_renumbered(history, row) for history in cases.histories)
    return blend, replace(cases, histories=histories, targets=row[cases.targets])


def trained(
    data: Path, name: str, dataset: Dataset, text: Vectors, parts: Sequence[str], *, made_of: tuple[Any, ...]
) -> dict[str, TwoStageFit]:
    """The parts, apart from those that the data do not allow."""
    fits = dict[str, TwoStageFit]()
    for part in parts:
        folder = artifact("new-items", name, part, *made_of, files=files(data, name), code=CODE)
        try:
            fits[part] = _trained(folder, part, dataset, text)
        except TrainingError as error:
            say(f"{part} of {name}: left out: {error}")
    return fits


def _trained(folder: Path, part: str, dataset: Dataset, text: Vectors) -> TwoStageFit:
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        started = time.monotonic()
        facts = train_bundle([part], dataset, text, PLAN, default=part)
        fit = next(fact for fact in facts if isinstance(fact, Trained))
        uri = save_bundle(fit.bundle, str(folder), name="whole.partial")
        save_bundle(replace(fit.bundle, parts=fit.selection), uri, name="selection")
        Path(uri).rename(folder / "whole")
        say(f"{folder.name}: {part}, {time.monotonic() - started:.0f} s")
    uri = str(folder / "whole")
    return TwoStageFit(load_bundle(f"{uri}/selection").part(part), load_bundle(uri).part(part))


def fused(dataset: Dataset, text: Vectors, fits: dict[str, TwoStageFit], parts: Sequence[str]) -> ServingModel:
    """The blend of those of `parts` that there are."""
    included = {part: fits[part] for part in parts if part in fits}
    facts = train_bundle([], dataset, text, PLAN, default=BLEND, included=included)
    bundle = next(fact for fact in facts if isinstance(fact, Trained)).bundle
    say(f"blend of {', '.join(bundle.part(BLEND).config['sources'])}; left out: {bundle.about['left_out']}")
    return serving_model(bundle)


def ndcg(model: ServingModel, cases: EvalCases, *, items: int) -> PerCase:
    """NDCG@10 of each case by the blend, among the whole catalogue."""
    (metrics,) = measure(model, cases, items=items, include_seen=False, names=[BLEND])
    return metrics.case_ndcg


def _renumbered(history: History, row: NDArray[np.int64]) -> History:
    return replace(history, rows=row[history.rows], rejected=row[history.rejected])


def _inputs(data: Path, name: str) -> TrainingInputs:
    store = Store.open(imported(data, name))
    inputs = load_inputs(store, PLAN)
    store.close()
    return inputs


BENCHES = {"fusion-cold": fusion_cold, "known-at-training": known_at_training, "fusion-warm": fusion_warm}
