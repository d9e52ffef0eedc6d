"""Item vectors from ids, from text, or from both."""

import pytest
import torch

from models.batch import FIRST_ITEM, MASK, PADDING
from models.embeddings import ItemEmbedding, ItemKind
from models.errors import ConfigError

ITEMS, DIM, WIDTH = 7, 4, 5
TEXT = torch.randn(ITEMS, WIDTH, generator=torch.Generator().manual_seed(0))


def embedding(kind: ItemKind, *, id_dropout: float = 0.0) -> ItemEmbedding:
    torch.manual_seed(0)
    text = None if kind == "id" else TEXT
    return ItemEmbedding(items=ITEMS, dim=DIM, kind=kind, text=text, id_dropout=id_dropout)


def test_the_table_has_one_row_an_item() -> None:
    for kind in ("id", "text", "hybrid"):
        assert embedding(kind).table().shape == (ITEMS, DIM)


def test_padding_is_zeros_and_items_are_their_rows() -> None:
    table = torch.randn(ITEMS, DIM)
    items = torch.tensor([[FIRST_ITEM, FIRST_ITEM + 3, MASK, PADDING]])
    vectors = embedding("id").look_up(table, items)
    torch.testing.assert_close(vectors[0, :2], table[[0, 3]])
    assert not vectors[0, 2:].any()


def test_a_text_item_is_the_projection_of_its_text() -> None:
    made = embedding("text")
    assert made.project is not None
    torch.testing.assert_close(made.table(), TEXT @ made.project.weight.T + made.project.bias)
    torch.testing.assert_close(made.from_text(TEXT[2:3]), made.table()[2:3])


def test_a_hybrid_item_is_its_text_and_a_residual() -> None:
    made = embedding("hybrid").eval()
    assert made.ids is not None
    torch.testing.assert_close(made.table() - made.from_text(TEXT), made.ids.weight[FIRST_ITEM:])


def test_residuals_are_dropped_in_training_alone_and_whole_items_at_a_time() -> None:
    made = embedding("hybrid", id_dropout=0.5)
    assert made.ids is not None
    residual = made.table() - made.from_text(TEXT)
    retained = (residual.abs() > 1e-6).any(dim=1)
    assert 0 < retained.sum() < ITEMS
    torch.testing.assert_close(residual[retained], made.ids.weight[FIRST_ITEM:][retained])
    made.eval()
    torch.testing.assert_close(made.table(), made.table())


def test_the_text_is_frozen_and_not_part_of_the_weights() -> None:
    made = embedding("hybrid")
    assert "text" not in made.state_dict()
    assert made.text is not None
    made.table().sum().backward()  # type: ignore[no-untyped-call]
    assert made.text.grad is None


def test_only_a_kind_with_text_knows_a_new_item() -> None:
    with pytest.raises(ConfigError, match="no vector for a text"):
        embedding("id").from_text(TEXT)


def test_kind_and_text_must_go_together() -> None:
    with pytest.raises(ConfigError, match="kind='id' and text=given"):
        ItemEmbedding(items=ITEMS, dim=DIM, kind="id", text=TEXT, id_dropout=0.0)
    with pytest.raises(ConfigError, match="kind='hybrid' and text=none"):
        ItemEmbedding(items=ITEMS, dim=DIM, kind="hybrid", text=None, id_dropout=0.0)
