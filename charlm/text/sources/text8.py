"""text8, 100,000,000 letters and spaces made of Wikipedia's text of March 2006 -> one document.

    text8, or a beginning of it ── 27 symbols, checked ─────────────────────────┬──> pieces of one document
    enwik8, enwik9, or a beginning ── text8_filter.text8_words, 100,000,000 ──┘

The result from the first 124 MB of enwik9 equals the published text8 byte for byte; enwik8 gives a beginning of it.
"""

import itertools
from collections.abc import Iterator

from charlm.errors import DataError
from charlm.text.document import PageCounts
from charlm.text.reading.chunks import read_chunks
from charlm.text.sources.published_file import BenchmarkFile, BenchmarkTask
from charlm.text.sources.text8_filter import text8_words

TEXT8 = BenchmarkFile("text8", 100_000_000, "md5", "3bea1919949baf155f99411df5fada7e", zip_bytes=31_344_016)
_SYMBOLS = b" abcdefghijklmnopqrstuvwxyz"
_XML = b"<mediawiki"


class Text8Task(BenchmarkTask):
    """The text of text8, read, or made from enwik8 or enwik9."""

    def read_text(self, page_counts: PageCounts) -> Iterator[str]:
        """
        Raises:
            DataError: more or other bytes than text8 has, and not enwik8 or enwik9.
        """
        size, name = 0, str(self.path)
        chunks = read_chunks(self.path)
        head = next(chunks, b"")
        rest = itertools.chain([head], chunks)
        is_xml = head.startswith(_XML)
        symbols = _take_bytes(self.benchmark.size, text8_words(rest)) if is_xml else _check_symbols(name, rest)
        for chunk in self.benchmark.verified(name, symbols):
            size += len(chunk)
            yield chunk.decode("ascii")
        page_counts.notes += [f"made from {self.path.name} by the published rules"] if is_xml else []
        page_counts.notes += self.benchmark.note(size)


def _take_bytes(num_bytes: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:num_bytes]
        num_bytes -= len(chunk)
        if num_bytes <= 0:
            return


def _check_symbols(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    offset = 0
    for chunk in chunks:
        if invalid := chunk.translate(None, _SYMBOLS):
            place = f"byte {invalid[0]:#04x} at offset {offset + chunk.index(invalid[:1])}"
            raise DataError(
                f"{name} has symbols other than the 27 of text8: {place}",
                "give text8, enwik8 or enwik9, or a beginning of one of them",
            )
        offset += len(chunk)
        yield chunk
