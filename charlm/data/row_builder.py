"""A document, or a piece of one -> a row of a staged shard.

Document ── normalise, drop if too short ──> text ── count, hash ──> row of SCHEMA
"""

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from charlm.data import unicode_normalization
from charlm.data.unicode_normalization import MAX_MARKS, find_boundary, normalize_nfc
from charlm.errors import DataError
from charlm.text.document import Document, PageCounts
from charlm.text.split import MAX_PART_CHARACTERS
from charlm.vocab.base import code_points

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "title": pa.string(),
        "url": pa.string(),
        "text": pa.large_string(),
        "characters": pa.int64(),
        "bytes": pa.int64(),
        "ends": pa.bool_(),
        "digest": pa.int64(),
        "skeleton": pa.int64(),
        "page_key": pa.int64(),
        "revision": pa.int64(),
        "title_key": pa.int64(),
    }
)
"""`ends` is false if the next row continues the text. `digest` (in the last row: of the whole text) finds equal texts;
`skeleton` finds texts that differ only in names and numbers, like pages written by bots; the last three are the
`PageVersion` of the document."""

_NAMES_AND_NUMBERS = re.compile(r"\d+|\b[^\W\d_a-z]\w*")
_MAX_STUB_CHARACTERS = 1_500
_ASCII = re.compile(r"[\0-\x7f]")  # never composes with the text before it, whose NFC is therefore final


@dataclass(frozen=True, slots=True)
class RowOptions:
    """How documents are changed and filtered before they are stored."""

    normalize: Literal["none", "nfc"] = "none"
    min_characters: int = 0


class RowBuilder:
    """Turns documents, or consecutive pieces of documents, into rows."""

    def __init__(self, options: RowOptions, page_counts: PageCounts) -> None:
        self._options = options
        self._page_counts = page_counts
        self._inside_document = False
        self._unnormalized_tail = ""  # the end of a piece, which may compose with the start of the next
        self._hash = hashlib.blake2b(digest_size=8)

    def build_row(self, document: Document) -> dict[str, Any] | None:
        """Return the row of a document; None if the text is too short, which is counted as `short`.

        Raises:
            DataError: the text has a lone surrogate, which UTF-8 cannot encode.
        """
        try:
            code_points(document.text)
        except DataError as error:
            raise DataError(f"document {document.id} ({document.title}): {error.what}", error.cure) from error
        text = self._normalized(document) if self._options.normalize == "nfc" else document.text
        is_whole = document.is_last_piece and not self._inside_document
        self._inside_document = not document.is_last_piece
        if is_whole and len(text) < self._options.min_characters:
            self._page_counts.drop("short", document.version)
            return None
        encoded = text.encode("utf-8")
        self._hash.update(encoded)
        digest = _signed_64_bits(self._hash)
        if document.is_last_piece:
            self._hash = hashlib.blake2b(digest_size=8)
        return {
            "id": document.id,
            "title": document.title,
            "url": document.url,
            "text": text,
            "characters": len(text),
            "bytes": len(encoded),
            "ends": document.is_last_piece,
            "digest": digest,
            "skeleton": _skeleton_hash(document.title, text) if is_whole else 0,
            **document.version._asdict(),
        }

    def _normalized(self, document: Document) -> str:
        text = self._unnormalized_tail + document.text
        final_length = (
            len(text) if document.is_last_piece else max((found.start() for found in _ASCII.finditer(text)), default=0)
        )
        if len(text) - final_length > MAX_PART_CHARACTERS:  # otherwise a text without ASCII would pile up
            final_length = find_boundary(text) or len(text)
        self._unnormalized_tail = text[final_length:]
        normalized, num_long_runs = normalize_nfc(text[:final_length])
        if num_long_runs:
            self._page_counts.cut["limit"] += num_long_runs
            self._page_counts.notes.append(
                f"document {document.id} ({document.title}): a run of more than {MAX_MARKS:,} combining marks was"
                " normalised in slices"
            )
        return normalized


@functools.cache
def row_code_version() -> str:
    """Return a hash of the code that makes rows: shards that other code made are made again."""
    modules = (Path(__file__), Path(unicode_normalization.__file__))
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()[:16]


def _skeleton_hash(title: str, text: str) -> int:
    """Return a hash of the text without its names and numbers; 0 if it is too long to be a stub."""
    if len(text) > _MAX_STUB_CHARACTERS:
        return 0
    bare = text.replace(title, "0") if title else text
    return _signed_64_bits(hashlib.blake2b(_NAMES_AND_NUMBERS.sub("0", bare).encode("utf-8"), digest_size=8))


def _signed_64_bits(digest: "hashlib.blake2b") -> int:
    return int.from_bytes(digest.digest(), "big", signed=True)
