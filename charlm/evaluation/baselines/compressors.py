"""General compressors: the compressed size of a text.

chunks of bytes ──PPMd, xz, zstd, bz2──> number of compressed bytes

`window_bytes` is the length of text that a dictionary should cover: that of the longest text whose size is compared,
so that all compared sizes come from the same settings.
"""

import bz2
import importlib
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from charlm.evaluation.baselines.settings import MIB

_XZ_PRESET = 9 | lzma.PRESET_EXTREME
_XZ_DICTIONARY = 64 * MIB  # of preset 9


class Compressor(Protocol):
    @property
    def name(self) -> str: ...

    def describe(self, window_bytes: int) -> str:
        """Return the name of the program and its settings."""
        ...

    def size(self, chunks: Iterable[bytes], window_bytes: int) -> int:
        """Return the bytes of all chunks compressed as one text.

        Raises:
            MemoryError: there is not enough memory.
        """
        ...


class _Stream(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Ppmd:
    """PPMd variant H: prediction by partial matching with information inheritance (Shkarin, 2002)."""

    order: int
    memory: int
    """Bytes."""

    @property
    def name(self) -> str:
        return f"ppmd-{self.order}"

    def describe(self, window_bytes: int) -> str:
        del window_bytes
        return f"PPMd variant H, order {self.order}, {self.memory // MIB:,} MiB"

    def size(self, chunks: Iterable[bytes], window_bytes: int) -> int:
        del window_bytes
        module: Any = importlib.import_module("pyppmd")  # an optional dependency
        encoder = module.Ppmd7Encoder(self.order, self.memory)
        return sum(len(encoder.encode(chunk)) for chunk in chunks) + len(encoder.flush())


@dataclass(frozen=True, slots=True)
class Xz:
    """xz -9e, with a longer dictionary for a text longer than the preset's."""

    max_dictionary: int
    """Bytes."""

    @property
    def name(self) -> str:
        return "xz"

    def describe(self, window_bytes: int) -> str:
        return f"xz, preset 9 extreme, dictionary {self._dictionary(window_bytes) // MIB:,} MiB"

    def size(self, chunks: Iterable[bytes], window_bytes: int) -> int:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": _XZ_PRESET, "dict_size": self._dictionary(window_bytes)}]
        return _streamed_size(lzma.LZMACompressor(filters=filters), chunks)

    def _dictionary(self, window_bytes: int) -> int:
        whole_mib = -(-window_bytes // MIB) * MIB
        return max(_XZ_DICTIONARY, min(self.max_dictionary, whole_mib))


@dataclass(frozen=True, slots=True)
class Zstd:
    """zstd at its highest level. pyarrow offers that level for whole texts only, so all of the text is in memory."""

    @property
    def name(self) -> str:
        return "zstd"

    def describe(self, window_bytes: int) -> str:
        del window_bytes
        return f"zstd, level {pa.Codec.maximum_compression_level('zstd')}"

    def size(self, chunks: Iterable[bytes], window_bytes: int) -> int:
        del window_bytes
        codec = pa.Codec("zstd", compression_level=pa.Codec.maximum_compression_level("zstd"))
        return len(codec.compress(b"".join(chunks), asbytes=False))


@dataclass(frozen=True, slots=True)
class Bz2:
    """bzip2 -9."""

    @property
    def name(self) -> str:
        return "bz2"

    def describe(self, window_bytes: int) -> str:
        del window_bytes
        return "bzip2, blocks of 900 kB"

    def size(self, chunks: Iterable[bytes], window_bytes: int) -> int:
        del window_bytes
        return _streamed_size(bz2.BZ2Compressor(9), chunks)


def _streamed_size(stream: _Stream, chunks: Iterable[bytes]) -> int:
    return sum(len(stream.compress(chunk)) for chunk in chunks) + len(stream.flush())
