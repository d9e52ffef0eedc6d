"""Settings that somebody else wrote into a bundle, of every type of part: refused, or answered with finite numbers, soon."""

import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsys.bundle import Bundle, Part
from recsys.errors import BundleError
from recsys.ranking.trial import check_answers
from recsys.retrieval.fusion import FUSION
from recsys.retrieval.lists.continuation import LIST_FUSION, SizeConditionedFusion
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import list_serving_model
from recsys.retrieval.registry import TYPES
from recsys.retrieval.serving import serving_model
from recsys.training.lists.sources import ListInputs
from recsys.training.plan import Plan
from recsys.training.recipes import RECIPES
from tests.encoders.test_catalogue import random_part
from tests.retrieval.kinds import SINGLE, blended, fitted
from tests.retrieval.lists.worlds import playlists
from tests.retrieval.worlds import world
from tests.training.lists.worlds import dataset, trained

HUGE = 10**18
ODD: tuple[object, ...] = (
    HUGE,
    -HUGE,
    10**9,
    100_000,
    0,
    -1,
    1e308,
    -1e308,
    0.5,
    float("nan"),
    float("inf"),
    "x",
    None,
    [],
    [1],
    True,
)
SECONDS = 2.0
Path = tuple[str | int, ...]


def planted_bundles() -> dict[str, Bundle]:
    """For each type of part, and each of fusion, a bundle with one."""
    items, lists = world(), playlists()
    plan = Plan(text_encoder="hashed", include_seen=False, seed=0, epochs=1, overrides={})
    sources = {kind: fitted(kind, items, epochs=1) for kind in SINGLE}
    parts = {kind: source.part(kind) for kind, source in sources.items()}
    parts |= {"item-text": random_part(), FUSION: blended(sources).fusion.part(FUSION)}
    of_items = Bundle(parts=parts, default=FUSION, item_ids=items.dataset.item_ids, about={})
    bundles = dict.fromkeys(parts, of_items)
    inputs, of_lists = ListInputs(lists=lists, seed=0, validation=lists), dict[str, Part]()
    for kind, recipe in RECIPES.items():
        if recipe.learns_from == "list blend":
            *_, part = recipe.train(f"{PREFIX}{kind}", inputs, plan)
            assert isinstance(part, Part)
            of_lists[part.name] = part
    names = tuple(
        name.removeprefix(PREFIX) for name, part in of_lists.items() if not TYPES[part.kind].capabilities.encodes_lists
    )
    fusion = SizeConditionedFusion(names, (0, 2), np.ones((2, 2, 3 * len(names)), dtype=np.float32), 100, {})
    of_lists |= {f"{PREFIX}continue": fusion.part(f"{PREFIX}continue")}
    blend = Bundle(parts=of_lists, default=f"{PREFIX}continue", item_ids=lists.data.item_ids, about={})
    bundles |= dict.fromkeys((part.kind for part in of_lists.values()), blend)
    for kind in ("playlist-seq2seq", "set"):
        part = trained(kind, epochs=1).part(f"{PREFIX}{kind}")
        bundles[kind] = Bundle(parts={part.name: part}, default=part.name, item_ids=dataset().item_ids, about={})
    return bundles


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    return planted_bundles()


def places(settings: Any, path: Path = ()) -> Iterator[Path]:
    """Where `settings` hold a number or nothing, at any depth."""
    match settings:
        case dict():
            for key, value in settings.items():
                yield from places(value, (*path, key))
        case list() | tuple():
            for number, value in enumerate(settings):
                yield from places(value, (*path, number))
        case int() | float() | None:
            yield path


def changed(bundle: Bundle, part: Part, path: Path, value: object) -> Bundle:
    """The bundle whose `part` has another `value` at `path` of its settings."""
    config = deepcopy(part.config)
    table: Any = config
    for key in path[:-1]:
        table[key] = list(table[key]) if isinstance(table[key], tuple) else table[key]
        table = table[key]
    table[path[-1]] = value
    return replace(bundle, parts={**bundle.parts, part.name: replace(part, config=config)})


def without_others(bundle: Bundle, part: Part) -> Bundle:
    """The bundle with `part` and what it is built on."""
    if part.kind in (FUSION, LIST_FUSION):
        return bundle
    needed = {part.kind, *TYPES[part.kind].capabilities.needs}
    return replace(bundle, parts={name: other for name, other in bundle.parts.items() if other.kind in needed})


def refusal(bundle: Bundle) -> str | None:
    """Why the bundle is refused; None where all of its parts answer with numbers."""
    try:
        check_answers(serving_model(bundle), list_serving_model(bundle), size=len(bundle.item_ids))
    except BundleError as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*TYPES, FUSION, LIST_FUSION])
def test_an_odd_setting_is_refused_or_answers_in_time(bundles: dict[str, Bundle], kind: str) -> None:
    part = next(part for part in bundles[kind].parts.values() if part.kind == kind)
    bundle = without_others(bundles[kind], part)
    assert refusal(bundle) is None
    slow, loose = [], []
    for path in places(part.config):
        for value in ODD:
            start = time.process_time()
            said = refusal(changed(bundle, part, path, value))
            slow += [(path, value)] if time.process_time() - start > SECONDS else []
            loose += [(path, value, said)] if said and ("\n" in said or len(said) > 1000) else []
    assert not slow
    assert not loose


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("ease", ("decay",), -1e308, "must lie between 0 and 1"),
        ("ease", ("window",), 0, "must be at least 1"),
        ("markov", ("fit", "markov", "decay"), 2, "must lie between 0 and 1"),
        ("personal", ("cases",), 0, "must be at least 1"),
        ("als", ("alpha",), 1e308, "must lie between 0 and"),
        ("text", ("window",), -1, "must be at least 1"),
        ("list-neighbours", ("power",), 1e308, "must lie between 0 and 10"),
        ("sasrec", ("recipe", "encoder", "layers"), 100_000, "must be at most 256"),
        ("sasrec", ("recipe", "encoder", "dim"), HUGE, "fit its settings"),
        ("sasrec", ("recipe", "temperature"), 0, "must lie between 0.001"),
        ("set", ("recipe", "temperature"), 0, "must lie between 0.001"),
        ("set", ("recipe", "encoder", "dim"), 10**9, "fit its settings"),
        ("playlist-seq2seq", ("recipe", "encoder", "layers"), 100_000, "must be at most 256"),
        ("playlist-seq2seq", ("recipe", "encoder", "nearness"), 10**9, "must be at most 256"),
        ("item-text", ("encoder", "layers"), 100_000, "must be at most 256"),
        ("item-text", ("encoder", "experts"), 10**9, "domains for 1000000000 experts"),
        ("item-text", ("encoder", "expansion"), 10**9, "do not have the same"),
        (FUSION, ("depth",), 10**9, "a depth from 1 to 10,000"),
        (LIST_FUSION, ("depth",), 10**9, "a depth from 1 to 10,000"),
    ],
)
def test_hostile_settings_are_said(
    bundles: dict[str, Bundle], kind: str, path: Path, value: object, message: str
) -> None:
    part = next(part for part in bundles[kind].parts.values() if part.kind == kind)
    assert message in str(refusal(changed(without_others(bundles[kind], part), part, path, value)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [FUSION, LIST_FUSION])
def test_a_blend_that_names_one_part_nine_times_is_refused(bundles: dict[str, Bundle], kind: str) -> None:
    part = next(part for part in bundles[kind].parts.values() if part.kind == kind)
    width = (*part.arrays["weights"].shape[:-1], 27)
    nine = replace(
        part,
        config=part.config | {"sources": [part.config["sources"][0]] * 9},
        arrays={"weights": np.ones(width, dtype=np.float32)},
    )
    bundle = replace(bundles[kind], parts={**bundles[kind].parts, part.name: nine})
    assert "distinct sources" in str(refusal(bundle))
