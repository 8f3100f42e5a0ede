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

from dataclasses import dataclass
from typing import Protocol

MAX_BLOCK_BYTES = 1 << 22
DIGEST_BYTES = 8
MODEL_FILES = ("integer.safetensors", "vocab.json", "vocab.model")
"""The files of an embedded model, whose place here says in the archive which one it is."""

MAGIC = b"\x8fCLM"
EMBEDDED = 1
"""The flag of an archive that holds its model."""
CODED, STORED, END = 1, 2, 0
COPIED_BYTES = 1 << 20
"""Of an embedded model, at once in memory."""


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
    """A block in its original bytes, because its code would be longer."""

    content: bytes


Block = CodedBlock | StoredBlock
