"""A file -> an archive, block by block: memory does not depend on the length of the file.

source ──BLOCK_BYTES──> content ──BlockEncoder──> block ──BlockDecoder: the same content?──> sink
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from charlm.archives.archive import ByteSink, ByteSource, Header, StoredBlock
from charlm.archives.archive_writer import ArchiveWriter
from charlm.archives.blocks import BlockDecoder, BlockEncoder
from charlm.archives.lanes import choose_lanes
from charlm.archives.model import CompressionModel
from charlm.archives.symbols import SymbolCodec, split_at_character

BLOCK_BYTES = 1 << 20

OnProgress = Callable[[float], None]
"""Called with the bytes of the file that were coded since the last call."""


@dataclass(frozen=True)
class CompressionResult:
    """What `compress` read and wrote."""

    num_bytes: int
    archive_bytes: int
    num_lanes: int
    num_blocks: int
    stored_blocks: int


def compress(
    source: ByteSource,
    sink: ByteSink,
    model: CompressionModel,
    on_progress: OnProgress,
    *,
    num_lanes: int | None = None,
    verify: bool = True,
    model_files: Mapping[str, Path] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> CompressionResult:
    """Write an archive of all that `source` gives.

    Args:
        num_lanes: None: as many as suit the first block.
        verify: decode each block before it is written. A second predictor does this, so it takes as long again.
        model_files: those of `MODEL_FILES` that are put into the archive; none: it does not hold its model.
    """
    codec = SymbolCodec(model.vocab)
    content, rest = _read_block(source, b"", block_bytes)
    symbols_N = codec.encode(content)
    num_lanes = num_lanes or choose_lanes(len(symbols_N))
    header = Header(num_lanes, model.digest, model.name, bool(model_files))
    writer = ArchiveWriter(sink, header, model_files or {})
    encoder = BlockEncoder(model.predictor, num_lanes)
    checker = BlockDecoder(model.open_another(), num_lanes, codec) if verify else None
    num_bytes = num_blocks = stored_blocks = 0
    while content:
        passes = 1 if checker is None else 2

        def on_symbols(count: int, share: float = len(content) / len(symbols_N) / passes) -> None:
            on_progress(count * share)

        block = encoder.encode(content, symbols_N, on_symbols)
        if checker is not None and checker.decode(block, on_symbols) != content:
            raise AssertionError("the archive does not decode to the file")
        writer.write(block, content)
        num_bytes += len(content)
        num_blocks += 1
        stored_blocks += isinstance(block, StoredBlock)
        content, rest = _read_block(source, rest, block_bytes)
        symbols_N = codec.encode(content)
    writer.finish()
    return CompressionResult(num_bytes, writer.num_bytes, num_lanes, num_blocks, stored_blocks)


def _read_block(source: ByteSource, rest: bytes, block_bytes: int) -> tuple[bytes, bytes]:
    """Return the next block, which does not end inside a character, and the bytes behind it that were read."""
    content = rest + source.read(block_bytes - len(rest))
    if len(content) < block_bytes:
        return content, b""
    length = split_at_character(content)
    return content[:length], content[length:]
