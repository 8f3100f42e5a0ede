"""An archive -> the file, block by block; each block is checked before it is written."""

from charlm.archives.archive import ByteSink, CodedBlock
from charlm.archives.archive_reader import ArchiveReader
from charlm.archives.blocks import BlockDecoder
from charlm.archives.compress import OnProgress
from charlm.archives.model import CompressionModel
from charlm.archives.symbols import SymbolCodec
from charlm.errors import DataError


def decompress(reader: ArchiveReader, sink: ByteSink, model: CompressionModel, on_progress: OnProgress) -> int:
    """Write the content of an archive; return its bytes.

    Raises:
        DataError: it was compressed with another model, or it is damaged.
    """
    header = reader.header
    if model.digest != header.digest:
        raise DataError(
            f"{reader.name} was compressed with the model {header.digest.hex()} of {header.name!r}, and {model.name} is"
            f" the model {model.digest.hex()}",
            "name the run and --checkpoint that compressed it, with its integer.safetensors",
        )
    decoder = BlockDecoder(model.predictor, header.num_lanes, SymbolCodec(model.vocab))
    num_bytes = 0
    for block in reader.blocks():
        share = block.num_bytes / block.num_symbols if isinstance(block, CodedBlock) else 0.0

        def on_symbols(count: int, share: float = share) -> None:
            on_progress(count * share)

        content = reader.check(decoder.decode(block, on_symbols))
        sink.write(content)
        num_bytes += len(content)
    return num_bytes
