"""Reading the format of `archive.py`, whoever wrote it."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from charlm import formats, storage
from charlm.archives.archive import (
    CODED,
    COPIED_BYTES,
    DIGEST_BYTES,
    EMBEDDED,
    END,
    MAGIC,
    MAX_BLOCK_BYTES,
    MODEL_FILES,
    STORED,
    Block,
    ByteSource,
    CodedBlock,
    Header,
    StoredBlock,
)
from charlm.archives.lanes import MAX_LANES
from charlm.archives.symbols import MAX_SYMBOLS_PER_BYTE
from charlm.errors import DataError

_MAX_NUMBER_BYTES = 9
_MAX_MODEL_BYTES = 1 << 30
"""Of a file of an embedded model."""
_CURE = "get the archive again"


class ArchiveReader:
    """Reads an archive from its first byte to its last. A damaged or foreign one raises a DataError with the reason."""

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
        magic = source.read(len(MAGIC))
        if magic != MAGIC:
            what = "is no archive of `charlm compress`" if magic else "is empty, and no archive"
            raise DataError(f"{name} {what}", "give a file that `charlm compress` wrote")
        self._crc = zlib.crc32(magic)
        version, flags = self._read_header(2)
        if version > formats.ARCHIVE or flags > EMBEDDED:
            raise DataError(
                f"{name} has format {version}.{flags}; this charlm reads up to {formats.ARCHIVE}.{EMBEDDED}",
                "upgrade charlm, or get the archive again",
            )
        num_lanes = self._read_number(1, MAX_LANES, in_header=True)
        digest = self._read_header(DIGEST_BYTES)
        run_name = self._read_header(self._read_header(1)[0]).decode("utf-8", "replace")
        self.header = Header(num_lanes, digest, run_name, bool(flags & EMBEDDED))
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
            if missing > _MAX_MODEL_BYTES:
                raise self._damaged(f"its embedded model has {missing:,} bytes")
            with storage.atomic_file(folder / MODEL_FILES[which]) as file:
                while missing:
                    part = self._read_header(min(missing, COPIED_BYTES))
                    file.write(part)
                    missing -= len(part)
        self._check_crc()

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks. `check` must have been called for each one before the next is read.

        Raises:
            DataError: the archive is damaged or incomplete, or bytes follow its end.
        """
        number = 0
        while True:
            number += 1
            self._place = f"block {number:,}"
            kind = self._read(1)[0]
            if kind == CODED:
                num_symbols = self._read_number(1, MAX_SYMBOLS_PER_BYTE * MAX_BLOCK_BYTES)
                num_bytes = self._read_number(-(-num_symbols // MAX_SYMBOLS_PER_BYTE), MAX_BLOCK_BYTES)
                yield CodedBlock(num_symbols, num_bytes, self._read(self._read_number(0, num_bytes)))
            elif kind == STORED:
                yield StoredBlock(self._read(self._read_number(1, MAX_BLOCK_BYTES)))
            elif kind == END:
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
