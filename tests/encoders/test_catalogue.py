"""The catalogue's own text encoder: any text has a vector, a part gives it back, what it does not have is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.encoders.text import TextEncoder, TextEncoderConfig, with_experts
from models.errors import ConfigError
from models.pretrained import load_sentence_encoder, load_text_encoder
from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle, save_bundle
from recsys.encoders.base import text_hash
from recsys.encoders.catalogue import CatalogueTextEncoder, from_bundle, truncate
from recsys.encoders.catalogue_parts import find_text_encoder, load_text_model, text_part
from recsys.encoders.resolve import text_encoder
from recsys.encoders.tokenizer import TextTokenizer, train_tokenizer
from recsys.errors import BundleError
from tests.encoders.test_encoders import ODD

TEXTS = ["title: claw hammer", "title: wool socks", "title: acoustic guitar strings", "<b>socks</b> | brand: acme"]
OFFERED = [(1, 8), (2, 16), (3, 16)]


def random_part(*, experts: bool = True) -> Part:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, vocabulary=120)
    read = TextTokenizer(tokenizer, max_length=16)
    config = TextEncoderConfig(vocabulary=read.vocabulary, dim=16, layers=3, heads=2, expansion=2, max_length=16)
    model = TextEncoder(config)
    if experts:
        model = with_experts(model, experts=3, layers=2, cls=read.cls)
        for name, weight in model.named_parameters():
            if "experts" in name or "domains" in name:
                weight.data += 0.1 * torch.randn_like(weight)
    domains = ["tools", "music"] if experts else []
    return text_part(model, name="item-text", tokenizer=tokenizer, domains=domains, offered=OFFERED)


@pytest.fixture
def encoder() -> CatalogueTextEncoder:
    return CatalogueTextEncoder.from_part(random_part())


@pytest.mark.parametrize("layers", [None, 1, 2])
def test_odd_texts_have_vectors_of_length_one(encoder: CatalogueTextEncoder, layers: int | None) -> None:
    vectors = encoder.encode_documents(ODD, domains=["tools", None] * 5, layers=layers)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(ODD), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode_documents([]).shape == (0, 16)


def test_a_vector_does_not_depend_on_its_batch(encoder: CatalogueTextEncoder) -> None:
    domains = ["tools", "music", None, "unheard of"]
    together = encoder.encode_documents(TEXTS, domains=domains)
    for text, domain, vector in zip(TEXTS, domains, together, strict=True):
        np.testing.assert_allclose(encoder.encode_documents([text], domains=[domain])[0], vector, atol=1e-6)


def test_the_domain_decides_who_reads(encoder: CatalogueTextEncoder) -> None:
    tools, music, none, unknown = (
        encoder.encode_documents(TEXTS, domains=[d] * 4) for d in ("tools", "music", None, "films")
    )
    assert not np.allclose(tools, music, atol=1e-3)
    assert not np.allclose(tools, none, atol=1e-3)
    np.testing.assert_array_equal(none, unknown)
    np.testing.assert_array_equal(none, encoder.encode_documents(TEXTS))


def test_a_question_without_a_domain_is_the_mean_of_what_all_experts_read(encoder: CatalogueTextEncoder) -> None:
    domains = ["tools", None, "unheard of", None]
    query_vectors = encoder.encode_queries(TEXTS, domains=domains, layers=2)
    for text, domain, vector in zip(TEXTS, domains, query_vectors, strict=True):
        read = encoder.encode_documents(
            [text] * 3, domains=[domain] * 3 if domain else [None, "tools", "music"], layers=2
        )
        mean = read.mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)
    dense = CatalogueTextEncoder.from_part(random_part(experts=False))
    np.testing.assert_allclose(dense.encode_queries(TEXTS), dense.encode_documents(TEXTS), atol=1e-6)
    assert encoder.encode_queries([]).shape == (0, 16)


@pytest.mark.slow
def test_the_packaged_weights_give_the_vectors_of_sentence_transformers() -> None:
    pretrained = load_text_encoder("packaged")
    part = text_part(pretrained.encoder, name="t", tokenizer=pretrained.tokenizer, domains=[], offered=[(6, 384)])
    theirs = load_sentence_encoder("packaged", device="cpu").encode(TEXTS)
    np.testing.assert_allclose(
        CatalogueTextEncoder.from_part(part).encode_documents(TEXTS), theirs, atol=2e-3
    )  # kept in half precision


def test_fewer_layers_of_the_package_are_its_first_ones() -> None:
    whole, half = load_text_encoder("packaged"), load_text_encoder("packaged", layers=3)
    assert torch.equal(whole.encoder.layers[2].attention.to_out.weight, half.encoder.layers[2].attention.to_out.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(ConfigError, match="layers=7: text encoder 'packaged' has 1 to 6"):
        load_text_encoder("packaged", layers=7)


def test_a_part_gives_it_back(encoder: CatalogueTextEncoder, tmp_path: Path) -> None:
    bundle = Bundle(parts={"item-text": encoder.bundled_part}, default="item-text", item_ids=(), about={})
    uri = save_bundle(bundle, str(tmp_path), name="b")
    again = from_bundle(uri)
    assert again.hash == encoder.hash
    assert (again.name, again.domains, again.offered) == ("item-text", ("tools", "music"), tuple(OFFERED))
    np.testing.assert_array_equal(again.encode_documents(TEXTS), encoder.encode_documents(TEXTS))
    named = text_encoder(uri)
    assert named.hash == encoder.hash
    part = find_text_encoder(load_bundle(uri))
    assert part is not None
    assert part.hash == encoder.hash


def test_other_weights_have_another_hash() -> None:
    part = random_part()
    other = replace(part, arrays=part.arrays | {"weights.norm.bias": part.arrays["weights.norm.bias"] + 1})
    assert CatalogueTextEncoder(other).hash != CatalogueTextEncoder(part).hash
    assert text_hash("a", "tools") != text_hash("a", "music") != text_hash("a")


def test_cuts_are_prefixes_of_length_one(encoder: CatalogueTextEncoder) -> None:
    full = encoder.encode_documents(TEXTS)
    short = truncate(full, 4)
    np.testing.assert_allclose(short, full[:, :4] / np.linalg.norm(full[:, :4], axis=1, keepdims=True), atol=1e-6)
    assert short.flags["C_CONTIGUOUS"]
    with pytest.raises(ConfigError, match="dims=17: these vectors have 1 to 16"):
        truncate(full, 17)


def test_what_it_was_not_trained_for_is_refused(encoder: CatalogueTextEncoder) -> None:
    with pytest.raises(ConfigError, match="layers=4: item-text was trained to stop after 1, 2, 3"):
        encoder.encode_documents(TEXTS, layers=4)


@pytest.mark.parametrize(
    ("encoder", "offered", "why"),
    [
        ({"dim": 32}, OFFERED, "its weights have 3 layers of width 16, its settings 3 of 32"),
        ({"layers": 2}, OFFERED, "its weights have 3 layers of width 16, its settings 2 of 16"),
        ({"expansion": 4}, OFFERED, "its weights and its settings do not have the same layers.0.feed.down.weight"),
        (
            {"experts": 0, "expert_layers": 0},
            OFFERED,
            "it names 2 domains for 0 experts",
        ),
        ({}, [], "it offers no size"),
        ({}, [(4, 16)], "it offers 4 layers x 16 dims, and has 1 to 3 x 1 to 16"),
        ({}, [(3, 32)], "it offers 3 layers x 32 dims, and has 1 to 3 x 1 to 16"),
    ],
)
def test_settings_that_the_weights_do_not_fit_are_refused_in_one_line(
    encoder: dict[str, int], offered: list[tuple[int, int]], why: str
) -> None:
    part = random_part()
    wrong = replace(part, config=part.config | {"encoder": part.config["encoder"] | encoder, "offered": offered})
    with pytest.raises(BundleError, match=why) as error:
        CatalogueTextEncoder.from_part(wrong)
    assert "\n" not in str(error.value)


def test_a_part_that_holds_the_tokens_of_its_domains_in_one_table_is_read(encoder: CatalogueTextEncoder) -> None:
    part = random_part()
    tokens = {name: array for name, array in part.arrays.items() if name.startswith("weights.domains.")}
    others = {name: array for name, array in part.arrays.items() if name not in tokens}
    before = replace(part, arrays=others | {"weights.domains.weight": np.stack(list(tokens.values()))})
    for domain in ("tools", "music", None):
        vectors = CatalogueTextEncoder.from_part(before).encode_documents(TEXTS, domains=[domain] * 4)
        np.testing.assert_array_equal(vectors, encoder.encode_documents(TEXTS, domains=[domain] * 4))


@pytest.mark.parametrize("domains", [[], ["tools"], ["tools", "music", "films"]])
def test_domains_that_are_not_as_many_as_the_experts_are_refused(domains: list[str]) -> None:
    part = random_part()
    with pytest.raises(BundleError, match=f"it names {len(domains)} domains for 3 experts, of which one is general"):
        CatalogueTextEncoder.from_part(replace(part, config=part.config | {"domains": domains}))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_neither_read_nor_stored(broken: float) -> None:
    part = random_part()
    name = next(name for name in part.arrays if name.startswith("weights.layers.1."))
    array = part.arrays[name].copy()
    array.flat[3] = broken
    with pytest.raises(BundleError, match="are not all numbers"):
        CatalogueTextEncoder.from_part(replace(part, arrays=part.arrays | {name: array}))
    model, tokenizer = load_text_model(part)
    next(model.parameters()).data.flatten()[0] = broken
    with pytest.raises(ConfigError, match="are not all numbers in half precision: train with a lower learning rate"):
        text_part(model, name="x", tokenizer=tokenizer.definition, domains=["tools", "music"], offered=OFFERED)


def test_a_part_that_is_no_text_encoder_is_refused(tmp_path: Path) -> None:
    part = random_part()
    with pytest.raises(BundleError, match="is of kind 'popular'"):
        CatalogueTextEncoder.from_part(replace(part, kind="popular"))
    bundle = Bundle(parts={"p": replace(part, kind="popular", name="p")}, default="p", item_ids=(), about={})
    with pytest.raises(BundleError, match="holds no text encoder"):
        from_bundle(save_bundle(bundle, str(tmp_path), name="b"))
