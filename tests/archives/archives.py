"""Archives in memory."""

import io

from charlm.archives.archive_reader import ArchiveReader
from charlm.archives.compress import BLOCK_BYTES, compress
from charlm.archives.decompress import decompress
from charlm.archives.model import CompressionModel


def pack(
    content: bytes,
    model: CompressionModel,
    *,
    num_lanes: int | None = None,
    verify: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> bytes:
    sink = io.BytesIO()
    found = compress(
        io.BytesIO(content),
        sink,
        model,
        lambda _: None,
        num_lanes=num_lanes,
        verify=verify,
        block_bytes=block_bytes,
    )
    assert (found.num_bytes, found.archive_bytes) == (len(content), len(sink.getvalue()))
    return sink.getvalue()


def unpack(archive: bytes, model: CompressionModel) -> bytes:
    """
    Raises:
        DataError: as `charlm decompress`.
    """
    sink = io.BytesIO()
    assert decompress(ArchiveReader(io.BytesIO(archive), "it"), sink, model, lambda _: None) == len(sink.getvalue())
    return sink.getvalue()
