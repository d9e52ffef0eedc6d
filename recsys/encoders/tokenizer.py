"""Texts to token ids, and those to padded tensors. Any tokenizer of the library is one JSON string."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.normalizers import NFKC, BertNormalizer
from tokenizers.pre_tokenizers import Metaspace, Punctuation
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from models.batch import TokenBatch
from models.errors import ConfigError

Tokens = NDArray[np.int64]

UNKNOWN = "[UNK]"
SPACE = "▁"
"""Marks a blank in a vocabulary that is trained here."""

SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")


class TextTokenizer:
    """Cuts texts into at most `max_length` tokens, `[CLS]` first and `[SEP]` last, also where the text is empty.

    Raises:
        ConfigError: `definition` is no tokenizer.
    """

    def __init__(self, definition: str, *, max_length: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(definition)
        except Exception as error:  # tokenizers raises no class of its own
            raise ConfigError(f"this is no tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self.definition = definition
        self.vocabulary = self._tokenizer.get_vocab_size()

    @property
    def cls(self) -> int:
        """The id of the token that begins a text."""
        return int(self._tokenizer.encode("").ids[0])

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """The token ids of each text."""
        return [np.array(text.ids, dtype=np.int64) for text in self._tokenizer.encode_batch(list(texts))]

    def knows(self, text: str) -> bool:
        """Is any part of `text` in the vocabulary?"""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).tokens
        return any(token.strip(SPACE) not in ("", UNKNOWN) for token in tokens)

    def head(self, text: str) -> str:
        """The start of `text` that becomes tokens: all of it where it is not truncated."""
        encoding = self._tokenizer.encode(text)
        return text[: max(end for _, end in encoding.offsets)] if encoding.overflowing else text


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = 8000) -> str:
    """A byte-pair tokenizer of at most `vocabulary` pieces learned from a catalogue's texts, as JSON; case is folded.

    The trainers of WordPiece and Unigram number their pieces otherwise in each run; this one gives the same bits.
    """
    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([NFKC(), BertNormalizer(lowercase=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([Metaspace(SPACE), Punctuation()])
    trainer = BpeTrainer(vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return str(tokenizer.to_str())


def collate_tokens(
    texts: Sequence[Tokens],
    *,
    experts: Sequence[int] | None = None,
    length: int | None = None,
    device: torch.device | str = "cpu",
) -> TokenBatch:
    """Token ids of each text, padded on the right to the longest, or to `length` where none is longer.

    `experts` has one number per text.
    """
    lengths = np.array([len(text) for text in texts])
    real = np.arange(length or max(1, int(lengths.max(initial=0)))) < lengths[:, None]
    tokens = np.zeros(real.shape, dtype=np.int64)
    tokens[real] = np.concatenate([*texts, np.empty(0, dtype=np.int64)])
    expert = None if experts is None else torch.tensor(list(experts), dtype=torch.int64, device=device)
    return TokenBatch(torch.from_numpy(tokens).to(device), torch.from_numpy(real).to(device), expert)
