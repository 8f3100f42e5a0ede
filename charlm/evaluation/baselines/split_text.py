"""The text of a split for a compressor: each document in UTF-8, followed by the byte 0xFF for its <eod>.

documents/SPLIT-*.parquet ──> UTF-8 ──> doc1 FF doc2 FF ...     no FF where a split cuts a document

UTF-8 never contains that byte, so the documents can be recovered: a compressor encodes the ends of documents, as a
network predicts them.
"""

from collections.abc import Iterator

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.errors import DataError

END_OF_DOCUMENT = b"\xff"
_CHUNK = 1 << 20


def split_bytes(corpus: Corpus, split: str) -> Iterator[bytes]:
    """Yield the text of a split in chunks of at most 1 MiB.

    Raises:
        DataError: the documents are missing or damaged, or do not match the token stream.
    """
    num_bytes = 0
    for part in read_parts(corpus.directory / "documents", split):
        text = part.document.text.encode("utf-8")
        num_bytes += len(text)
        for start in range(0, len(text), _CHUNK):
            yield text[start : start + _CHUNK]
        if part.is_last_part:
            yield END_OF_DOCUMENT
    expected = corpus.open(split).count("bytes")
    if num_bytes != expected:
        raise DataError(
            f"the documents of {corpus.directory} have {num_bytes:,} bytes in {split}, its tokens {expected:,}",
            "prepare the corpus again with --overwrite",
        )
