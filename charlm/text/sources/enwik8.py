"""enwik8, the first 100,000,000 bytes of Wikipedia's XML of 3 March 2006, or a beginning of it -> one document.

Every byte belongs to the text, markup too: that is what published results are about. They cut it at byte offsets into
90, 5 and 5 million, and their "bits per character" are bits per byte.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import DataError
from charlm.text.document import Census, Document, Task
from charlm.text.download.whole_file import Patience
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.decoding import Decoder
from charlm.text.reading.documents import in_pieces
from charlm.text.settings import Enwik8Settings
from charlm.text.sources.published_file import Published, PublishedSource

ENWIK8 = Published(
    "enwik8", 100_000_000, "sha1", "57b8363b814821dc9d47aa4d41f58733519076b2", zip_bytes=36_445_475
)  # fmt: skip
BEGINNING = b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.3/"'
_VERSION = 1


@dataclass(frozen=True)
class Enwik8Task(Task):
    """The whole file."""

    path: Path
    sha256: str
    published: Published

    @property
    def key(self) -> str:
        return f"enwik8 {_VERSION} {self.sha256}"

    def documents(self, census: Census) -> Iterator[Document]:
        """
        Raises:
            DataError: not enwik8, nor a beginning of it, or not UTF-8 (names the offset).
        """
        size = 0

        def counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                if not size:
                    self._check_beginning(chunk)
                size += len(chunk)
                yield chunk

        name = self.published.name
        decoder = Decoder(may_break_off=True)
        checked = self.published.checked(str(self.path), counted(read_chunks(self.path)))
        census.pages += 1
        empty = True
        for text, ends in in_pieces(decoder.decode(str(self.path), checked)):
            empty = False
            yield Document(name, name, text, ends=ends)
        if empty:
            raise DataError(f"{self.path} is empty", f"give {name}, or a beginning of it")
        census.notes += self.published.note(size)
        if decoder.broken_off:
            census.notes.append(f"{decoder.broken_off} bytes at the end, a part of a character, were left out")

    def _check_beginning(self, chunk: bytes) -> None:
        if not chunk.startswith(BEGINNING[: len(chunk)]):
            raise DataError(
                f"{self.path} does not begin as {self.published.name} does",
                "give the file as it was published, or read others with --source text or wikipedia",
            )


class Enwik8Source(PublishedSource):
    """The one document."""

    def __init__(
        self,
        settings: Enwik8Settings,
        *,
        cache: Path | None = None,
        patience: Patience | None = None,
        published: Published = ENWIK8,
    ) -> None:
        super().__init__(published, settings.input, settings.url, Enwik8Task, cache=cache, patience=patience)
