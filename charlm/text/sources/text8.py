"""text8, 100,000,000 letters and spaces made of Wikipedia's text of March 2006 -> one document.

    text8, or a beginning of it ── 27 symbols, checked ──────────────────────┬──> pieces of one document
    enwik8, enwik9, or a beginning ── text8_filter.clean, to 100,000,000 ──┘

Made from the first 124 MB or so of enwik9, it is the published text8 byte for byte; enwik8 gives a beginning of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import DataError
from charlm.text.document import Document, PageCounts, SourceTask
from charlm.text.download.retry import RetryPolicy
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.documents import rechunk_text
from charlm.text.settings import Text8Settings
from charlm.text.sources.published_file import BenchmarkFile, BenchmarkSource
from charlm.text.sources.text8_filter import text8_words

TEXT8 = BenchmarkFile("text8", 100_000_000, "md5", "3bea1919949baf155f99411df5fada7e", zip_bytes=31_344_016)
_SYMBOLS = b" abcdefghijklmnopqrstuvwxyz"
_XML = b"<mediawiki"
_VERSION = 1


@dataclass(frozen=True)
class Text8Task(SourceTask):
    """The whole file."""

    path: Path
    sha256: str
    benchmark: BenchmarkFile

    @property
    def key(self) -> str:
        return f"text8 {_VERSION} {self.sha256}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            DataError: more or other bytes than text8 has, nor enwik8 or enwik9; or no text in them.
        """
        size, name, display_name = 0, self.benchmark.name, str(self.path)
        chunks = read_chunks(self.path)
        head = next(chunks, b"")
        rest = _prepend(head, chunks)
        is_xml = head.startswith(_XML)
        symbols = _take_bytes(self.benchmark.size, text8_words(rest)) if is_xml else _check_symbols(display_name, rest)
        page_counts.pages += 1
        letters = (chunk.decode("ascii") for chunk in self.benchmark.verified(display_name, symbols))
        for text, is_last in rechunk_text(letters):
            size += len(text)
            yield Document(name, name, text, is_last_piece=is_last)
        if not size:
            raise DataError(
                f"there is no text in {display_name}", "give text8, enwik8 or enwik9, or a beginning of them"
            )
        page_counts.notes += [f"made from {self.path.name} by the published rules"] if is_xml else []
        page_counts.notes += self.benchmark.note(size)


class Text8Source(BenchmarkSource):
    """The one document."""

    def __init__(
        self,
        settings: Text8Settings,
        *,
        cache: Path | None = None,
        retry_policy: RetryPolicy | None = None,
        benchmark: BenchmarkFile = TEXT8,
    ) -> None:
        super().__init__(benchmark, settings.input, settings.url, Text8Task, cache=cache, retry_policy=retry_policy)


def _prepend(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


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
                f"{name} has other symbols than the 27 of text8: {place}",
                "give text8, enwik8 or enwik9, or a beginning of one of them",
            )
        offset += len(chunk)
        yield chunk
