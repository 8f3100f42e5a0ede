"""enwik8, the first 100,000,000 bytes of Wikipedia's XML of 3 March 2006, or a beginning of it -> one document.

Every byte belongs to the text, markup too: that is what published results are about. They cut it at byte offsets into
90, 5 and 5 million, and their "bits per character" are bits per byte.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import DataError
from charlm.text.document import Document, PageCounts, SourceTask
from charlm.text.download.retry import RetryPolicy
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.decoding import Decoder
from charlm.text.reading.documents import rechunk_text
from charlm.text.settings import Enwik8Settings
from charlm.text.sources.published_file import BenchmarkFile, BenchmarkSource

ENWIK8 = BenchmarkFile(
    "enwik8", 100_000_000, "sha1", "57b8363b814821dc9d47aa4d41f58733519076b2", zip_bytes=36_445_475
)  # fmt: skip
FILE_START = b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.3/"'
_VERSION = 1


@dataclass(frozen=True)
class Enwik8Task(SourceTask):
    """The whole file."""

    path: Path
    sha256: str
    benchmark: BenchmarkFile

    @property
    def key(self) -> str:
        return f"enwik8 {_VERSION} {self.sha256}"

    def documents(self, page_counts: PageCounts) -> Iterator[Document]:
        """
        Raises:
            DataError: not enwik8, nor a beginning of it, or not UTF-8 (names the offset).
        """
        size = 0

        def count_bytes(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                if not size:
                    self._check_start(chunk)
                size += len(chunk)
                yield chunk

        name = self.benchmark.name
        decoder = Decoder(allow_truncated=True)
        verified = self.benchmark.verified(str(self.path), count_bytes(read_chunks(self.path)))
        page_counts.pages += 1
        empty = True
        for text, is_last in rechunk_text(decoder.decode(str(self.path), verified)):
            empty = False
            yield Document(name, name, text, is_last_piece=is_last)
        if empty:
            raise DataError(f"{self.path} is empty", f"give {name}, or a beginning of it")
        page_counts.notes += self.benchmark.note(size)
        if decoder.truncated_bytes:
            page_counts.notes.append(
                f"{decoder.truncated_bytes} bytes at the end, a part of a character, were left out"
            )

    def _check_start(self, chunk: bytes) -> None:
        if not chunk.startswith(FILE_START[: len(chunk)]):
            raise DataError(
                f"{self.path} does not begin as {self.benchmark.name} does",
                "give the file as it was published, or read others with --source text or wikipedia",
            )


class Enwik8Source(BenchmarkSource):
    """The one document."""

    def __init__(
        self,
        settings: Enwik8Settings,
        *,
        cache: Path | None = None,
        retry_policy: RetryPolicy | None = None,
        benchmark: BenchmarkFile = ENWIK8,
    ) -> None:
        super().__init__(benchmark, settings.input, settings.url, Enwik8Task, cache=cache, retry_policy=retry_policy)
