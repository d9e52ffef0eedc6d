"""Text files as lines: unpacked, in the encoding that they turn out to have, and no line longer than memory allows."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import pyarrow as pa

from recsys.errors import InputFileError
from recsys.importing.columns import MAX_ROW_CHARS, ROW_TOO_LONG, ReadOptions

UNDECODED = "recsys.undecoded"
"""Bytes that cannot be decoded become lone surrogates, which `recsys.importing.fields.content` finds."""
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
"""By the first bytes of a file: endings lie, since browsers unpack what they download under its old name."""
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2")
BYTES_PER_READ = 2**20
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NOT_WESTERN = re.compile(rb"[\x80-\xff]{4,}|\xff\xfe|\xfe\xff")
"""Words of a language that needs another encoding, or halves of UTF-16."""


def _undecoded(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(UNDECODED, _undecoded)


class Lines:
    """The lines of a file. One longer than `MAX_ROW_CHARS` is skipped, and a ValueError stands in its place.

    `chars` counts characters since the caller last set it: several lines of one row, too, may not exceed the bound.
    """

    def __init__(self, file: TextIO) -> None:
        self._readline = file.readline
        self._head = ""
        self.chars = 0

    def peek(self) -> str:
        """What the next line begins with."""
        self._head = self._head or self._readline(MAX_ROW_CHARS)
        return self._head

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line, self._head = self._head or self._readline(MAX_ROW_CHARS), ""
        if not line:
            raise StopIteration
        self.chars += len(line)
        if self.chars >= MAX_ROW_CHARS:
            while len(line) == MAX_ROW_CHARS and line[-1] not in "\r\n":
                line = self._readline(MAX_ROW_CHARS)
            raise ValueError(ROW_TOO_LONG)
        return line


def plain_name(path: Path) -> str:
    """The name of the file that `path` is, or is a compressed form of."""
    return path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name


@contextmanager
def open_text(path: Path, options: ReadOptions, *, only_unicode: bool = False) -> Iterator[TextIO]:
    """The text of a file, unpacked on the fly. An encoding other than UTF-8 is noted.

    `only_unicode` detects no encoding of before Unicode.

    Raises:
        InputFileError: an unknown encoding, or a compressed file that is damaged.
    """
    try:
        encoding = _codec(options.encoding) if options.encoding else detect_encoding(path, only_unicode=only_unicode)
        if encoding not in ("utf-8", "utf-8-sig"):
            options.note(
                f"encoding {encoding}" + ("" if options.encoding else ", as detected; --encoding sets another")
            )
        with _open_bytes(path) as file, io.TextIOWrapper(file, encoding, errors=UNDECODED, newline="") as text:
            yield text
    except OSError as error:
        raise InputFileError(f"{path} cannot be read to its end: {error}; fetch it again, then import again") from error


def detect_encoding(path: Path, *, only_unicode: bool) -> str:
    """By its byte-order mark, else UTF-16 where every other byte is zero, else UTF-8 where that fits, else Windows-1252.

    Raises:
        InputFileError: another one.
    """
    with _open_bytes(path) as file:
        head = file.read(BYTES_PER_READ)
        marked = next((name for mark, name in BOMS.items() if head.startswith(mark)), None) or _utf_16(head[:4096])
        if marked or only_unicode:
            return marked or "utf-8"
        decoder, piece = codecs.getincrementaldecoder("utf-8")(), head
        try:
            while piece:
                decoder.decode(piece)
                piece = file.read(BYTES_PER_READ)
            return "utf-8"
        except UnicodeDecodeError:
            return _legacy(path, piece)


def _utf_16(head: bytes) -> str | None:
    """UTF-16 without a mark: text of mostly Latin letters has a zero beside each."""
    zeros = (head[::2].count(0), head[1::2].count(0))
    if 4 * max(zeros) < len(head) or 20 * min(zeros) > len(head):
        return None
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _legacy(path: Path, piece: bytes) -> str:
    """The encoding of `piece`, which is no UTF-8 all through.

    Where most of what is not ASCII is UTF-8, it is UTF-8 with damaged rows. Windows-1252 contains the letters of Latin-1.
    """
    beyond_ascii = [char for char in piece.decode(errors="surrogateescape") if char > "\x7f"]
    broken = sum("\ud800" <= char <= "\udfff" for char in beyond_ascii)
    foreign = sum(map(len, NOT_WESTERN.findall(piece)))
    if 2 * broken < len(beyond_ascii) or b"\xff\xfe" in piece or b"\xfe\xff" in piece:
        return "utf-8"
    if 2 * foreign > broken:
        raise InputFileError(
            f"{path} is not UTF-8: name its encoding, such as --encoding windows-1251, shift_jis or gb18030"
        )
    undefined = any(byte in piece for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D))  # in Windows-1252
    return "latin-1" if undefined else "windows-1252"


def _codec(name: str) -> str:
    """Raises InputFileError: no text encoding that Python knows."""
    try:
        "a".encode(name).decode(name)
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise InputFileError(
            f"unknown encoding {name!r}: give utf-8, utf-16, windows-1252, latin-1 or another that Python knows"
        ) from None
    return "utf-8-sig" if codec == "utf-8" else name


def _open_bytes(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        head = file.read(4)
    compression = next((name for magic, name in COMPRESSIONS.items() if head.startswith(magic)), None)
    if compression is None:
        return path.open("rb")
    return io.BufferedReader(cast("io.RawIOBase", pa.input_stream(str(path), compression=compression)), BYTES_PER_READ)
