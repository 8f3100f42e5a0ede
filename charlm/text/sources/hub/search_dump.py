"""The rows of a search dump of Wikimedia (CirrusSearch) -> one row for each page, with its id.

    {"index": {"_type": "_doc", "_id": "12"}}                                       ──┐
    {"title": "Ship", "text": "A ship is ...", "namespace": 0, "version": 345}     ──┴──> SearchPage, with id "12"

Such dumps, `WIKI-DATE-cirrussearch-content.json.gz` and their successors `WIKI_content-DATE-00000.json.bz2`, are made
for the bulk interface of Elasticsearch: a line that says what to do with the next one precedes each page. `text` is the
text that readers see, without markup; `version` is the revision id.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from charlm.errors import DataError
from charlm.text.document import PageVersion, page_version

Row = Mapping[str, Any]

_CURE = "give the whole dump, or cut it after an even number of lines"


class SearchPage(dict[str, Any]):
    """A page of a search dump: its fields, and `id`, the id of the page."""

    @property
    def drop_reason(self) -> str:
        """Why it is no article, in the words that dumps of wikitext are counted in; empty if it is one."""
        if self.get("namespace", 0) != 0:
            return "namespace"
        return "model" if self.get("content_model", "wikitext") != "wikitext" else ""

    @property
    def version(self) -> PageVersion:
        """Which version of which page it is. The title does not count: one source may read dumps of several dates."""
        wiki, revision = self.get("wiki"), self.get("version")
        number = revision if isinstance(revision, int) and revision > 0 else 0
        version = page_version(wiki if isinstance(wiki, str) else "", self["id"], str(self.get("title")), number)
        return version._replace(title_key=0)


def join_index_lines(path: Path, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of a JSON file; if the first one is an index line, those of a search dump as `SearchPage`.

    Raises:
        DataError: a page of a search dump has no index line, or an index line no page.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    if _page_id(first) is None:
        yield first
        yield from rows
        return
    identifier = _page_id(first)
    for number, row in enumerate(rows, 2):
        next_identifier = _page_id(row)
        if (identifier is None) == (next_identifier is None):
            wrong = "a page without an index line before it" if identifier is None else "an index line without its page"
            raise DataError(f"{path}: row {number - (identifier is not None)} is {wrong}", _CURE)
        if identifier is not None:
            yield SearchPage({**row, "id": identifier})
        identifier = next_identifier
    if identifier is not None:
        raise DataError(f"{path} ends with an index line without its page", _CURE)


def _page_id(row: Row) -> str | None:
    """Return the id in an index line: {"index": {"_id": "12"}}; None if the row is no such line."""
    action = row.get("index") if len(row) == 1 else None
    identifier = action.get("_id") if isinstance(action, dict) else None
    return str(identifier) if identifier is not None else None
