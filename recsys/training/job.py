"""From the store to a saved bundle: what `recsys train` and `recsys quickstart` run."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from features.splits import TEST, VALIDATION
from models.zoo import LIST_MODELS
from recsys.bundle import Bundle, Part
from recsys.bundle_io import check_free, load_bundle, read_manifest, save_bundle
from recsys.data.build import dataset
from recsys.data.corpus import read_corpus
from recsys.data.dataset import Dataset
from recsys.data.playlists import Playlists, playlists, with_names_read
from recsys.encoders.base import TextEncoder, Vectors
from recsys.encoders.cache import stored_vectors
from recsys.encoders.catalogue import KIND, CatalogueTextEncoder, require_text_encoder
from recsys.encoders.resolve import has_weights, text_encoder
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.registry import restore
from recsys.retrieval.text import TextAware
from recsys.store import Store
from recsys.training.item_text.config import NAME as ITEM_TEXT
from recsys.training.item_text.figures import item_text_bundle, new_domain_bundle
from recsys.training.lists.encoders import list_bundle, list_recipe, run_name
from recsys.training.lists.sources import train_list_parts
from recsys.training.recipes import BLEND, Fits, Plan, Progress, Trained, check_known, train_bundle

EARLY = "early"
"""Folder inside a one-part bundle with the part as it was before it saw validation."""

OFTEN = 0.2
"""From this share of repeated events on, items of the history may come back in answers."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where the bundle lies, and what it holds."""

    uri: str
    bundle: Bundle


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a run learns from, and the plan that the data decide."""

    data: Dataset
    text: Vectors
    plan: Plan
    reader: TextEncoder
    encoder: Mapping[str, Part] = field(default_factory=dict)
    """A trained text encoder, which goes into every bundle that stands on it."""


def material(store: Store, plan: Plan, *, encoder: Part | None = None) -> Material:
    """The data set of the store under `plan.protocol` with its text vectors; `include_seen` follows the data.

    The texts are read by `encoder` where a bundle carries one, else by the one that the plan names.

    Raises:
        NotReady: there are no events, or too few in each history.
        ConfigError: the text encoder cannot be loaded.
    """
    data = dataset(store, holdout=plan.protocol)
    if not (data.folds == VALIDATION).any() or not (data.folds == TEST).any():
        raise NotReady(f"no events to choose settings on under {plan.protocol}: import histories of 3 or more events")
    reader = CatalogueTextEncoder.from_part(encoder, device=plan.device) if encoder else _named(plan)
    text = stored_vectors(store, reader, data.item_ids, data.texts, data.domains or None)
    seen = store.repeat_share() >= OFTEN
    part = {reader.name: reader.part(reader.name)} if isinstance(reader, CatalogueTextEncoder) else {}
    return Material(data, text, replace(plan, text_encoder_hash=reader.hash, include_seen=seen), reader, part)


def train_from_store(
    store: Store,
    plan: Plan,
    *,
    model: str,
    folder: str,
    name: str | None = None,
    given: Sequence[str] = (),
    domain: str | None = None,
    checkpoints: Path,
    resume: bool = False,
) -> Generator[Progress | Saved, None, None]:
    """Trains `model` (a part, or `blend` with the parts of the bundles `given`) and saves it as `folder`/`name`.

    With `domain` the text encoder of the one bundle `given` gets an expert for it, and nothing else of it changes.

    An interrupted run leaves its checkpoints, and `resume` goes on from them to the same result; a finished one removes them.

    Raises:
        NotReady: there are no events.
        InvalidRequest: there is no such model.
        BundleError: a given bundle cannot be used, or the new one cannot be written.
    """
    if domain is not None and (model != ITEM_TEXT or len(given) != 1):
        raise InvalidRequest(f"a domain is added to the encoder of one bundle: `recsys train {ITEM_TEXT} --with URI`")
    check_known([] if model in ("blend", ITEM_TEXT, *LIST_MODELS) else [model], settings=plan.overrides)
    if name is not None:
        check_free(folder, name)  # both before what takes long
    if model == ITEM_TEXT:
        start = load_bundle(given[0]) if domain is not None else None
        yield from _text_encoder(
            store, plan, start, domain, folder=folder, name=name, checkpoints=checkpoints, resume=resume
        )
        return
    if model in LIST_MODELS:
        yield from _list_encoder(
            store, plan, model=model, folder=folder, name=name, checkpoints=checkpoints, resume=resume
        )
        return
    yield Progress(model, "reading the store and encoding item texts")
    work = material(store, plan)
    place = checkpoints / _run_hash(work)
    yield from _start_over(model, place, resume=resume)
    running = replace(work.plan, checkpoints=place, resume=resume)
    bundles = {uri: load_bundle(uri) for uri in given}
    of_lists = [uri for uri, bundle in bundles.items() if bundle.default.startswith(PREFIX)]
    held = _lists_over(store, work) if model == "blend" and store.counts().playlists else None
    encoders = {part.name: part for uri in of_lists for part in [_list_encoder_of(bundles[uri], held, work)]}
    fits = {part: fit for uri in given if uri not in of_lists for part, fit in _given(uri, work).items()}
    names = tuple(dict.fromkeys((*BLEND, *fits))) if model == "blend" else (model,)
    for fact in train_bundle(names, work.data, work.text, running, default=model, given=fits):
        match fact:
            case Progress():
                yield fact
            case Trained():
                found = fact.bundle
                if held:
                    yield Progress(f"{PREFIX}names", f"reading the names of {len(held):,} lists by {work.reader.name}")
                    for told in train_list_parts(with_names_read(held, work.reader.encode), work.plan, given=encoders):
                        match told:
                            case Progress():
                                yield told
                            case dict():
                                found = replace(found, parts={**found.parts, **told})
                bundle = replace(found, parts={**found.parts, **work.encoder})
                uri = save_bundle(bundle, folder, name=name)
                if model != "blend":
                    save_bundle(replace(fact.bundle, parts=fact.early), uri, name=EARLY)
                store.add_bundle(uri, read_manifest(uri))
                shutil.rmtree(place, ignore_errors=True)
                yield Saved(uri, bundle)


def _text_encoder(
    store: Store,
    plan: Plan,
    start: Bundle | None,
    domain: str | None,
    *,
    folder: str,
    name: str | None,
    checkpoints: Path,
    resume: bool,
) -> Generator[Progress | Saved, None, None]:
    yield Progress(ITEM_TEXT, "reading the store")
    found = read_corpus(store, holdout="none" if plan.deploy else plan.protocol)
    asked = asdict(plan) | {"texts": found.texts, "domains": found.domains}
    asked |= {"rows": found.rows.tobytes().hex(), "owners": found.owners.tobytes().hex()}
    if start is not None and domain is not None:
        place = checkpoints / _hash(asked | {"start": require_text_encoder(start).hash, "domain": domain})
        facts = new_domain_bundle(replace(plan, checkpoints=place, resume=resume), found, start, domain=domain)
    else:
        place = checkpoints / _hash(asked)
        facts = item_text_bundle(replace(plan, checkpoints=place, resume=resume), found)
    yield from _start_over(ITEM_TEXT, place, resume=resume)
    for fact in facts:
        match fact:
            case Progress():
                yield fact
            case Bundle():
                uri = save_bundle(fact, folder, name=name)
                store.add_bundle(uri, read_manifest(uri))
                shutil.rmtree(place, ignore_errors=True)
                yield Saved(uri, fact)


def _list_encoder(
    store: Store, plan: Plan, *, model: str, folder: str, name: str | None, checkpoints: Path, resume: bool
) -> Generator[Progress | Saved, None, None]:
    yield Progress(model, "reading the lists of the store")
    found, text = playlists(store, seed=plan.seed, withheld=not plan.deploy), None
    if list_recipe(model, plan).items != "id":
        reader = _named(plan)
        yield Progress(model, f"encoding {found.data.items:,} item texts by {reader.name}")
        text = stored_vectors(store, reader, found.data.item_ids, found.data.texts, found.data.domains or None)
        plan = replace(plan, text_encoder_hash=reader.hash)
    place = checkpoints / run_name(found, plan, model)
    yield from _start_over(model, place, resume=resume)
    for fact in list_bundle(model, found, text, replace(plan, checkpoints=place, resume=resume)):
        match fact:
            case Progress():
                yield fact
            case Bundle():
                uri = save_bundle(fact, folder, name=name or f"{model}-{uuid.uuid4().hex[:10]}")
                store.add_bundle(uri, read_manifest(uri))
                shutil.rmtree(place, ignore_errors=True)
                yield Saved(uri, fact)


def _start_over(model: str, place: Path, *, resume: bool) -> Iterator[Progress]:
    """Says so where a run is to be resumed of which nothing is kept."""
    if resume and not any(place.rglob("*.ckpt")):
        told = "holds no checkpoint of this run (its settings or data may have changed): from the start"
        yield Progress(model, f"{place.parent} {told}")


def _named(plan: Plan) -> TextEncoder:
    return text_encoder(plan.text_encoder, device=plan.device)


def _lists_over(store: Store, work: Material) -> Playlists:
    """The playlists of the store over the catalogue of this run."""
    found = playlists(store, seed=work.plan.seed)
    if found.data.item_ids != work.data.item_ids:
        raise BundleError("items were written while the run went on: train again")
    return found


def _list_encoder_of(bundle: Bundle, held: Playlists | None, work: Material) -> Part:
    """The list encoder of a one-part bundle, which has learned the catalogue and the lists of this run, without those that
    this run withholds.

    Raises:
        BundleError: it has not.
    """
    uri, about = bundle.uri, bundle.about
    if held is None:
        raise BundleError(f"{uri} encodes lists, and this run has none: import playlists and train `blend`")
    if about["deploy"]:
        raise BundleError(f"{uri} has learned every list, and none is left to weigh it with: train it without --deploy")
    if about["seed"] != work.plan.seed:
        raise BundleError(f"{uri} withheld the lists of seed {about['seed']}, not {work.plan.seed}: choose one seed")
    if about["data"]["hash"] != held.data.hash:
        raise BundleError(f"{uri} was trained on other lists or items than the store holds now: train it again")
    part = bundle.part(bundle.default)
    if part.config["recipe"]["text_encoder"] and not has_weights(work.reader, about["text_encoder_hash"]):
        raise BundleError(
            f"{uri} stands on another text encoder than this run: train it again, or set RECSYS_TEXT_ENCODER"
        )
    return part


def _given(uri: str, work: Material) -> dict[str, Fits]:
    final = load_bundle(uri)
    if all(part.kind == KIND for part in final.parts.values()):
        raise BundleError(
            f"{uri} holds a text encoder alone, not a part to blend: set RECSYS_TEXT_ENCODER={uri} and leave `--with` out"
        )
    early = load_bundle(f"{uri.rstrip('/')}/{EARLY}")
    if final.about["data"]["hash"] != work.data.hash:
        raise BundleError(f"{uri} was trained on other events than the store holds now: train it again")
    parts = {name: part for name, part in final.parts.items() if part.kind != KIND}
    if any(map(_reads, parts.values())) and not has_weights(work.reader, final.about["text_encoder_hash"]):
        raise BundleError(
            f"{uri} stands on another text encoder than this run: train it again, or set RECSYS_TEXT_ENCODER"
        )
    return {name: Fits(early.part(name), part) for name, part in parts.items()}


def _reads(part: Part) -> bool:
    """Whether it takes in text vectors."""
    source = restore(part)
    return isinstance(source, TextAware) and bool(source.text_encoder)


def _run_hash(work: Material) -> str:
    """Names the run: the same data and settings continue each other's checkpoints."""
    return _hash(asdict(work.plan) | {"data": work.data.hash})


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
