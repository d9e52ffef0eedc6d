"""The one training job: read the inputs, run the recipe of the part, save the bundle, register it, clean up."""

import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from recsys.bundle import Bundle, Part
from recsys.bundle_io import check_free, load_bundle, read_manifest, save_bundle
from recsys.data.corpus import read_corpus
from recsys.data.dataset import texts_hash
from recsys.data.playlists import Playlists, playlists, with_name_vectors
from recsys.encoders.cache import stored_vectors
from recsys.encoders.catalogue_parts import KIND as ITEM_TEXT
from recsys.encoders.catalogue_parts import require_text_encoder
from recsys.errors import InvalidRequest
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.registry import TYPES
from recsys.store import Store
from recsys.training.bundling import BLEND, Trained, check_known, one_part_bundle, train_bundle
from recsys.training.inputs import (
    PRE_VALIDATION,
    TrainingInputs,
    included_encoder,
    included_fits,
    installed_encoder,
    lists_over,
    load_inputs,
)
from recsys.training.item_text.recipe import CorpusInputs
from recsys.training.lists.blend import train_list_parts
from recsys.training.lists.encoders import EncoderInputs
from recsys.training.plan import Plan, Progress
from recsys.training.recipes import RECIPES
from recsys.training.run_key import RunKey, run_key


@dataclass(frozen=True, slots=True)
class Saved:
    """Where the bundle lies, and what it holds."""

    uri: str
    bundle: Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """What to train: `model` is a part, or `blend`, which takes in the parts of the bundles `include`.

    With `domain` the text encoder of the one bundle in `include` gets an expert for it, and nothing else of it changes. The
    bundle is saved as `folder`/`name`; `checkpoints` is the folder for runs that were interrupted. `include_seen=None` follows
    the data.
    """

    model: str
    folder: str
    checkpoints: Path
    name: str | None = None
    include: tuple[str, ...] = ()
    domain: str | None = None
    include_seen: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A run with its inputs read: `key` has what it depends on, `train` yields progress and ends with what was trained."""

    plan: Plan
    key: RunKey
    train: Callable[[Plan], Iterator[Progress | Trained]]


def train_from_store(
    store: Store, plan: Plan, request: TrainingRequest, *, resume: bool = False
) -> Generator[Progress | Saved, None, None]:
    """Trains what `request` asks for on the data of the store.

    An interrupted run leaves its checkpoints, and `resume` goes on from them to the same result; a finished one removes them.

    Raises:
        NotReady: there are no events.
        InvalidRequest: there is no such model.
        BundleError: an included bundle cannot be used, or the new one cannot be written.
    """
    _check(plan, request)
    prepared = yield from _prepare(store, plan, request)
    checkpoints = request.checkpoints / prepared.key.folder
    yield from _warn_without_checkpoint(prepared.key, request.checkpoints, resume=resume)
    for fact in prepared.train(replace(prepared.plan, checkpoints=checkpoints, resume=resume)):
        match fact:
            case Progress():
                yield fact
            case Trained():
                uri = save_bundle(fact.bundle, request.folder, name=request.name)
                if fact.selection:
                    save_bundle(replace(fact.bundle, parts=fact.selection), uri, name=PRE_VALIDATION)
                store.add_bundle(uri, read_manifest(uri))
                shutil.rmtree(checkpoints, ignore_errors=True)
                yield Saved(uri, fact.bundle)


def _check(plan: Plan, request: TrainingRequest) -> None:
    """Before anything is read: what is asked for exists, and there is room for it."""
    if request.domain is not None and (request.model != ITEM_TEXT or len(request.include) != 1):
        raise InvalidRequest(f"a domain is added to the encoder of one bundle: `recsys train {ITEM_TEXT} --with URI`")
    check_known([] if request.model == BLEND else [request.model], settings=plan.overrides)
    if request.name is not None:
        check_free(request.folder, request.name)


def _prepare(store: Store, plan: Plan, request: TrainingRequest) -> Generator[Progress, None, _Prepared]:
    learns_from = "histories" if request.model == BLEND else RECIPES[request.model].learns_from
    readers = {"histories": _read_histories, "playlists": _read_playlists, "corpus": _read_corpus}
    return (yield from readers[learns_from](store, plan, request))


def _read_corpus(store: Store, plan: Plan, request: TrainingRequest) -> Generator[Progress, None, _Prepared]:
    start = load_bundle(request.include[0]) if request.domain is not None else None
    yield Progress(request.model, "reading the store")
    corpus = read_corpus(store, holdout="none" if plan.deploy else plan.protocol)
    inputs = CorpusInputs(corpus=corpus, start=start, domain=request.domain)
    key = RunKey(
        model=request.model,
        settings=(asdict(plan), start and require_text_encoder(start).hash, request.domain),
        events=(corpus.rows.tobytes().hex(), corpus.list_ids.tobytes().hex()),
        texts=texts_hash(corpus.texts, corpus.domains),
    )
    return _Prepared(plan, key, lambda plan: one_part_bundle(request.model, inputs, plan))


def _read_playlists(store: Store, plan: Plan, request: TrainingRequest) -> Generator[Progress, None, _Prepared]:
    settings = RECIPES[request.model].settings
    reads_texts = settings is not None and settings(request.model, plan).items != "id"
    yield Progress(request.model, "reading the lists of the store")
    lists, text = playlists(store, seed=plan.seed, withheld=not plan.deploy), None
    if reads_texts:
        reader = installed_encoder(plan)
        yield Progress(request.model, f"encoding {lists.data.items:,} item texts by {reader.name}")
        text = stored_vectors(store, reader, lists.data.item_ids, lists.data.texts, lists.data.domains or None)
        plan = replace(plan, text_encoder_hash=reader.hash)
    inputs = EncoderInputs(lists=lists, text=text)
    key = run_key(request.model, plan, lists.data, reads_texts=reads_texts)
    return _Prepared(plan, key, lambda plan: one_part_bundle(request.model, inputs, plan))


def _read_histories(store: Store, plan: Plan, request: TrainingRequest) -> Generator[Progress, None, _Prepared]:
    model = request.model
    yield Progress(model, "reading the store and encoding item texts")
    inputs = load_inputs(store, plan, include_seen=request.include_seen)
    yield Progress(model, _seen_rule(inputs))
    bundles = [load_bundle(uri) for uri in request.include]
    list_bundles = [bundle for bundle in bundles if bundle.default.startswith(PREFIX)]
    lists = lists_over(store, inputs) if model == BLEND and store.counts().playlists else None
    encoders = {part.name: part for bundle in list_bundles for part in [included_encoder(bundle, lists, inputs)]}
    included = {
        name: fit
        for bundle in bundles
        if bundle not in list_bundles
        for name, fit in included_fits(bundle, inputs).items()
    }

    def train(plan: Plan) -> Iterator[Progress | Trained]:
        for fact in train_bundle([model], inputs.data, inputs.text, plan, default=model, included=included):
            match fact:
                case Progress():
                    yield fact
                case Trained():
                    parts = yield from _list_parts(lists, inputs, plan, encoders)
                    bundle = replace(fact.bundle, parts={**fact.bundle.parts, **parts, **inputs.carried_encoder})
                    yield Trained(bundle, {} if model == BLEND else fact.selection)

    reads_texts = model == BLEND or TYPES[model].capabilities.cold_score is None
    return _Prepared(inputs.plan, run_key(model, inputs.plan, inputs.data, reads_texts=reads_texts), train)


def _seen_rule(inputs: TrainingInputs) -> str:
    may = "may be recommended again" if inputs.plan.include_seen else "are not recommended again"
    return f"items of the history {may}" + (f": {inputs.seen_rule}" if inputs.seen_rule else ", as was asked")


def _list_parts(
    lists: Playlists | None, inputs: TrainingInputs, plan: Plan, encoders: Mapping[str, Part]
) -> Generator[Progress, None, dict[str, Part]]:
    """The parts for lists of a blend, where the store has playlists."""
    if lists is None:
        return {}
    reader = inputs.text_encoder
    yield Progress(f"{PREFIX}names", f"reading the names of {len(lists):,} lists by {reader.name}")
    for fact in train_list_parts(with_name_vectors(lists, reader.encode_documents), plan, encoders=encoders):
        match fact:
            case Progress():
                yield fact
            case dict():
                return fact
    raise AssertionError("the training of list parts ends with them")


def _warn_without_checkpoint(key: RunKey, checkpoints: Path, *, resume: bool) -> Iterator[Progress]:
    """Says that a run to be resumed starts over, and why, where it has no checkpoint."""
    if resume and not any((checkpoints / key.folder).rglob("*.ckpt")):
        changes = " and ".join(key.changes(checkpoints)) or "its settings or data may have changed"
        yield Progress(key.model, f"{checkpoints} holds no checkpoint of this run ({changes}): from the start")
