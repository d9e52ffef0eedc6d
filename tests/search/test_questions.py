"""Questions that are texts, and items near each other by text: answered at any size, and what is not done is said."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.text import item_text as text_of
from recsys.batch.users import recommend_all
from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, read_manifest, save_bundle
from recsys.encoders.catalogue import CatalogueTextEncoder, truncate
from recsys.errors import BundleError, InvalidRequest, RecsysError
from recsys.service import Answer, Options, Question, Recommender
from recsys.service.items.questions import MAX_K
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.encoders.test_catalogue import random_part
from tests.encoders.test_encoders import ODD
from tests.search.sizes import SIZES, Served, said
from tests.worlds import Planted


def test_a_title_finds_its_item_by_the_text_part_of_any_blend(served: Served) -> None:
    recommender, _, planted = served
    for item_id in list(planted.world.successor)[:5]:
        title = recommender.item(item_id).title
        assert title
        answer = recommender.search_text(title, options=Options(k=40, encoder="text"))
        assert answer.encoder == "text"
        assert title in [item.title for item in answer.items[:8]]
        assert not answer.degraded


@pytest.mark.parametrize(("layers", "dims"), [(None, None), (2, 16), (2, None), (3, 16)])
def test_the_nearest_items_are_those_of_the_encoder_at_that_size(
    recommender: Recommender, store: Store, sized: str, layers: int | None, dims: int | None
) -> None:
    encoder = CatalogueTextEncoder.from_part(load_bundle(sized).part("item-text"))
    options = Options(k=3, layers=layers, dims=dims, encoder="item-text")
    answer = recommender.search_text("acoustic lute", options=options)
    assert answer.encoder == "item-text"
    assert not answer.degraded
    read = encoder.encode_documents(["title: acoustic lute"] * 3, domains=[None, *encoder.domains], layers=layers)
    ask = truncate(read.mean(axis=0, keepdims=True), dims or 16)[0]
    for found in answer.items:
        item = store.item(found.item_id)
        texts = [f"title: {item.title}" + "".join(f" | {k}: {v}" for k, v in sorted(item.attributes.items()))]
        own = truncate(encoder.encode_documents(texts, domains=[item.domain], layers=layers), dims or 16)[0]
        assert found.score == pytest.approx(float(ask @ own), abs=1e-5)


def test_the_domain_narrows_the_items_and_chooses_who_reads(recommender: Recommender) -> None:
    music = recommender.search_text("acoustic lute", domain="music", options=Options(k=1, encoder="item-text"))
    assert (music.items[0].item_id, round(music.items[0].score, 4)) == ("lute", 1.0)
    assert not music.degraded
    anywhere = recommender.search_text("acoustic lute", options=Options(k=42, encoder="item-text"))
    assert next(item.score for item in anywhere.items if item.item_id == "lute") < 0.9999


def test_an_unknown_domain_is_searched_in_all_and_said(recommender: Recommender) -> None:
    answer = recommender.search_text("claw hammer", domain="films", options=Options(k=3))
    assert len(answer.items) == 3
    assert [(one.what, one.why) for one in answer.degraded] == [
        ("domain", "no item is of domain 'films': all are searched")
    ]
    assert answer.items == recommender.search_text("claw hammer", options=Options(k=3)).items
    recommender.put_items([ItemDraft(item_id="alien", title="Alien", domain="films")])
    answer = recommender.search_text("claw hammer", domain="films", options=Options(k=1))
    assert [item.item_id for item in answer.items] == ["alien"]
    assert "was not trained: the general expert reads" in answer.degraded[0].why


def test_excluded_and_deleted_items_are_not_found(recommender: Recommender) -> None:
    first = recommender.search_text("claw hammer", options=Options(k=2)).items
    without = recommender.search_text("claw hammer", options=Options(k=1, exclude=(first[0].item_id,)))
    assert without.items[0] == first[1]
    recommender.delete_item(first[0].item_id)
    assert recommender.search_text("claw hammer", options=Options(k=1)).items[0] == first[1]


def test_a_sold_out_item_is_not_found_until_it_is_back(recommender: Recommender) -> None:
    first, second = recommender.search_text("claw hammer", options=Options(k=2)).items
    recommender.set_availability({first.item_id: False})
    for domain in (None, "tools"):
        found = recommender.search_text("claw hammer", domain=domain, options=Options(k=MAX_K)).items
        assert first.item_id not in [item.item_id for item in found]
    assert recommender.search_text("claw hammer", options=Options(k=1)).items == (second,)
    assert recommender.similar(first.item_id, options=Options(k=1, encoder="item-text")).items
    recommender.set_availability({first.item_id: True})
    assert recommender.search_text("claw hammer", options=Options(k=2)).items == (first, second)


def test_a_text_of_which_nothing_is_known_is_answered_and_told(recommender: Recommender) -> None:
    answer = recommender.search_text("\U0001f3b8\U0001f525", options=Options(k=3))
    assert len(answer.items) == 3
    assert [(one.what, "knows nothing" in one.why) for one in answer.degraded] == [("query", True)]
    assert not recommender.search_text("hammer \U0001f3b8", options=Options(k=3)).degraded


@pytest.mark.parametrize("title", [None, "", "<b></b>"])
def test_items_without_a_text_are_near_to_no_question_until_they_have_one(
    recommender: Recommender, title: str | None
) -> None:
    everything = Options(k=MAX_K)
    recommender.put_items([ItemDraft(item_id="silent", title=title)])
    assert "silent" not in [item.item_id for item in recommender.search_text("claw hammer", options=everything).items]
    recommender.put_items([ItemDraft(item_id="silent", title="claw hammer")])
    assert "silent" in [item.item_id for item in recommender.search_text("claw hammer", options=everything).items]
    recommender.put_items([ItemDraft(item_id="silent", title=title)])
    assert "silent" not in [item.item_id for item in recommender.search_text("claw hammer", options=everything).items]


@pytest.mark.parametrize("text", [text for text in ODD if text_of(text, {})])
def test_any_text_that_can_be_read_is_answered_with_numbers(recommender: Recommender, text: str) -> None:
    for layers in (2, None):
        answer = recommender.search_text(text, options=Options(k=5, layers=layers))
        assert len(answer.items) == 5
        assert np.isfinite([item.score for item in answer.items]).all()


@pytest.mark.parametrize(
    "title", [None, "", "\U0001f3b8\U0001f525", "word " * 2_000, "Привет, мир", "<b>bold</b> <i></i>"]
)
@pytest.mark.parametrize("domain", ["tools", "films", None])
def test_an_item_of_any_title_has_neighbours_at_every_size(
    recommender: Recommender, title: str | None, domain: str | None
) -> None:
    recommender.put_items([ItemDraft(item_id="odd", title=title, domain=domain)])
    for layers, dims in SIZES[1:]:
        options = Options(k=3, encoder="item-text", layers=layers, dims=dims)
        found = recommender.similar("odd", options=options).items
        assert len(found) == 3
        assert all(-1.001 <= item.score <= 1.001 for item in found)


def test_the_end_of_a_long_text_is_not_read_and_that_is_said(
    recommender: Recommender, served: Served, sized: str
) -> None:
    long = "claw hammer " * 20
    options = Options(k=3, encoder="item-text")
    answer = recommender.search_text(long, options=options)
    assert said(answer) == ["query"]
    head = CatalogueTextEncoder.from_part(load_bundle(sized).part("item-text")).head(f"title: {long}")
    assert len(head) < len(long) / 2
    assert answer.degraded[0].why.startswith(f"only its first {len(head.removeprefix('title: '))} characters are read")
    start = recommender.search_text(head.removeprefix("title: "), options=options)
    assert start.items == answer.items
    assert not start.degraded
    assert not served[0].search_text("claw hammer " * 300).degraded  # read whole
    assert said(served[0].search_text("claw hammer " * 400, options=Options(k=3))) == ["query"]


@pytest.mark.parametrize("text", ["", "   ", "<b></b>", "<script>alert('x')</script>", "\n\t"])
def test_a_text_without_anything_to_read_is_refused(recommender: Recommender, text: str) -> None:
    with pytest.raises(InvalidRequest, match="nothing in this text can be read: send words, not markup alone"):
        recommender.search_text(text)


def test_a_size_that_is_not_served_is_answered_larger_and_said(recommender: Recommender) -> None:
    for answer in (
        recommender.search_text("claw hammer", options=Options(layers=1, dims=8)),
        recommender.similar("hammer", options=Options(layers=1, dims=8, encoder="item-text")),
        recommender.recommend(history=["hammer"], options=Options(layers=1, dims=8, encoder="item-text")),
    ):
        assert said(answer) == ["layers", "dims"]
        assert "1 layer x 8 dims is withheld: it keeps 0.900 of what a model" in answer.degraded[0].why
        assert answer.degraded[0].why.endswith("answered at 2 layers x 16 dims")
    with pytest.raises(InvalidRequest, match="layers=7: item-text has 1 to 3"):
        recommender.search_text("claw hammer", options=Options(layers=7))


def test_a_part_of_one_size_answers_and_says_so(recommender: Recommender, served: Served) -> None:
    answer = recommender.recommend(history=["item-001"], options=Options(k=3, dims=8))
    assert (len(answer.items), said(answer)) == (3, ["dims"])
    assert answer.degraded[0].why == "markov has one size, its whole; encoder=item-text has several"
    answer = served[0].search_text("anything", options=Options(layers=2, dims=8))
    assert said(answer) == ["layers", "dims"]
    assert answer.degraded[0].why == "text has one size, its whole"


def test_models_lists_the_sizes_with_their_figures(recommender: Recommender) -> None:
    parts = {part["name"]: part for part in recommender.models()["parts"]}
    assert parts["markov"]["sizes"] == []
    first, second, whole = parts["item-text"]["sizes"]
    assert first["withheld"].startswith("it keeps 0.900 of what")
    assert second == {
        "layers": 2,
        "dims": 16,
        "bytes": 64,
        "figures": {"recall@10": 0.3, "texts_per_second": 500.0, "of_separate": 0.99},
        "withheld": None,
    }
    assert (whole["layers"], whole["dims"]) == (3, 16)


def test_questions_of_all_kinds_are_answered_together_as_alone(recommender: Recommender) -> None:
    asked = [
        Question(text="claw hammer", options=Options(k=4)),
        Question(text="<i></i>"),
        Question(text="acoustic lute", domain="music", options=Options(k=4, layers=2)),
        Question(history=["hammer"], options=Options(k=4, layers=2, encoder="item-text")),
        Question(text="lute", options=Options(k=4)),
        Question(text="lute", options=Options(k=4, encoder="markov")),
        Question(item_id="lute", options=Options(k=4)),
        Question(text="lute", item_id="lute"),
    ]

    def plain(answers: Sequence[Answer | RecsysError]) -> list[object]:
        return [
            str(one)
            if isinstance(one, RecsysError)
            else ([(i.item_id, round(i.score, 5)) for i in one.items], one.degraded, one.encoder)
            for one in answers
        ]

    together = recommender.answer(asked)
    assert plain(together) == plain([recommender.answer([one])[0] for one in asked])
    assert [str(one)[:12] for one in together if isinstance(one, RecsysError)] == [
        "nothing in t",
        "part 'markov",
        "give either ",
    ]


@pytest.mark.parametrize("encoder", ["item-text", "markov"])
def test_items_without_a_text_are_no_neighbours_where_texts_alone_count(recommender: Recommender, encoder: str) -> None:
    recommender.put_items([ItemDraft(item_id=one, title=title) for one, title in (("mute", None), ("dumb", "<p></p>"))])
    answer = recommender.similar("mute", options=Options(k=MAX_K, encoder=encoder))
    by_text = encoder == "item-text"
    assert ("dumb" in [item.item_id for item in answer.items]) != by_text
    assert ("item" in said(answer)) == by_text
    assert "item" not in said(recommender.similar("lute", options=Options(k=3, encoder=encoder)))


def test_popular_items_stand_in_where_a_bundle_has_no_part_for_them(store: Store, sized: str, tmp_path: Path) -> None:
    bundle = load_bundle(sized)
    alone = replace(bundle, parts={"item-text": bundle.parts["item-text"]}, default="item-text")
    recommender = Recommender(store, bundle=save_bundle(alone, str(tmp_path), name="alone"))
    answer = recommender.recommend(history=["no such item"], options=Options(k=5))
    counts = store.item_counts(["view"])
    assert [item.source for item in answer.items] == ["popular"] * 5
    assert counts[answer.items[0].item_id] == max(counts.values())
    assert "popular items are shown" in answer.degraded[-1].why
    recommender.close()


@pytest.mark.parametrize(("layers", "dims"), [(2, 16), (1, 8), (None, None)])
def test_batch_gives_what_the_route_answers_at_every_size(
    recommender: Recommender, store: Store, tmp_path: Path, layers: int | None, dims: int | None
) -> None:
    options = Options(k=4, encoder="item-text", layers=layers, dims=dims)
    list(recommend_all(recommender, store, tmp_path / "all.parquet", options=options))
    rows = pl.read_parquet(tmp_path / "all.parquet").group_by("user_id", maintain_order=True).agg("item_id", "score")
    for user, items, scores in rows.head(20).iter_rows():
        answer = recommender.recommend(user_id=user, options=options)
        assert [item.item_id for item in answer.items] == items
        assert [item.score for item in answer.items] == pytest.approx(scores, abs=1e-6)
    assert [one.what for one in recommender.unsupported_options(options)] == (["layers", "dims"] if layers == 1 else [])


def test_where_nothing_reads_what_texts_mean_words_answer_and_that_is_said(
    trained: Planted, tmp_path: Path, store: Store
) -> None:
    bundle = load_bundle(trained.bundle)
    alone = Bundle(parts={"popular": bundle.part("popular")}, default="popular", item_ids=bundle.item_ids, about={})
    for uri, why in (
        (save_bundle(alone, str(tmp_path), name="alone"), "no part reads what a text means: train `text`, `item-text`"),
        (None, "no active bundle: run `recsys train blend`"),
    ):
        if uri is None:
            upgrade(url := f"sqlite:///{tmp_path}/untrained.db")
            store = Store.open(url)
            store.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music")])
        recommender = Recommender(store, bundle=uri)
        answer = recommender.search_text("acustic lute", options=Options(k=1, dims=8))
        assert [(item.item_id, item.sources) for item in answer.items] == [("lute", ("lexical",))]
        assert said(answer) == ["dims", "meaning"]
        assert answer.degraded[1].why.startswith(why)
        assert recommender.search_text("xyzzy").items == ()
        recommender.close()
    store.close()


def test_an_encoder_alone_answers_by_text(store: Store, tmp_path: Path) -> None:
    part = random_part()
    alone = Bundle(parts={"item-text": part}, default="item-text", item_ids=(), about={})
    uri = save_bundle(alone, str(tmp_path), name="alone")
    recommender = Recommender(store, bundle=uri)
    assert recommender.readiness().ready
    assert recommender.search_text("acoustic lute", domain="music", options=Options(k=1)).items[0].item_id == "lute"
    shutil.rmtree(uri)
    near = recommender.similar("lute", options=Options(k=5))
    assert len(near.items) == 5
    assert "lute" not in {item.item_id for item in near.items}
    recommender.close()


def test_an_active_bundle_whose_encoder_does_not_fit_leaves_popular_items(store: Store, tmp_path: Path) -> None:
    part = random_part()
    wrong = replace(part, config=part.config | {"encoder": part.config["encoder"] | {"layers": 2}})
    alone = Bundle(parts={"item-text": wrong}, default="item-text", item_ids=(), about={})
    uri = save_bundle(alone, str(tmp_path), name="wrong")
    with pytest.raises(BundleError, match="its weights have 3 layers"):
        Recommender(store, bundle=uri)
    store.add_bundle(uri, read_manifest(uri))
    store.activate_bundle(uri)
    recommender = Recommender(store)
    answer = recommender.recommend(history=["lute"], options=Options(k=3))
    assert (answer.encoder, len(answer.items)) == ("popular", 3)
    assert "its weights have 3 layers of width 16, its settings 2 of 16" in answer.degraded[0].why
    assert not recommender.readiness().ready
    recommender.close()
