"""enwik8, the first 100,000,000 bytes of Wikipedia's XML of 3 March 2006, or a beginning of it -> one document.

The text is every byte, including markup, as in published results. They cut it at byte offsets into 90, 5 and 5
million, and their "bits per character" are bits per byte.
"""

from collections.abc import Iterable, Iterator

from charlm.errors import DataError
from charlm.text.document import PageCounts
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.decoding import Decoder
from charlm.text.sources.published_file import BenchmarkFile, BenchmarkTask

ENWIK8 = BenchmarkFile(
    "enwik8", 100_000_000, "sha1", "57b8363b814821dc9d47aa4d41f58733519076b2", zip_bytes=36_445_475
)  # fmt: skip
FILE_START = b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.3/"'


class Enwik8Task(BenchmarkTask):
    """The bytes of enwik8 or of a beginning of it, decoded."""

    def read_text(self, page_counts: PageCounts) -> Iterator[str]:
        """
        Raises:
            DataError: neither enwik8 nor a beginning of it, or not UTF-8 (names the offset).
        """
        size = 0

        def count_bytes(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                if not size:
                    self._check_start(chunk)
                size += len(chunk)
                yield chunk

        decoder = Decoder(allow_truncated=True)
        verified = self.benchmark.verified(str(self.path), count_bytes(read_chunks(self.path)))
        yield from decoder.decode(str(self.path), verified)
        page_counts.notes += self.benchmark.note(size)
        if decoder.truncated_bytes:
            page_counts.notes.append(
                f"{decoder.truncated_bytes} bytes of an incomplete character at the end were left out"
            )

    def _check_start(self, chunk: bytes) -> None:
        if not chunk.startswith(FILE_START[: len(chunk)]):
            raise DataError(
                f"{self.path} does not begin as {self.benchmark.name} does",
                "give the published file, or read other files with --source text or --source wikipedia",
            )
