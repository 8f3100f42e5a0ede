"""text8, 100,000,000 letters and spaces made of Wikipedia's text of March 2006 -> one document.

    text8, or a beginning of it ── 27 symbols, checked ──────────────────────┬──> pieces of one document
    enwik8, enwik9, or a beginning ── text8_filter.clean, to 100,000,000 ──┘

Made from the first 124 MB or so of enwik9, it is the published text8 byte for byte; enwik8 gives a beginning of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import DataError
from charlm.text.document import Census, Document, Task
from charlm.text.download.whole_file import Patience
from charlm.text.reading.chunks import read_chunks
from charlm.text.reading.documents import in_pieces
from charlm.text.settings import Text8Settings
from charlm.text.sources.published_file import Published, PublishedSource
from charlm.text.sources.text8_filter import clean

TEXT8 = Published("text8", 100_000_000, "md5", "3bea1919949baf155f99411df5fada7e", zip_bytes=31_344_016)
_SYMBOLS = b" abcdefghijklmnopqrstuvwxyz"
_XML = b"<mediawiki"
_VERSION = 1


@dataclass(frozen=True)
class Text8Task(Task):
    """The whole file."""

    path: Path
    sha256: str
    published: Published

    @property
    def key(self) -> str:
        return f"text8 {_VERSION} {self.sha256}"

    def documents(self, census: Census) -> Iterator[Document]:
        """
        Raises:
            DataError: more or other bytes than text8 has, nor enwik8 or enwik9; or no text in them.
        """
        size, name, shown = 0, self.published.name, str(self.path)
        chunks = read_chunks(self.path)
        head = next(chunks, b"")
        rest = _behind(head, chunks)
        filtered = head.startswith(_XML)
        symbols = _first(self.published.size, clean(rest)) if filtered else _only_symbols(shown, rest)
        census.pages += 1
        letters = (chunk.decode("ascii") for chunk in self.published.checked(shown, symbols))
        for text, ends in in_pieces(letters):
            size += len(text)
            yield Document(name, name, text, ends=ends)
        if not size:
            raise DataError(f"there is no text in {shown}", "give text8, enwik8 or enwik9, or a beginning of them")
        census.notes += [f"made from {self.path.name} by the published rules"] if filtered else []
        census.notes += self.published.note(size)


class Text8Source(PublishedSource):
    """The one document."""

    def __init__(
        self,
        settings: Text8Settings,
        *,
        cache: Path | None = None,
        patience: Patience | None = None,
        published: Published = TEXT8,
    ) -> None:
        super().__init__(published, settings.input, settings.url, Text8Task, cache=cache, patience=patience)


def _behind(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _first(num_bytes: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:num_bytes]
        num_bytes -= len(chunk)
        if num_bytes <= 0:
            return


def _only_symbols(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    offset = 0
    for chunk in chunks:
        if others := chunk.translate(None, _SYMBOLS):
            place = f"byte {others[0]:#04x} at offset {offset + chunk.index(others[:1])}"
            raise DataError(
                f"{name} has other symbols than the 27 of text8: {place}",
                "give text8, enwik8 or enwik9, or a beginning of one of them",
            )
        offset += len(chunk)
        yield chunk
