"""Vectors of texts, whatever the texts are, and never the same work twice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from features.synthetic import planted
from features.text import item_text_from_json
from models.errors import ConfigError
from models.pretrained import PACKAGED, WEIGHTS, load_sentence_encoder, mean_bert, packaged_folder
from recsys.encoders import cache, resolve
from recsys.encoders.base import SingleExitEncoder, TextEncoder, has_text, text_hash
from recsys.encoders.cache import stored_vectors
from recsys.encoders.hashed import HashedNgrams
from recsys.encoders.normalize import l2_normalize
from recsys.encoders.resolve import text_encoder
from recsys.encoders.sentence import BertTextEncoder, SentenceTextEncoder
from recsys.store import Store
from recsys.store.sessions import upgrade

ODD = ["", " ", "\U0001f3b8\U0001f525", "word " * 10_000, "Привет, мир", "你好", "\x00", "\ud800 lone", "a", "<b></b>"]


@pytest.fixture(scope="module")
def packaged() -> BertTextEncoder:
    return BertTextEncoder("packaged")


@pytest.fixture(scope="module")
def library() -> SentenceTextEncoder:
    """The same weights read by sentence-transformers, as any other encoder is."""
    return SentenceTextEncoder("packaged")


@pytest.fixture(params=["hashed", "packaged", "library"])
def encoder(request: pytest.FixtureRequest, packaged: BertTextEncoder, library: SentenceTextEncoder) -> TextEncoder:
    match request.param:
        case "packaged":
            return packaged
        case "library":
            return library
    return HashedNgrams()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    url = f"sqlite:///{tmp_path}/texts.db"
    upgrade(url)
    return Store.open(url)


class Counting(SingleExitEncoder):
    """Hashed n-grams that remember the texts."""

    name, dim = "counting", 32

    def __init__(self, *, version: str = "1") -> None:
        self._version, self.texts = version, list[str]()

    @property
    def hash(self) -> str:
        return f"counting-{self._version}"

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return HashedNgrams(dim=self.dim).encode_documents(texts)

    def knows(self, text: str) -> bool:
        return bool(text)

    def head(self, text: str) -> str:
        return text


class TestEveryEncoder:
    def test_it_knows_words_and_says_when_it_knows_nothing(self, encoder: TextEncoder) -> None:
        assert encoder.knows("claw hammer")
        assert encoder.knows("\U0001f3b8 guitar \ud800")
        assert not encoder.knows("")

    def test_odd_texts_have_vectors_of_length_one(self, encoder: TextEncoder) -> None:
        vectors = encoder.encode_documents(ODD)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(ODD), encoder.dim) == (len(ODD), 384)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_a_vector_does_not_depend_on_its_batch(self, encoder: TextEncoder) -> None:
        texts = ["title: claw hammer", "", "title: a " + "very " * 60 + "long one", "title: claw hammer", "drill"]
        together = encoder.encode_documents(texts)
        for text, vector in zip(texts, together, strict=True):
            np.testing.assert_allclose(encoder.encode_documents([text])[0], vector, atol=1e-5)

    def test_texts_alike_lie_closer_than_others(self, encoder: TextEncoder) -> None:
        vectors = encoder.encode_documents(
            ["title: acoustic guitar strings", "title: electric guitar strings", "title: garden hose"]
        )
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2

    @pytest.mark.parametrize("text", [*ODD, "claw hammer " * 2_000])
    def test_what_it_reads_of_a_text_decides_its_vector(self, encoder: TextEncoder, text: str) -> None:
        start = encoder.head(text)
        assert len(start) == len(text) or len(text) > 1000
        np.testing.assert_allclose(encoder.encode_documents([start]), encoder.encode_documents([text]), atol=1e-5)

    def test_letters_alone_are_read_to_the_end_of_a_long_text(self, encoder: TextEncoder) -> None:
        long = "title:" + " claw hammer" * 300
        assert (encoder.head(long) == long) == isinstance(encoder, HashedNgrams)
        assert encoder.head("claw hammer ") == "claw hammer "

    def test_no_texts_give_no_vectors(self, encoder: TextEncoder) -> None:
        assert encoder.encode_documents([]).shape == (0, 384)


@given(st.lists(st.text(max_size=20), max_size=5))
def test_hashed_vectors_are_of_length_one_for_any_text(texts: list[str]) -> None:
    np.testing.assert_allclose(np.linalg.norm(HashedNgrams().encode_documents(texts), axis=1), 1, atol=1e-5)


GUITAR = [0.1313064, 0.3939193, -0.6565322, 0.1313064, 0.0, -0.2626129, 0.3939193, -0.3939193]


def test_hashed_vectors_are_the_same_on_every_machine() -> None:
    """The numbers are part of the format: vectors of an older run lie in stores."""
    vector = HashedNgrams(dim=8).encode_documents(["guitar"])[0]
    np.testing.assert_allclose(vector, GUITAR, atol=1e-6)


def test_the_projection_keeps_angles_of_ngram_counts() -> None:
    """The cosine of two hashed texts is that of their damped n-gram counts, up to the noise of 384 dimensions."""

    def grams(text: str) -> dict[str, float]:
        padded = f"  {text}  "
        ngrams = [padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1)]
        return {gram: ngrams.count(gram) ** 0.5 for gram in ngrams}

    first, second = "the grateful dead live at the fillmore", "the grateful dead at winterland live"
    a, b = grams(first), grams(second)
    exact = (
        sum(a[g] * b.get(g, 0) for g in a) / (sum(v * v for v in a.values()) * sum(v * v for v in b.values())) ** 0.5
    )
    u, v = HashedNgrams().encode_documents([first, second])
    assert u @ v == pytest.approx(exact, abs=0.12)


def test_planted_clusters_are_found_by_hashed_text() -> None:
    world = planted(items=40, clusters=4)
    items = world.items.collect()
    vectors = HashedNgrams().encode_documents(
        [item_text_from_json(*r) for r in items.select("title", "attributes").iter_rows()]
    )
    cosine = vectors @ vectors.T - 2 * np.eye(len(vectors))
    nearest = [items["item"][int(i)] for i in cosine.argmax(axis=1)]
    same = [world.cluster[a] == world.cluster[b] for a, b in zip(items["item"], nearest, strict=True)]
    assert np.mean(same) > 0.95


def test_rows_without_direction_become_the_first_axis() -> None:
    fixed = l2_normalize(np.array([[0, 0], [np.nan, 1], [np.inf, 1], [0, 5]], np.float32))
    np.testing.assert_array_equal(fixed, [[1, 0], [1, 0], [1, 0], [0, 1]])


def test_auto_takes_the_packaged_encoder_and_hashes_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_encoder("auto").name == "packaged"
    monkeypatch.setattr(resolve, "packaged_folder", lambda: None)
    assert text_encoder("auto").name == "hashed"


@pytest.mark.slow
def test_a_bert_is_read_as_sentence_transformers_reads_it(
    packaged: BertTextEncoder, library: SentenceTextEncoder
) -> None:
    texts = [*ODD, "Star Wars", "Wool socks, grey, 3 pairs", "word " * 300]
    assert packaged.dim == library.dim
    np.testing.assert_allclose(packaged.encode_documents(texts), library.encode_documents(texts), atol=1e-5)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: "}, "default_prompt_name": "query"}),
    ],
)
def test_what_is_built_otherwise_is_left_to_the_library(tmp_path: Path, file: str, change: dict[str, object]) -> None:
    folder = packaged_folder()
    assert folder is not None
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert mean_bert(str(copy))
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | change))
    assert mean_bert(str(copy)) is None


def test_weights_under_other_names_are_left_to_the_library(tmp_path: Path, library: SentenceTextEncoder) -> None:
    folder = packaged_folder()
    assert folder is not None
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copy / WEIGHTS)
    save_file({f"bert.{name}": weight for name, weight in weights.items()}, copy / WEIGHTS, metadata={"format": "pt"})
    encoder = text_encoder(str(copy))
    assert isinstance(encoder, SentenceTextEncoder)
    np.testing.assert_allclose(
        encoder.encode_documents(["Star Wars"]), library.encode_documents(["Star Wars"]), atol=1e-5
    )


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    folder = packaged_folder()
    assert folder is not None
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(ConfigError, match="cannot be loaded"):
        text_encoder(str(copy))


def test_bundles_of_earlier_versions_know_the_packaged_encoder(
    packaged: BertTextEncoder, library: SentenceTextEncoder
) -> None:
    assert packaged.hash != library.hash
    assert packaged.has_weights(packaged.hash)
    assert packaged.has_weights(library.hash)
    assert not packaged.has_weights(HashedNgrams().hash)


@pytest.mark.slow
def test_a_service_needs_no_library_to_read_the_packaged_encoder() -> None:
    script = (
        "from recsys.encoders.resolve import text_encoder; text_encoder('packaged').encode_documents(['a']); import sys"
    )
    loaded = "sys.stdout.write(str('sentence_transformers' in sys.modules or 'transformers' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{script}; {loaded}"], check=True, capture_output=True, text=True)
    assert done.stdout == "False"


def test_the_hash_of_an_encoder_is_its_weights_not_its_place(packaged: BertTextEncoder, tmp_path: Path) -> None:
    folder = packaged_folder()
    assert folder is not None
    shutil.copytree(folder, tmp_path / "copy")
    copied = text_encoder(str(tmp_path / "copy"))
    assert copied.hash == packaged.hash
    assert len({packaged.hash, HashedNgrams().hash, HashedNgrams(dim=64).hash}) == 3


@pytest.mark.parametrize("name", ["/no/such/folder", "./here", "~/nowhere", "one/two/three", ""])
def test_a_folder_that_is_not_there_is_named_and_nothing_is_downloaded(name: str) -> None:
    with pytest.raises(ConfigError, match="no such folder; name a folder or a hub model"):
        load_sentence_encoder(name, device="cpu")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_sentence_encoder(str(tmp_path), device="cpu")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.pretrained.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=f"install {PACKAGED.replace('_', '-')}"):
        load_sentence_encoder("packaged", device="cpu")


def test_nothing_is_encoded_twice(store: Store) -> None:
    encoder = Counting()
    first = stored_vectors(store, encoder, ["a", "b"], ["one", "two"])
    again = stored_vectors(store, encoder, ["b", "a"], ["two", "one"])
    assert encoder.texts == ["one", "two"]
    np.testing.assert_array_equal(first, again[::-1])


def test_a_changed_text_and_another_encoder_are_encoded_anew(store: Store) -> None:
    encoder, other = Counting(), Counting(version="2")
    stored_vectors(store, encoder, ["a", "b"], ["one", "two"])
    changed = stored_vectors(store, encoder, ["a", "b"], ["one", "three"])
    assert encoder.texts == ["one", "two", "three"]
    np.testing.assert_array_equal(changed[1], encoder.encode_documents(["three"])[0])
    stored_vectors(store, other, ["a"], ["one"])
    assert other.texts == ["one"]


def test_what_an_interrupted_run_has_encoded_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Counting):
        def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if "c" in texts:
                raise KeyboardInterrupt
            return super().encode_documents(texts)

    monkeypatch.setattr(cache, "TEXTS_PER_WRITE", 2)
    with pytest.raises(KeyboardInterrupt):
        stored_vectors(store, Failing(), ["1", "2", "3"], ["a", "b", "c"])
    encoder = Counting()
    stored_vectors(store, encoder, ["1", "2", "3"], ["a", "b", "c"])
    assert encoder.texts == ["c"]


UNKNOWN = "title: \U0001f3b8\U0001f525 | brand: \U0001f3b8"


def test_an_item_of_unknown_tokens_has_no_text(encoder: TextEncoder) -> None:
    assert has_text(encoder, UNKNOWN) == isinstance(encoder, HashedNgrams)
    assert has_text(encoder, f"{UNKNOWN} | colour: red")
    assert not has_text(encoder, "")


def test_an_item_of_unknown_tokens_has_the_vector_of_one_without_text(store: Store, packaged: BertTextEncoder) -> None:
    unknown, empty, known = stored_vectors(store, packaged, ["a", "b", "c"], [UNKNOWN, "", f"{UNKNOWN} | colour: red"])
    np.testing.assert_allclose(unknown, empty, atol=1e-6)
    assert known @ empty < 0.9


@pytest.mark.parametrize("text", ["ham\u200bmer", "\u2764\ufe0f songs", "\u0645\u06cc\u200c\u062e", "co\u00adop"])
def test_what_nobody_sees_changes_no_vector(encoder: TextEncoder, text: str) -> None:
    plain = text.translate(dict.fromkeys(map(ord, "\u200b\ufe0f\u200c\u00ad")))
    np.testing.assert_allclose(encoder.encode_documents([text]), encoder.encode_documents([plain]), atol=1e-6)


def test_no_items_give_no_vectors(store: Store) -> None:
    assert stored_vectors(store, Counting(), [], []).shape == (0, 32)


def test_text_hashes_differ_where_texts_do() -> None:
    assert len({text_hash(text) for text in ("", "a", "A", "a ")}) == 4
