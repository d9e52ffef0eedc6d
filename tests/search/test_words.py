"""Words beside meaning: typing errors are forgiven, what is written counts at once, and each answer says what found it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle_io import load_bundle, save_bundle
from recsys.errors import BundleError
from recsys.retrieval.text_search import TextSearch
from recsys.service import Answer, Options, Recommender
from recsys.service.state import live
from recsys.store import Store
from recsys.store.records import ItemDraft
from tests.search.sizes import said
from tests.worlds import Planted


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]


@pytest.mark.parametrize("query", ["acoustic lute", "acustic lute", "acoustic ltue", "ACOUSTIC lutte", "lute acoustic"])
def test_a_misspelt_title_is_found_first(recommender: Recommender, query: str) -> None:
    answer = recommender.search_text(query, options=Options(k=5))
    best = answer.items[0]
    assert (answer.encoder, best.item_id, best.source) == ("search", "lute", "lexical")
    assert best.sources == ("lexical", "item-text")
    assert not answer.degraded


def test_words_that_no_item_has_are_found_by_meaning_alone(recommender: Recommender) -> None:
    answer = recommender.search_text("zzqx", options=Options(k=3))
    assert [item.sources for item in answer.items] == [("item-text",)] * 3
    by_meaning = recommender.search_text("zzqx", options=Options(k=3, encoder="item-text"))
    assert ids(answer) == ids(by_meaning)


def test_words_alone_may_be_asked(recommender: Recommender) -> None:
    answer = recommender.search_text("acoustc lute", options=Options(k=1, encoder="lexical"))
    assert [(item.item_id, item.sources) for item in answer.items] == [("lute", ("lexical",))]
    assert recommender.search_text("zzqx", options=Options(encoder="lexical")).items == ()


def test_an_item_counts_with_its_new_changed_and_emptied_words(recommender: Recommender) -> None:
    def first(query: str) -> str | None:
        return next(iter(ids(recommender.search_text(query, options=Options(encoder="lexical")))), None)

    assert first("zither") != "new"
    recommender.put_items([ItemDraft(item_id="new", title="Zither", attributes={"maker": "Xaver Quux"})])
    assert first("zither") == first("quux") == "new"
    recommender.put_items([ItemDraft(item_id="new", title="Ocarina")])
    assert first("ocarina") == "new"
    assert first("quux") is None
    recommender.put_items([ItemDraft(item_id="new", title=None)])
    assert first("ocarina") != "new"
    recommender.put_items([ItemDraft(item_id="new", title="Ocarina")])
    assert first("ocarina") == "new"
    recommender.delete_item("new")
    assert first("ocarina") != "new"


def test_options_hold_for_words(recommender: Recommender) -> None:
    def found(**options: object) -> list[str]:
        return ids(recommender.search_text("lute", options=Options(encoder="lexical", **options)))  # type: ignore[arg-type]

    recommender.put_items([ItemDraft(item_id="flute", title="flute", domain="music")])
    assert found() == ["lute", "flute"]
    assert found(exclude=("lute",)) == ["flute"]
    assert found(allow=("flute", "hammer")) == ["flute"]
    recommender.set_availability({"lute": False})
    assert found() == ["flute"]
    options = Options(encoder="lexical")
    assert ids(recommender.search_text("flute", domain="tools", options=options)) == []


def test_words_of_other_processes_count_before_their_texts_are_encoded(
    recommender: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender.search_text("lute")
    monkeypatch.setattr(live, "try_to_encode", lambda *_: {})
    with closing(Store.open(f"sqlite:///{tmp_path}/recsys.db")) as other:
        other.put_items([ItemDraft(item_id="harp", title="Celtic harp")])
    recommender._live.wait_for_changes()
    answer = recommender.search_text("celtic harp", options=Options(k=1))
    assert [(item.item_id, item.sources) for item in answer.items] == [("harp", ("lexical",))]


def test_another_bundle_goes_on_finding_words(store: Store, trained: Planted, sized: str) -> None:
    with closing(Recommender(store, bundle=sized)) as recommender:
        recommender.search_text("lute")
        recommender.put_items([ItemDraft(item_id="new", title="Zither")])
        recommender._live._load(trained.bundle)()
        answer = recommender.search_text("zither", options=Options(k=1))
        assert [(item.item_id, item.sources) for item in answer.items] == [("new", ("lexical", "text"))]
        assert recommender.search_text("lute").bundle == trained.bundle


def test_without_its_text_encoder_a_bundle_finds_by_words_and_says_so(
    store: Store, trained: Planted, tmp_path: Path
) -> None:
    bundle = load_bundle(trained.bundle)
    about = bundle.about | {"text_encoder_hash": "another"}
    with closing(Recommender(store, bundle=save_bundle(replace(bundle, about=about), str(tmp_path), name="x"))) as r:
        answer = r.search_text("acustic lute", options=Options(k=1))
    assert [(item.item_id, item.sources) for item in answer.items] == [("lute", ("lexical",))]
    assert said(answer) == ["meaning"]
    assert "its weights are not those of the bundle" in answer.degraded[0].why


@pytest.fixture
def weighed(store: Store, sized: str, tmp_path: Path) -> Iterator[Recommender]:
    """Serves a bundle whose search goes by meaning alone."""
    bundle = load_bundle(sized)
    weights = {"title": 0.0, "words": 0.0, "meaning": 1.0, "taste": 0.0}
    uri = save_bundle(
        replace(bundle, about=bundle.about | {"search_weights": weights}), str(tmp_path), name="by-meaning"
    )
    with closing(Recommender(store, bundle=uri)) as recommender:
        yield recommender


def test_the_weights_of_the_bundle_decide(weighed: Recommender) -> None:
    both = weighed.search_text("acoustic lute", options=Options(k=5))
    meaning = weighed.search_text("acoustic lute", options=Options(k=5, encoder="item-text"))
    assert ids(both) == ids(meaning)
    assert [item.score for item in both.items] == pytest.approx([item.score for item in meaning.items], abs=1e-5)


@pytest.mark.parametrize("weights", [{"title": "much"}, {"meaning": -1}, {"words": None}])
def test_weights_that_are_none_are_refused(store: Store, sized: str, tmp_path: Path, weights: object) -> None:
    bundle = load_bundle(sized)
    broken = replace(bundle, about=bundle.about | {"search_weights": weights})
    with pytest.raises(BundleError, match="the weights of the search cannot be used"):
        Recommender(store, bundle=save_bundle(broken, str(tmp_path), name="broken"))


def test_a_score_is_the_weighted_sum_of_what_each_source_says(recommender: Recommender) -> None:
    recommender.search_text("lute")
    search = recommender._live.snapshot.search
    assert isinstance(search, TextSearch)
    best = recommender.search_text("acoustic lute", options=Options(k=1)).items[0]
    meaning = recommender.search_text("acoustic lute", options=Options(k=50, encoder="item-text")).items
    cosine = next(item.score for item in meaning if item.item_id == "lute")
    w = search.weights
    row = recommender.catalogue.row("lute")
    assert row is not None
    title, words = search.words.title_cosines("acoustic lute")[row], search.words.coverage("acoustic lute")[row]
    assert np.isclose(best.score, w.title * title + w.words * words + w.meaning * cosine, atol=1e-5)
