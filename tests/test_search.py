"""A text is a question like any other, at every size that the encoder offers; what cannot be done as asked is said."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.text import item_text as text_of
from recsys.batch import recommend_all
from recsys.bundle import Bundle, load_bundle, read_manifest, save_bundle
from recsys.cli.shared import open_recommender
from recsys.data.catalogue import Catalogue
from recsys.data.item_text import ItemTextEncoder, cut
from recsys.errors import BundleError, InvalidRequest, NotReady, RecsysError
from recsys.indexes import build as kinds
from recsys.indexes.build import Kind
from recsys.indexes.funnel import FunnelIndex
from recsys.retrieval.deployed import Deployed
from recsys.service import Answer, Options, Question, Recommender
from recsys.service.questions import MAX_K
from recsys.service.reading import Reading
from recsys.settings import Settings
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.data.test_item_text import random_part
from tests.data.test_texts import ODD
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
SIZES = ((1, 8), (2, 16), (3, 16))


@pytest.fixture(scope="module")
def sized(trained: Planted, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The trained blend with a text encoder of several sizes beside its parts, one of which is below its bar."""
    bundle = load_bundle(trained.bundle)
    keeps = {(1, 8): 0.9, (2, 16): 0.99, (3, 16): 1.0}
    settings = [
        {"layers": layers, "dims": dims, "recall@10": 0.3, "texts_per_second": 1000.0 / layers, "of_separate": share}
        for (layers, dims), share in keeps.items()
    ]
    part = replace(random_part(), figures={"settings": settings})
    parts = {name: bundle.parts[name] for name in ("popular", "markov")} | {"item-text": part}
    return save_bundle(
        replace(bundle, parts=parts, default="markov"), str(tmp_path_factory.mktemp("sized")), name="sized"
    )


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(trained.copy(tmp_path).url)
    store.put_items([ItemDraft(item_id="hammer", title="claw hammer", domain="tools")])
    store.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music")])
    yield store
    store.close()


@pytest.fixture
def recommender(store: Store, sized: str) -> Iterator[Recommender]:
    recommender = Recommender(store, bundle=sized)
    yield recommender
    recommender.close()


def said(answer: Answer) -> list[str]:
    return [one.what for one in answer.degraded]


def test_a_title_finds_its_item_by_the_text_part_of_any_blend(served: Served) -> None:
    recommender, _, planted = served
    for item_id in list(planted.world.successor)[:5]:
        title = recommender.item(item_id).title
        assert title
        answer = recommender.find(title, options=Options(k=40))
        assert answer.encoder == "text"
        assert title in [item.title for item in answer.items[:8]]
        assert not answer.degraded


@pytest.mark.parametrize(("layers", "dims"), [(None, None), (2, 16), (2, None), (3, 16)])
def test_the_nearest_items_are_those_of_the_encoder_at_that_size(
    recommender: Recommender, store: Store, sized: str, layers: int | None, dims: int | None
) -> None:
    encoder = ItemTextEncoder.from_part(load_bundle(sized).part("item-text"))
    answer = recommender.find("acoustic lute", options=Options(k=3, layers=layers, dims=dims))
    assert answer.encoder == "item-text"
    assert not answer.degraded
    ask = cut(encoder.encode(["title: acoustic lute"], layers=layers), dims or 16)[0]
    for found in answer.items:
        item = store.item(found.item_id)
        texts = [f"title: {item.title}" + "".join(f" | {k}: {v}" for k, v in sorted(item.attributes.items()))]
        own = cut(encoder.encode(texts, domains=[item.domain], layers=layers), dims or 16)[0]
        assert found.score == pytest.approx(float(ask @ own), abs=1e-5)


def test_the_domain_narrows_the_items_and_chooses_who_reads(recommender: Recommender) -> None:
    music = recommender.find("acoustic lute", domain="music", options=Options(k=1))
    assert (music.items[0].item_id, round(music.items[0].score, 4)) == ("lute", 1.0)
    assert not music.degraded
    general = recommender.find("acoustic lute", options=Options(k=42))
    assert next(item.score for item in general.items if item.item_id == "lute") < 0.9999


def test_an_unknown_domain_is_searched_in_all_and_said(recommender: Recommender) -> None:
    answer = recommender.find("claw hammer", domain="films", options=Options(k=3))
    assert len(answer.items) == 3
    assert [(one.what, one.why) for one in answer.degraded] == [
        ("domain", "no item is of domain 'films': all are searched")
    ]
    recommender.put_items([ItemDraft(item_id="alien", title="Alien", domain="films")])
    answer = recommender.find("claw hammer", domain="films", options=Options(k=1))
    assert [item.item_id for item in answer.items] == ["alien"]
    assert "was not trained: the general expert reads" in answer.degraded[0].why


def test_excluded_and_deleted_items_are_not_found(recommender: Recommender) -> None:
    first = recommender.find("claw hammer", options=Options(k=2)).items
    without = recommender.find("claw hammer", options=Options(k=1, exclude=(first[0].item_id,)))
    assert without.items[0] == first[1]
    recommender.delete_item(first[0].item_id)
    assert recommender.find("claw hammer", options=Options(k=1)).items[0] == first[1]


def test_a_text_of_which_nothing_is_known_is_answered_and_told(recommender: Recommender) -> None:
    answer = recommender.find("\U0001f3b8\U0001f525", options=Options(k=3))
    assert len(answer.items) == 3
    assert [(one.what, "knows nothing" in one.why) for one in answer.degraded] == [("query", True)]
    assert not recommender.find("hammer \U0001f3b8", options=Options(k=3)).degraded


@pytest.mark.parametrize("title", [None, "", "<b></b>"])
def test_items_without_a_text_are_near_to_no_question_until_they_have_one(
    recommender: Recommender, title: str | None
) -> None:
    everything = Options(k=MAX_K)
    recommender.put_items([ItemDraft(item_id="silent", title=title)])
    assert "silent" not in [item.item_id for item in recommender.find("claw hammer", options=everything).items]
    recommender.put_items([ItemDraft(item_id="silent", title="claw hammer")])
    assert "silent" in [item.item_id for item in recommender.find("claw hammer", options=everything).items]
    recommender.put_items([ItemDraft(item_id="silent", title=title)])
    assert "silent" not in [item.item_id for item in recommender.find("claw hammer", options=everything).items]


@pytest.mark.parametrize("text", [text for text in ODD if text_of(text, {})])
def test_any_text_that_can_be_read_is_answered_with_numbers(recommender: Recommender, text: str) -> None:
    for layers in (2, None):
        answer = recommender.find(text, options=Options(k=5, layers=layers))
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
    answer = recommender.find(long, options=Options(k=3))
    assert said(answer) == ["query"]
    head = ItemTextEncoder.from_part(load_bundle(sized).part("item-text")).head(f"title: {long}")
    assert len(head) < len(long) / 2
    assert answer.degraded[0].why.startswith(f"only its first {len(head.removeprefix('title: '))} characters are read")
    start = recommender.find(head.removeprefix("title: "), options=Options(k=3))
    assert start.items == answer.items
    assert not start.degraded
    assert not served[0].find("claw hammer " * 300).degraded  # read whole
    assert said(served[0].find("claw hammer " * 400, options=Options(k=3))) == ["query"]


@pytest.mark.parametrize("text", ["", "   ", "<b></b>", "<script>alert('x')</script>", "\n\t"])
def test_a_text_without_anything_to_read_is_refused(recommender: Recommender, text: str) -> None:
    with pytest.raises(InvalidRequest, match="nothing in this text can be read: send words, not markup alone"):
        recommender.find(text)


def test_a_size_that_is_not_served_is_answered_larger_and_said(recommender: Recommender) -> None:
    for answer in (
        recommender.find("claw hammer", options=Options(layers=1, dims=8)),
        recommender.similar("hammer", options=Options(layers=1, dims=8, encoder="item-text")),
        recommender.recommend(history=["hammer"], options=Options(layers=1, dims=8, encoder="item-text")),
    ):
        assert said(answer) == ["layers", "dims"]
        assert "1 layer x 8 dims is withheld: it keeps 0.900 of what a model" in answer.degraded[0].why
        assert answer.degraded[0].why.endswith("answered at 2 layers x 16 dims")
    with pytest.raises(InvalidRequest, match="layers=7: item-text has 1 to 3"):
        recommender.find("claw hammer", options=Options(layers=7))


def test_a_part_of_one_size_answers_and_says_so(recommender: Recommender, served: Served) -> None:
    answer = recommender.recommend(history=["item-001"], options=Options(k=3, dims=8))
    assert (len(answer.items), said(answer)) == (3, ["dims"])
    assert answer.degraded[0].why == "markov has one size, its whole; encoder=item-text has several"
    answer = served[0].find("anything", options=Options(layers=2, dims=8))
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


def test_another_domain_alone_is_another_reader(recommender: Recommender) -> None:
    recommender.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="tools")])
    best = recommender.find("acoustic lute", domain="tools", options=Options(k=1)).items[0]
    assert (best.item_id, round(best.score, 3)) == ("lute", 1.0)
    music = recommender.find("acoustic lute", domain="music", options=Options(k=MAX_K)).items
    assert "lute" not in [item.item_id for item in music]


def test_a_text_that_no_encoder_takes_stops_nothing_else(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = ItemTextEncoder.encode_exits

    def encode_exits(self: ItemTextEncoder, texts: Sequence[str], **more: Any) -> Any:
        if any("poison" in text for text in texts):
            raise RuntimeError("no such token")
        return real(self, texts, **more)

    monkeypatch.setattr(ItemTextEncoder, "encode_exits", encode_exits)
    recommender.put_items([ItemDraft(item_id="bad", title="poison")])
    assert "texts of 1 items cannot be read, bad the first" in caplog.text
    recommender.put_items([ItemDraft(item_id="good", title="claw hammer two")])
    found = [item.item_id for item in recommender.find("claw hammer two", options=Options(k=MAX_K)).items]
    assert "good" in found
    assert "bad" not in found
    recommender.put_items([ItemDraft(item_id="bad", title="claw hammer three")])
    found = [item.item_id for item in recommender.find("claw hammer three", options=Options(k=MAX_K)).items]
    assert "bad" in found


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
    counts = store.item_counts()
    assert [item.source for item in answer.items] == ["popular"] * 5
    assert counts[answer.items[0].item_id] == max(counts.values())
    assert "popular items are shown" in answer.degraded[-1].why
    recommender.close()


def test_a_changed_text_encodes_that_item_alone_at_all_exits(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, encode = list[str](), ItemTextEncoder.encode_exits

    def noted(self: ItemTextEncoder, texts: Sequence[str], **more: object) -> object:
        read.extend(texts)
        return encode(self, texts, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ItemTextEncoder, "encode_exits", noted)
    recommender.put_items([ItemDraft(item_id="hammer", title="acoustic lute", domain="music")])
    assert read == ["title: acoustic lute"]
    for layers in (2, None):
        near = recommender.find("acoustic lute", domain="music", options=Options(k=2, layers=layers))
        assert {item.item_id for item in near.items} == {"hammer", "lute"}
    recommender.put_items([ItemDraft(item_id="hammer", title="claw hammer", domain="tools")])
    assert recommender.find("claw hammer", domain="tools", options=Options(k=1)).items[0].score > 0.9999
    recommender.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music", attributes={})])
    assert len(read) == 2


def test_a_text_that_becomes_what_it_was_in_training_counts_again(served: Served) -> None:
    recommender, _, planted = served
    here, there = list(planted.world.cluster)[:2]
    mine, other = recommender.item(here), recommender.item(there)
    before = recommender.find(mine.title or "", options=Options(k=40)).items
    recommender.put_items([ItemDraft(item_id=here, title=other.title, attributes=other.attributes)])
    assert recommender.find(mine.title or "", options=Options(k=40)).items != before
    recommender.put_items([ItemDraft(item_id=here, title=mine.title, attributes=mine.attributes)])
    after = recommender.find(mine.title or "", options=Options(k=40)).items
    assert {i.item_id: round(i.score, 4) for i in after} == {i.item_id: round(i.score, 4) for i in before}


def test_a_thousand_new_items_are_found_by_the_next_question(recommender: Recommender) -> None:
    drafts = [ItemDraft(item_id=f"new-{n}", title=f"guitar {n} strings", domain="music") for n in range(1000)]
    recommender.put_items(drafts)
    for layers in (2, None):
        answer = recommender.find("guitar 731 strings", domain="music", options=Options(k=1, layers=layers))
        assert answer.items[0].score > 0.9999
    known = {item.item_id for item in recommender.find("guitar", domain="music", options=Options(k=1000)).items}
    assert len(known) == 1000


def test_a_restart_reads_vectors_from_the_store(recommender: Recommender, store: Store, sized: str) -> None:
    before = recommender.find("acoustic lute", options=Options(k=10, layers=2)).items
    again = Recommender(store, bundle=sized)
    assert again.find("acoustic lute", options=Options(k=10, layers=2)).items == before
    hash_ = load_bundle(sized).part("item-text").hash
    assert all(store.vectors(hash_, ["lute"], layer=layer) for layer in (1, 2, 3))
    assert not store.vectors(hash_, ["lute"])
    again.close()


def test_an_item_of_the_training_that_comes_back_after_a_restart_is_found(
    recommender: Recommender, store: Store, sized: str
) -> None:
    old = store.item("item-003")
    recommender.delete_item(old.item_id)
    again = Recommender(store, bundle=sized)
    again.put_items([ItemDraft(item_id=old.item_id, title=old.title, domain=old.domain, attributes=old.attributes)])
    for layers in (2, None):
        options = Options(k=1000, layers=layers)
        sources = {item.item_id: item.source for item in again.find(old.title or "", options=options).items}
        assert sources[old.item_id] == "item-text"
    near = again.similar(old.item_id, options=Options(k=3, encoder="item-text")).items
    assert [item.source for item in near] == ["item-text"] * 3
    again.close()


def test_items_of_the_training_put_into_an_empty_store_are_found(store: Store, sized: str, tmp_path: Path) -> None:
    upgrade(url := f"sqlite:///{tmp_path}/empty.db")
    empty = Store.open(url)
    recommender = Recommender(empty, bundle=sized)
    known = [store.item(f"item-00{number}") for number in range(5)]
    drafts = [ItemDraft(item_id=one.item_id, title=one.title, attributes=one.attributes) for one in known]
    recommender.put_items(drafts)
    found = recommender.find("anything", options=Options(k=10)).items
    assert {item.item_id: item.source for item in found} == {one.item_id: "item-text" for one in known}
    recommender.close()
    empty.close()


def test_an_item_that_another_process_puts_during_the_start_is_found(
    store: Store, sized: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = Reading.filled

    def overtaken(self: Reading, deployed: Deployed, catalogue: Catalogue) -> Deployed:
        store.put_items([ItemDraft(item_id="late", title="viola da gamba", domain="music")])
        return filled(self, deployed, catalogue)

    monkeypatch.setattr(Reading, "filled", overtaken)
    recommender = Recommender(store, bundle=sized)
    assert recommender.find("viola da gamba", domain="music", options=Options(k=1)).items[0].item_id == "late"
    recommender.close()


@pytest.mark.parametrize("kind", ["exact", "funnel", "hnsw", "ivf-pq"])
def test_few_items_are_found_alike_through_every_kind_of_index(
    recommender: Recommender, store: Store, sized: str, kind: Kind
) -> None:
    other = Recommender(store, bundle=sized, text_index=kind)
    for layers in (2, None):
        options = Options(k=5, layers=layers)
        ours, theirs = (one.find("acoustic lute", options=options).items for one in (recommender, other))
        assert [(i.item_id, round(i.score, 5)) for i in ours] == [(i.item_id, round(i.score, 5)) for i in theirs]
    other.put_items([ItemDraft(item_id="new", title="viola da gamba", domain="music")])
    assert other.find("viola da gamba", domain="music", options=Options(k=1)).items[0].item_id == "new"
    other.close()


def test_a_graph_of_texts_outlives_the_process(
    trained: Planted, sized: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = trained.copy(tmp_path).url, []
    settings = Settings(database_url=url, text_index="hnsw", indexes=tmp_path / "indexes")
    for _ in range(2):
        with open_recommender(settings, bundle=sized) as (recommender, _store):
            answers.append(recommender.find("acoustic lute", options=Options(k=5)).items)
        monkeypatch.setattr("recsys.indexes.build.build_hnsw", None)
    assert answers[0] == answers[1]
    assert len(list((tmp_path / "indexes").iterdir())) == 2


@pytest.mark.parametrize(
    ("kind", "limit", "through"), [("auto", 10, [8, 8]), ("auto", 50_000, []), ("funnel", 50_000, [8, 8])]
)
def test_a_large_catalogue_is_searched_through_the_narrower_size(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, limit: int, through: list[int]
) -> None:
    monkeypatch.setattr(kinds, "EXACT_ROWS", limit)
    shortlists, shortlist = list[int](), FunnelIndex._shortlist

    def noted(self: FunnelIndex, query: np.ndarray, kept: np.ndarray, *, size: int) -> np.ndarray:
        shortlists.append(self.config.dims)
        return shortlist(self, query, kept, size=size)

    monkeypatch.setattr(FunnelIndex, "_shortlist", noted)
    part = random_part()
    part = replace(part, config=part.config | {"offered": [[3, 8], [3, 16]]})
    alone = Bundle(parts={"item-text": part}, default="item-text", item_ids=(), about={})
    uri = save_bundle(alone, str(tmp_path), name="alone")
    recommender = Recommender(store, bundle=uri, text_index=kind)
    assert recommender.find("acoustic lute", options=Options(k=1, dims=16)).encoder == "item-text"
    recommender.recommend(history=["lute"], options=Options(k=1, dims=16))
    assert shortlists == through
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
    assert [one.what for one in recommender.unmet(options)] == (["layers", "dims"] if layers == 1 else [])


def test_where_nothing_reads_texts_the_way_out_is_said(trained: Planted, tmp_path: Path, store: Store) -> None:
    bundle = load_bundle(trained.bundle)
    alone = Bundle(parts={"popular": bundle.part("popular")}, default="popular", item_ids=bundle.item_ids, about={})
    recommender = Recommender(store, bundle=save_bundle(alone, str(tmp_path), name="alone"))
    with pytest.raises(
        NotReady, match="no part that answers can be asked a text: train `item-text`, `text` or `blend`"
    ):
        recommender.find("anything")
    recommender.close()
    upgrade(url := f"sqlite:///{tmp_path}/empty.db")
    empty = Store.open(url)
    untrained = Recommender(empty)
    with pytest.raises(NotReady, match="no active bundle: run `recsys train blend`"):
        untrained.find("anything")
    untrained.close()
    empty.close()


def test_an_encoder_alone_answers_by_text(store: Store, tmp_path: Path) -> None:
    part = random_part()
    alone = Bundle(parts={"item-text": part}, default="item-text", item_ids=(), about={})
    uri = save_bundle(alone, str(tmp_path), name="alone")
    recommender = Recommender(store, bundle=uri)
    assert recommender.readiness().ready
    assert recommender.find("acoustic lute", domain="music", options=Options(k=1)).items[0].item_id == "lute"
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
