"""Protocol `playlist-probes`: probes the list encoders of a bundle on the store's lists."""

from collections.abc import Iterator

from features.splits import TEST
from recsys.bundle import Bundle
from recsys.bundle_io import load_evaluation_bundle
from recsys.data.playlists import Playlists, playlists
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.evaluation.probe_classifiers import SEEDS, Probed, probe_all
from recsys.evaluation.probes import category_attribute
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.mean import MEAN, WEIGHTED, fit_mean
from recsys.retrieval.lists.serving import list_encoders
from recsys.store import Store


def probe_bundle(
    store: Store, *, uri: str | None, category: str | None = None, seeds: tuple[int, ...] = SEEDS
) -> Iterator[str | Probed]:
    """Yields a line about the lists, then the results of each list encoder and of means of the same item vectors.

    `category` names the item attribute that gives a list its category (default: `category_attribute`).

    Raises:
        NotReady: no bundle is active, or there are no lists, or too few for any question.
        BundleError: the bundle has no list encoder, has learned every list, or was trained on other items.
        InvalidRequest: an attribute that the items do not have.
    """
    record = store.active_bundle()
    if uri is None and record is None:
        raise NotReady("no active bundle: run `recsys train playlist-seq2seq`, then give its URI with --bundle")
    bundle = load_evaluation_bundle(uri or (record.uri if record else ""))
    encoders = list_encoders(bundle)
    if not encoders:
        raise BundleError(f"{bundle.uri} has no list encoder: run `recsys train playlist-seq2seq` and give its URI")
    lists = _lists(store, bundle)
    attribute = category or category_attribute(lists)
    if category and not any(category in row for row in lists.attributes):
        raise InvalidRequest(f"no item has an attribute {category!r}: import one, or leave --category out")
    yield f"{len(lists):,} lists, {int((lists.folds == TEST).sum()):,} of them tested; category: {attribute or 'none'}"
    is_empty = True
    for row in probe_all(_with_means(encoders, lists), lists, attribute=attribute, seeds=seeds):
        is_empty = False
        yield row
    if is_empty:
        raise NotReady(f"{len(lists):,} lists are too few for any question: import more")


def _with_means(encoders: dict[str, ListEncoder], lists: Playlists) -> dict[str, ListEncoder]:
    """The encoders, and means of the item vectors of the first encoder that has any."""
    vectors = next((v for encoder in encoders.values() if (v := encoder.item_vectors) is not None), None)
    if vectors is None:
        return encoders
    fit = lists.only(lists.folds == 0).data
    means = {"mean": MEAN, "weighted": WEIGHTED}
    fitted = {name: fit_mean(fit, vectors, config, name=name) for name, config in means.items() if name not in encoders}
    return {**encoders, **fitted}


def _lists(store: Store, bundle: Bundle) -> Playlists:
    lists = playlists(store, seed=bundle.about.get("seed", 0))
    if lists.data.item_ids[: len(bundle.item_ids)] != bundle.item_ids:
        raise BundleError(f"{bundle.uri} was trained over other items than the store holds now: train again")
    return lists
