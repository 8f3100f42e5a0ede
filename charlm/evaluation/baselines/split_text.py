"""The text of a split as a compressor gets it: each document's UTF-8, and behind each the byte 0xFF for its <eod>.

documents/SPLIT-*.parquet ──> UTF-8 ──> doc1 FF doc2 FF ...     a text cut by a split has no FF behind its first part

No UTF-8 holds that byte, so the documents could be had back from it: the ends of documents are paid for, as a network
pays for them.
"""

from collections.abc import Iterator

from charlm.data.corpus import Corpus
from charlm.data.documents import read_parts
from charlm.errors import DataError

END_OF_DOCUMENT = b"\xff"
_CHUNK = 1 << 20


def split_bytes(corpus: Corpus, split: str) -> Iterator[bytes]:
    """The text of a split, in chunks of some MiB at most.

    Raises:
        DataError: the documents are missing, damaged, or others than those of the token stream.
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
            f"the documents of {corpus.directory} have {num_bytes:,} bytes in {split}, its tokens stand for "
            f"{expected:,}",
            "prepare the corpus again with --overwrite",
        )
