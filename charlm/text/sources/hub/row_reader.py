"""Rows of a dataset -> documents, with the columns of the settings or the default ones.

row ── text ──> Document        without a value, or empty: counted as `empty`
    ── page of a search dump that is no article: counted as `namespace` or `model`
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charlm.errors import DataError, SettingsError
from charlm.suggestions.words import suggest
from charlm.text.document import UNKNOWN_VERSION, Document, PageCounts
from charlm.text.reading.documents import rechunk_text
from charlm.text.settings import HubSettings
from charlm.text.sources.hub.search_dump import SearchPage

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_DEFAULTS = {"id_column": "id", "title_column": "title", "url_column": "url"}
_COLUMN_KEYS = ("column", *_DEFAULTS)
_TEXT_CURE = "give the column with the text by --set corpus.source.column=NAME"


def wanted_columns(settings: HubSettings) -> frozenset[str]:
    """Return the columns that are read, where they exist."""
    return frozenset((settings.column, *(getattr(settings, key) or name for key, name in _DEFAULTS.items())))


def check_columns(settings: HubSettings, columns: Collection[str], keys: Iterable[str] = _COLUMN_KEYS) -> None:
    """Check that the columns of the settings exist.

    Args:
        keys: the settings to check.

    Raises:
        SettingsError: one does not; names those that do.
    """
    for key in keys:
        name = getattr(settings, key)
        if name and name not in columns:
            raise SettingsError(
                f"corpus.source.{key} = {name!r}: the dataset has no such column",
                suggest(name, list(columns), "there are"),
            )


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the cells of rows and checks them for lone surrogates."""

    settings: HubSettings
    page_counts: PageCounts

    def read(self, number: int, row: Mapping[str, Any]) -> Iterator[Document]:
        """Yield the document in row `number`, counted from 0, in pieces if it is long; count the row.

        Raises:
            DataError: a value that is not text, a lone surrogate, or no value in `id_column`.
        """
        self.page_counts.pages += 1
        is_page = isinstance(row, SearchPage)
        version = row.version if is_page else UNKNOWN_VERSION
        reason = row.drop_reason if is_page else ""
        text = "" if reason else self._text(number, row.get(self.settings.column))
        if not text:
            self.page_counts.drop(reason or "empty", version)
            return
        identifier, title, url = (self._label(number, row, key) for key in _DEFAULTS)
        for piece, is_last in rechunk_text([text]):
            yield Document(identifier or str(number), title, piece, url, is_last, version)

    def _text(self, number: int, value: object) -> str:
        """Return a text; empty if there is no value."""
        if value is None:
            return ""
        if not isinstance(value, str):
            raise DataError(
                f"row {number} has {value!r:.40}, which is not text, in the column {self.settings.column!r}", _TEXT_CURE
            )
        return self._without_surrogates(number, value)

    def _label(self, number: int, row: Mapping[str, Any], key: str) -> str:
        """Return an id, a title or an address; empty if there is no value."""
        requested: str = getattr(self.settings, key)
        value = row.get(requested or _DEFAULTS[key])
        if value is None and requested and key == "id_column":
            raise DataError(
                f"row {number} has no value in the column {requested!r}", "set another corpus.source.id_column"
            )
        return "" if value is None else self._without_surrogates(number, str(value))

    def _without_surrogates(self, number: int, text: str) -> str:
        clean = text.translate(_SURROGATES) if not text.isascii() else text
        if clean != text:
            if self.settings.errors == "strict":
                raise DataError(
                    f"row {number} has a lone surrogate, which is not a character",
                    "add --errors replace, or repair the row",
                )
            count = sum(old != new for old, new in zip(text, clean, strict=True))
            self.page_counts.notes.append(f"row {number}: {count:,} lone surrogates were replaced by U+FFFD")
        return clean
