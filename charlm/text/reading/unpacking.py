"""A dump in one of four formats -> its XML bytes in pieces, each with its offset in the file.

    file ── magic bytes ──> bz2 | xz | gz ── every stream to its end ──> pieces of at most 256 KB
                            xml ──────────── unchanged ────────────────>

All damage is an error: a stream without an end, a wrong checksum, bytes after the last stream. (`bz2.open` ignores a
damaged later stream, hence the loop here, the same one for three formats.) The decompressors release the GIL.
"""

import bz2
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Literal, NamedTuple, Protocol

from charlm.errors import DataError, UsageError
from charlm.storage import storage_errors

_READ = 1 << 16
_MAX_OUTPUT_BYTES = 1 << 18
_XZ_MEMORY = 1 << 30
"""Bytes of memory for the dictionary of an xz file; the largest that `xz` makes by default takes 65 MB."""
_BYTE_ORDER_MARKS_AND_BLANKS = b"\xef\xbb\xbf\xfe\xff\0 \t\r\n"

DAMAGED_FILE_CURE = "the file is damaged: replace it by a new copy"
BZ2, XML = "bz2", "xml"
MAGIC = {BZ2: b"BZh", "xz": b"\xfd7zXZ\0", "gz": b"\x1f\x8b\x08", "zip": b"PK\x03\x04"}
"""Compressed format -> the first bytes of its files."""


class ReadableFile(Protocol):
    """A file: a Path, or a file on a server (`download.range_cache`). Errors name it by its str()."""

    @property
    def name(self) -> str: ...
    def open(self, mode: Literal["rb"], /) -> IO[bytes]: ...


class XmlChunk(NamedTuple):
    """Some bytes of XML, possibly empty, and the offset in the file up to which it was read for them."""

    xml: bytes
    offset: int


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class _Gunzip:
    """zlib's gzip decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._decompress = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._decompress.eof

    @property
    def needs_input(self) -> bool:
        return not self._decompress.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decompress.unused_data

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        return self._decompress.decompress(self._decompress.unconsumed_tail + data, max_length)


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    BZ2: bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "gz": _Gunzip,
}


def detect_format(path: ReadableFile) -> str:
    """Return `bz2`, `xz`, `gz` or `xml`, by the first bytes of the file; its name does not matter.

    Raises:
        UsageError: the file does not exist.
        DataError: it has none of these formats.
    """
    with open_to_read(path) as file, read_errors(path):
        magic = file.read(16)
    for name in _DECOMPRESSORS:
        if magic.startswith(MAGIC[name]):
            return name
    if magic.lstrip(_BYTE_ORDER_MARKS_AND_BLANKS).startswith(b"<"):
        return XML
    if is_json(magic.lstrip(_BYTE_ORDER_MARKS_AND_BLANKS).decode("latin-1")):
        raise json_error(path)
    cure = "give a .xml.bz2, .xml.xz, .xml.gz or .xml file (unpack .7z and others first)"
    if not magic:
        raise DataError(f"{path} is empty", cure)
    raise DataError(
        f"{path} is not a dump in one of the four formats",
        f"for plain text run `charlm prepare --source text --input {path}`; for a dump {cure}",
    )


def is_json(beginning: str) -> bool:
    """Return whether a text that begins so is an object or a list in JSON, and not XML with a damaged first byte."""
    return re.match(r"[\[{]\s*(?:[\"{}\[\]]|$)", beginning) is not None


def json_error(path: ReadableFile) -> DataError:
    """Return the error for JSON in the place of a dump of wikitext."""
    return DataError(
        f"{path} holds JSON, and a dump of wikitext is XML",
        f"read datasets and search dumps (cirrussearch) with `charlm prepare --source hub --input {path}`",
    )


def read_xml(path: ReadableFile, format_name: str, start: int = 0, end: int | None = None) -> Iterator[XmlChunk]:
    """Yield the XML of the file, or of its whole streams from byte `start` to byte `end`.

    Raises:
        DataError: corrupt, truncated, bytes after the last stream, or no stream ends at `end`; with the offset.
        StorageError: the file cannot be read.
    """
    with open_to_read(path) as file, read_errors(path):
        file.seek(start)
        if format_name in _DECOMPRESSORS:
            yield from _decompress(path, file, format_name, start, end)
            return
        offset = start
        while xml := file.read(_READ):
            offset += len(xml)
            yield XmlChunk(xml, offset)


def read_errors(path: ReadableFile) -> AbstractContextManager[None]:
    """Turn errors of the disk into StorageErrors; those of a server are NetworkErrors already."""
    return storage_errors(path, "read") if isinstance(path, Path) else nullcontext()


def open_to_read(path: ReadableFile) -> IO[bytes]:
    """Open a file to read bytes.

    Raises:
        UsageError: the file does not exist.
    """
    with read_errors(path):
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {path}", "check the path") from error


def file_size(path: ReadableFile) -> int:
    """Return the size of the file in bytes."""
    with open_to_read(path) as file:
        return file.seek(0, os.SEEK_END)


def _decompress(path: ReadableFile, file: IO[bytes], name: str, start: int, end: int | None) -> Iterator[XmlChunk]:
    decompressor = _DECOMPRESSORS[name]()
    input_end = start  # offset after the bytes that the decompressor was given; `start` is the offset of its stream
    pending = b""
    while True:
        if decompressor.eof:
            pending = decompressor.unused_data
            start = input_end - len(pending)
            decompressor = _DECOMPRESSORS[name]()
        elif decompressor.needs_input and not pending:
            pending = file.read(_READ if end is None else min(_READ, end - input_end))
            input_end += len(pending)
            if not pending:
                if start == input_end and end in (None, input_end):
                    return
                raise DataError(
                    f"{path} {_unfinished_message(name, start, input_end, bool(file.read(1)))}", DAMAGED_FILE_CURE
                )
        if start == input_end - len(pending) and pending and not MAGIC[name].startswith(pending[: len(MAGIC[name])]):
            raise DataError(
                f"{path}: the data at byte {start:,} are not a{'n' * (name == 'xz')} {name} stream", DAMAGED_FILE_CURE
            )
        try:
            decompressed = decompressor.decompress(pending, _MAX_OUTPUT_BYTES)
        except (OSError, lzma.LZMAError, zlib.error, EOFError) as error:
            place = f"in the stream that starts at byte {start:,}, before byte {input_end:,}"
            raise DataError(f"{path}: corrupt {name} {place}", DAMAGED_FILE_CURE) from error
        pending = b""
        yield XmlChunk(decompressed, input_end - len(decompressor.unused_data))


def _unfinished_message(name: str, start: int, input_end: int, goes_on: bool) -> str:
    if goes_on:
        return f"seems to start a {name} stream at byte {input_end:,}, inside the stream that starts at byte {start:,}"
    return f"ends at byte {input_end:,}, inside the {name} stream that starts at byte {start:,}"
