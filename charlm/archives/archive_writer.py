"""Writing the format of `archive.py`."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from charlm import formats, storage
from charlm.archives.archive import (
    CODED,
    COPIED_BYTES,
    EMBEDDED,
    END,
    MAGIC,
    MODEL_FILES,
    STORED,
    Block,
    ByteSink,
    CodedBlock,
    Header,
    StoredBlock,
)

_MAX_NAME_BYTES = 64


class ArchiveWriter:
    """Writes an archive from the first byte to the last."""

    def __init__(self, sink: ByteSink, header: Header, model_files: Mapping[str, Path] = MappingProxyType({})) -> None:
        """Write the header.

        Args:
            model_files: those of `MODEL_FILES` that an embedded model has.
        """
        self._sink = sink
        self.num_bytes = 0
        """Bytes written."""
        self._content_bytes = self._crc = 0
        name = cut_name(header.name)
        flags = EMBEDDED if header.is_embedded else 0
        self._write_header(MAGIC + bytes([formats.ARCHIVE, flags]) + _number(header.num_lanes) + header.digest)
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
                self._write(bytes([CODED]) + b"".join(map(_number, numbers)) + block.code)
            case StoredBlock():
                self._write(bytes([STORED]) + _number(len(block.content)) + block.content)
        self._write(self._crc.to_bytes(4, "little"))

    def finish(self) -> None:
        """Write the end."""
        self._write(bytes([END]) + _number(self._content_bytes))

    def _embed(self, files: Mapping[str, Path]) -> None:
        self._write_header(bytes([len(files)]))
        for name in sorted(files, key=MODEL_FILES.index):
            path = files[name]
            with storage.storage_errors(path, "read"), open(path, "rb") as file:
                size = path.stat().st_size
                self._write_header(bytes([MODEL_FILES.index(name)]) + size.to_bytes(8, "little"))
                while part := file.read(COPIED_BYTES):
                    self._write_header(part)

    def _write_header(self, content: bytes) -> None:
        self._crc = zlib.crc32(content, self._crc)
        self._write(content)

    def _write(self, content: bytes) -> None:
        self._sink.write(content)
        self.num_bytes += len(content)


def _number(value: int) -> bytes:
    """Return a number as unsigned LEB128."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def cut_name(name: str) -> bytes:
    """Return the beginning of a name in UTF-8, as far as a header has room for it."""
    return name.encode("utf-8", "replace")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").encode("utf-8")
