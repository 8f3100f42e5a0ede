"""The file that `charlm compress` writes: a header, blocks with checksums, and an end.

    header   magic (4)  version (1)  flags (1)  lanes  digest of the model (8)  length of its name (1)  name
             with an embedded model: number of files (1), and of each: which one (1), length (8, little-endian), content
             CRC-32 of all this (4)
    block    1  symbols  bytes  length of the code  code  CRC-32 of the content so far (4)
             2  bytes  content  CRC-32 of the content so far (4)                              stored as it is
    end      0  bytes of the whole content

A number without a size is an unsigned LEB128. The CRC of a block goes on from that of the block before, and the first
one from the header's, so that a block in another place is noticed. Every length is checked before memory is taken.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from charlm import formats, storage
from charlm.compression.lanes import MAX_LANES
from charlm.compression.symbols import MAX_SYMBOLS_PER_BYTE
from charlm.errors import DataError

MAX_BLOCK_BYTES = 1 << 22
DIGEST_BYTES = 8
MODEL_FILES = ("integer.safetensors", "vocab.json", "vocab.model")
"""The files of an embedded model, whose place here says in the archive which one it is."""

_MAGIC = b"\x8fCLM"
_EMBEDDED = 1
_MAX_NAME_BYTES = 64
_CODED, _STORED, _END = 1, 2, 0
_MAX_NUMBER_BYTES = 9
_COPIED_BYTES = 1 << 20
_CURE = "get the archive again"


class ByteSource(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return so many bytes; fewer only at the end."""
        ...


class ByteSink(Protocol):
    def write(self, content: bytes, /) -> object: ...


@dataclass(frozen=True)
class Header:
    """What an archive says about the model that it needs."""

    num_lanes: int
    digest: bytes
    name: str
    """Of the run; a longer name is cut."""
    is_embedded: bool = False


@dataclass(frozen=True)
class CodedBlock:
    """The code of a block's symbols."""

    num_symbols: int
    num_bytes: int
    code: bytes


@dataclass(frozen=True)
class StoredBlock:
    """A block that would grow, as it is."""

    content: bytes


Block = CodedBlock | StoredBlock


class ArchiveWriter:
    """Writes an archive from the first byte to the last."""

    def __init__(self, sink: ByteSink, header: Header, model_files: Sequence[Path] = ()) -> None:
        """Write the header.

        Args:
            model_files: those of `MODEL_FILES` that an embedded model has, in their order.
        """
        self._sink = sink
        self.num_bytes = 0
        """Bytes written."""
        self._content_bytes = self._crc = 0
        name = _cut_name(header.name)
        flags = _EMBEDDED if header.is_embedded else 0
        self._write_header(_MAGIC + bytes([formats.ARCHIVE, flags]) + _number(header.num_lanes) + header.digest)
        self._write_header(bytes([len(name)]) + name)
        if header.is_embedded:
            self._embed(model_files)
        self._write(self._crc.to_bytes(4, "little"))

    def write(self, block: Block, content: bytes) -> None:
        """Write a block; `content` is what it decodes to."""
        self._crc = zlib.crc32(content, self._crc)
        self._content_bytes += len(content)
        match block:
            case CodedBlock():
                numbers = (block.num_symbols, block.num_bytes, len(block.code))
                self._write(bytes([_CODED]) + b"".join(map(_number, numbers)) + block.code)
            case StoredBlock():
                self._write(bytes([_STORED]) + _number(len(block.content)) + block.content)
        self._write(self._crc.to_bytes(4, "little"))

    def finish(self) -> None:
        """Write the end."""
        self._write(bytes([_END]) + _number(self._content_bytes))

    def _embed(self, files: Sequence[Path]) -> None:
        self._write_header(bytes([len(files)]))
        for path in files:
            with storage.storage_errors(path, "read"), open(path, "rb") as file:
                size = path.stat().st_size
                self._write_header(bytes([MODEL_FILES.index(path.name)]) + size.to_bytes(8, "little"))
                while part := file.read(_COPIED_BYTES):
                    self._write_header(part)

    def _write_header(self, content: bytes) -> None:
        self._crc = zlib.crc32(content, self._crc)
        self._write(content)

    def _write(self, content: bytes) -> None:
        self._sink.write(content)
        self.num_bytes += len(content)


class ArchiveReader:
    """Reads an archive from the first byte to the last; whatever it is, a DataError says what is wrong with it."""

    def __init__(self, source: ByteSource, name: str) -> None:
        """Read the header, up to the embedded model.

        Args:
            name: of the archive, for messages.

        Raises:
            DataError: this is no archive, a damaged one, or one of a later version.
        """
        self.name = name
        self._source = source
        self._place = "its header"
        self._content_bytes = self._crc = 0
        magic = source.read(len(_MAGIC))
        if magic != _MAGIC:
            what = "is no archive of `charlm compress`" if magic else "is empty, and no archive"
            raise DataError(f"{name} {what}", "give a file that `charlm compress` wrote")
        self._crc = zlib.crc32(magic)
        version, flags = self._read_header(2)
        if version > formats.ARCHIVE or flags > _EMBEDDED:
            raise DataError(
                f"{name} has format {version}.{flags}; this charlm reads up to {formats.ARCHIVE}.{_EMBEDDED}",
                "upgrade charlm, or get the archive again",
            )
        num_lanes = self._read_number(1, MAX_LANES, in_header=True)
        digest = self._read_header(DIGEST_BYTES)
        run_name = self._read_header(self._read_header(1)[0]).decode("utf-8", "replace")
        self.header = Header(num_lanes, digest, run_name, bool(flags & _EMBEDDED))
        if not self.header.is_embedded:
            self._check_crc()

    def extract_model(self, folder: Path) -> None:
        """Write the files of the embedded model into a folder.

        Raises:
            DataError: they are damaged.
        """
        last = -1
        for _ in range(self._read_header(1)[0]):
            which = self._read_header(1)[0]
            if not last < which < len(MODEL_FILES):
                raise self._damaged("its embedded model has an unknown file")
            last = which
            missing = int.from_bytes(self._read_header(8), "little")
            with storage.atomic_file(folder / MODEL_FILES[which]) as file:
                while missing:
                    part = self._read_header(min(missing, _COPIED_BYTES))
                    file.write(part)
                    missing -= len(part)
        self._check_crc()

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks. `check` must have been called for each one before the next is read.

        Raises:
            DataError: the archive is damaged or incomplete, or something stands behind its end.
        """
        number = 0
        while True:
            number += 1
            self._place = f"block {number:,}"
            kind = self._read(1)[0]
            if kind == _CODED:
                num_symbols = self._read_number(1, MAX_SYMBOLS_PER_BYTE * MAX_BLOCK_BYTES)
                num_bytes = self._read_number(-(-num_symbols // MAX_SYMBOLS_PER_BYTE), MAX_BLOCK_BYTES)
                yield CodedBlock(num_symbols, num_bytes, self._read(self._read_number(0, num_bytes)))
            elif kind == _STORED:
                yield StoredBlock(self._read(self._read_number(1, MAX_BLOCK_BYTES)))
            elif kind == _END:
                break
            else:
                raise self._damaged(f"its kind is {kind}")
        self._place = "its end"
        if self._read_number(0, 1 << 62) != self._content_bytes:
            raise self._damaged("blocks are missing")
        if self._source.read(1):
            raise self._damaged("more data follow it")

    def check(self, content: bytes | None) -> bytes:
        """Return what the last block decoded to, if it is what was compressed; None: it could not be decoded.

        Raises:
            DataError: it is not what was compressed.
        """
        if content is None:
            raise self._damaged("nothing has this code")
        self._crc = zlib.crc32(content, self._crc)
        self._content_bytes += len(content)
        self._check_crc()
        return content

    def _check_crc(self) -> None:
        if self._read(4) != self._crc.to_bytes(4, "little"):
            raise self._damaged("its checksum does not match")

    def _damaged(self, why: str) -> DataError:
        return DataError(f"{self.name} is damaged in {self._place}: {why}", _CURE)

    def _read(self, size: int) -> bytes:
        content = self._source.read(size)
        if len(content) < size:
            raise DataError(f"{self.name} is incomplete: it breaks off in {self._place}", _CURE)
        return content

    def _read_header(self, size: int) -> bytes:
        content = self._read(size)
        self._crc = zlib.crc32(content, self._crc)
        return content

    def _read_number(self, minimum: int, maximum: int, *, in_header: bool = False) -> int:
        """Read a number in these bounds."""
        value = 0
        for index in range(_MAX_NUMBER_BYTES):
            byte = (self._read_header(1) if in_header else self._read(1))[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        else:
            raise self._damaged("it has a number without end")
        if not minimum <= value <= maximum:
            raise self._damaged(f"it has the number {value:,}, which must be {minimum:,} to {maximum:,}")
        return value


def _number(value: int) -> bytes:
    """Return a number as unsigned LEB128."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _cut_name(name: str) -> bytes:
    return name.encode("utf-8", "replace")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").encode("utf-8")
