"""Encodes texts with a frozen pretrained sentence encoder."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from models.pretrained import encoder_hash, load_sentence_encoder, load_text_encoder, weights_hash
from recsys.encoders.base import SingleExitEncoder, Vectors
from recsys.encoders.catalogue import encode_texts
from recsys.encoders.normalize import l2_normalize, sanitize_text
from recsys.encoders.precision import CataloguePrecision, Document
from recsys.encoders.tokenizer import SPACE, TextTokenizer
from recsys.store.records import LAST_LAYER


class NeuralTextEncoder(SingleExitEncoder):
    """Base of the encoders here: catalogues are encoded in the precision that suits this machine."""

    def __init__(self, name: str, *, device: str) -> None:
        self.name = name
        self._precision = CataloguePrecision(name, device=device)

    @property
    def precision(self) -> str:
        return self._precision.description

    def encode_exits(
        self,
        texts: Sequence[str],
        *,
        domains: Sequence[str | None] | None = None,  # noqa: ARG002  (ignored)
    ) -> Mapping[int, Vectors]:
        return self._precision.encode([(text, None) for text in texts], self._encode_exits)

    def _encode_exits(self, documents: Sequence[Document]) -> dict[int, Vectors]:
        return {LAST_LAYER: self.encode_documents([text for text, _ in documents])}


class BertTextEncoder(NeuralTextEncoder):
    """A sentence encoder that `models.pretrained.mean_bert` knows, run by our own network: the same vectors, faster.

    Raises:
        ConfigError: it cannot be loaded.
    """

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        super().__init__(name, device=device)
        pretrained = load_text_encoder(name)
        config = pretrained.encoder.config
        self._model = pretrained.encoder.to(device)
        self._tokenizer = TextTokenizer(pretrained.tokenizer, max_length=config.max_length)
        self.dim, self._layers = config.dim, config.layers

    @cached_property
    def hash(self) -> str:
        return encoder_hash(self._model, self._tokenizer.definition)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        general = np.zeros(len(texts), dtype=np.int64)
        return encode_texts(self._model, self._tokenizer, texts, experts=general, exits=[self._layers])[self._layers]

    def knows(self, text: str) -> bool:
        return self._tokenizer.knows(sanitize_text(text))

    def head(self, text: str) -> str:
        return self._tokenizer.head(sanitize_text(text))

    def has_weights(self, trained: str) -> bool:
        """Also true for the hash that earlier versions wrote, of the same weights under sentence-transformers."""
        return self.hash == trained or SentenceTextEncoder(self.name).hash == trained


class SentenceTextEncoder(NeuralTextEncoder):
    """Any other sentence encoder: a folder or a hub name. Texts of like length share a batch.

    Raises:
        ConfigError: it cannot be loaded.
    """

    def __init__(self, name: str, *, device: str = "cpu", batch_size: int = 64) -> None:
        super().__init__(name, device=device)
        self._batch_size = batch_size
        self._model = load_sentence_encoder(name, device=device)
        self.dim = int(self._model.get_embedding_dimension() or 0)

    @cached_property
    def hash(self) -> str:
        return weights_hash(self._model)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        distinct, inverse = np.unique(
            np.array([sanitize_text(text) for text in texts], dtype=object), return_inverse=True
        )
        vectors = self._model.encode(  # sorts by length before it cuts batches
            distinct.tolist(), batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        return l2_normalize(np.asarray(vectors, dtype=np.float32))[inverse]

    def knows(self, text: str) -> bool:
        tokenizer = self._model.tokenizer
        tokens = tokenizer.convert_ids_to_tokens(tokenizer.encode(sanitize_text(text), add_special_tokens=False))
        return any(token.strip(SPACE) not in ("", tokenizer.unk_token) for token in tokens)

    def head(self, text: str) -> str:
        tokenizer, length = self._model.tokenizer, self._model.max_seq_length
        if length is None or not getattr(tokenizer, "is_fast", False):  # it gives no offsets
            return text
        sanitized = sanitize_text(text)
        encoding = tokenizer(sanitized, truncation=True, max_length=length, return_offsets_mapping=True, verbose=False)
        complete = len(encoding["input_ids"]) < length
        return text if complete else sanitized[: max(end for _, end in encoding["offset_mapping"])]
