"""A run with its inputs read: histories, playlists or the corpus of texts, whatever the model learns from."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle, load_evaluation_bundle
from recsys.data.corpus import read_corpus
from recsys.data.dataset import texts_hash
from recsys.data.playlists import Playlists, playlists, with_name_vectors
from recsys.data.signal_summary import signals_line
from recsys.encoders.cache import encode_missing
from recsys.encoders.catalogue_parts import require_text_encoder
from recsys.pace import Result
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.registry import TYPES
from recsys.store import Store
from recsys.training.bundling import BLEND, Trained, one_part_bundle, train_bundle
from recsys.training.inputs import (
    TrainingInputs,
    included_encoder,
    included_fits,
    installed_encoder,
    lists_over,
    read_inputs,
)
from recsys.training.item_text.recipe import CorpusInputs
from recsys.training.lists.blend import train_list_parts
from recsys.training.lists.encoders import EncoderInputs
from recsys.training.lists.sources import ListInputs
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import LearnsFrom, TwoStageFit
from recsys.training.recipes import RECIPES
from recsys.training.refit import refit_bundle
from recsys.training.run_key import RunKey, run_key
from recsys.training.search_weights import with_search_weights
from recsys.training.tuning import FitInputs


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """`key` has what the run depends on; `train` yields progress and ends with what was trained.

    `refit` makes the deployed bundle of the evaluation bundle; None for a part that learns from no events.
    """

    plan: Plan
    key: RunKey
    train: Callable[[Plan], Iterator[Progress | Trained]]
    refit: Callable[[Bundle, Plan], Iterator[Progress | Bundle]] | None = None


def prepare_run(
    store: Store,
    plan: Plan,
    model: str,
    *,
    include: Sequence[str] = (),
    domain: str | None = None,
    include_seen: bool | None = None,
) -> Generator[Progress, None, Run]:
    """Reads the inputs of the training of `model`; yields progress.

    Raises:
        NotReady: there are none.
        BundleError: a bundle to `include` cannot be used.
    """
    learns_from = "histories" if model == BLEND else RECIPES[model].learns_from
    match learns_from:
        case "corpus":
            return (yield from _read_corpus(store, plan, model, include, domain))
        case "playlists":
            return (yield from _read_playlists(store, plan, model))
    return (yield from _read_histories(store, plan, model, include, include_seen))


def _read_corpus(
    store: Store, plan: Plan, model: str, include: Sequence[str], domain: str | None
) -> Generator[Progress, None, Run]:
    start = load_bundle(include[0]) if domain is not None else None
    yield Progress(model, "reading the store")
    corpus = read_corpus(store, holdout=plan.protocol, table=plan.signals.table)
    inputs = CorpusInputs(corpus=corpus, start=start, domain=domain)
    key = RunKey(
        model=model,
        settings=(asdict(plan), start and require_text_encoder(start).hash, domain),
        events=(corpus.rows.tobytes().hex(), corpus.list_ids.tobytes().hex()),
        texts=texts_hash(corpus.texts, corpus.domains),
    )
    return Run(plan, key, lambda plan: one_part_bundle(model, inputs, plan))


def _read_playlists(store: Store, plan: Plan, model: str) -> Generator[Progress, None, Run]:
    settings = RECIPES[model].settings
    reads_texts = settings is not None and settings(model, plan).items != "id"
    yield Progress(model, "reading the lists of the store")
    lists, text = playlists(store, seed=plan.seed), None
    if reads_texts:
        reader = installed_encoder(plan)
        yield Progress(model, f"encoding {lists.data.items:,} item texts by {reader.name}")
        last, items = reader.exits[-1], lists.data
        encoding = encode_missing(store, reader, items.item_ids, items.texts, items.domains or None, layers=[last])
        text = (yield from _with_name(model, encoding))[last]
        plan = replace(plan, text_encoder_hash=reader.hash)
    inputs = EncoderInputs(lists=lists, text=text)
    return Run(
        plan,
        run_key(model, plan, lists.data, reads_texts=reads_texts),
        lambda plan: one_part_bundle(model, inputs, plan),
        lambda evaluation, plan: refit_bundle(evaluation, {"playlists": inputs}, plan),
    )


def _read_histories(
    store: Store, plan: Plan, model: str, include: Sequence[str], include_seen: bool | None
) -> Generator[Progress, None, Run]:
    yield Progress(model, "reading the store and encoding item texts")
    inputs = yield from _with_name(model, read_inputs(store, plan, include_seen=include_seen))
    yield Progress(model, signals_line(store.kind_counts(), inputs.plan.signals))
    yield Progress(model, _seen_rule(inputs))
    plan, lists = inputs.plan, None
    bundles = [(load_bundle(uri), load_evaluation_bundle(uri)) for uri in include]
    if model == BLEND and store.counts().playlists:
        lists = lists_over(store, inputs)
        reader = inputs.text_encoder
        yield Progress(f"{PREFIX}names", f"reading the names of {len(lists):,} lists by {reader.name}")
        lists = with_name_vectors(lists, reader.encode_documents)
    fits, encoders, deployed = dict[str, TwoStageFit](), dict[str, Part](), dict[str, Part]()
    for bundle, evaluation in bundles:
        if evaluation.default.startswith(PREFIX):
            encoders[evaluation.default] = included_encoder(evaluation, lists, inputs)
        else:
            fits |= included_fits(evaluation, inputs)
        if bundle.evaluation_uri is not None:
            deployed |= bundle.parts

    def train(plan: Plan) -> Iterator[Progress | Trained]:
        for fact in train_bundle([model], inputs.data, inputs.text, plan, default=model, included=fits):
            match fact:
                case Progress():
                    yield fact
                case Trained():
                    bundle = yield from with_search_weights(fact.bundle, inputs)
                    parts = yield from _list_parts(lists, plan, encoders)
                    bundle = replace(bundle, parts={**bundle.parts, **parts, **inputs.carried_encoder})
                    yield Trained(bundle, {} if model == BLEND else fact.selection)

    reads_texts = model == BLEND or TYPES[model].capabilities.cold_score is None
    included = [part.hash for part in (*(fit.refit for fit in fits.values()), *encoders.values())]
    key = run_key(model, plan, inputs.data, reads_texts=reads_texts, included=included, lists=lists)

    def refit(evaluation: Bundle, plan: Plan) -> Iterator[Progress | Bundle]:
        return refit_bundle(evaluation, _everything(inputs, lists), plan, deployed=deployed)

    return Run(plan, key, train, refit)


def _with_name(model: str, facts: Generator[str, None, Result]) -> Generator[Progress, None, Result]:
    """Yields `facts` as progress of `model`; returns their result."""
    try:
        while True:
            yield Progress(model, next(facts))
    except StopIteration as end:
        result: Result = end.value
        return result


def _seen_rule(inputs: TrainingInputs) -> str:
    may = "may be recommended again" if inputs.plan.include_seen else "are not recommended again"
    return f"items of the history {may}" + (f": {inputs.seen_rule}" if inputs.seen_rule else ", as was asked")


def _everything(inputs: TrainingInputs, lists: Playlists | None) -> dict[LearnsFrom, Any]:
    """What the parts of a blend learn when nothing is withheld."""
    seed, include_seen = inputs.plan.seed, inputs.plan.include_seen
    histories = FitInputs(dataset=inputs.data.speaking(), text=inputs.text, seed=seed, include_seen=include_seen)
    out: dict[LearnsFrom, Any] = {"histories": histories}
    if lists is not None:
        out["list blend"] = ListInputs(lists=lists, seed=seed, text_encoder=inputs.plan.text_encoder)
        out["playlists"] = EncoderInputs(lists=lists, text=inputs.text)
    return out


def _list_parts(
    lists: Playlists | None, plan: Plan, encoders: Mapping[str, Part]
) -> Generator[Progress, None, dict[str, Part]]:
    """The parts for lists of a blend, where the store has playlists."""
    if lists is None:
        return {}
    for fact in train_list_parts(lists, plan, encoders=encoders):
        match fact:
            case Progress():
                yield fact
            case dict():
                return fact
    raise AssertionError("the training of list parts ends with them")
