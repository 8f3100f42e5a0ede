"""The XML of a MediaWiki export -> its SiteInfo, then its Pages, within a bounded memory.

    compression.read_pieces, or streams.range_pieces
        ── no DOCTYPE ──> lxml pull parser ── last revision ──> Page

What is damaged is an error that says where; text never gets less in silence. An excerpt (well-formed as far as it goes,
but without `</mediawiki>`; many test dumps are that) gives its whole pages and sets `excerpt`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import quoteattr

from lxml import etree as _lxml  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType, reportAttributeAccessIssue]

from charlm.errors import DataError
from charlm.text.compression import CURE, Piece, detect_format, read_pieces
from charlm.text.redirects import is_redirect
from charlm.text.siteinfo import SiteInfo, namespace_of

etree = cast("Any", _lxml)  # lxml has no type stubs: its elements are Any here, and nowhere else
Element = Any

_HALTED = 1
"""libxml2's code where its parser stopped without saying why."""
_LONGEST_PAGE = 256 << 20
"""Bytes of XML between two tags we listen to. MediaWiki refuses pages over 2 MB; this only bounds the memory."""
_MOST_UNCHECKED = 64 << 20
"""Bytes of XML decompressed beyond malformed ones in search of the reason; a bz2 block has 46 MB at most."""
_LONGEST_MARKUP = 1_000_000
"""Characters in a comment or an attribute."""
_PROLOG = re.compile(r"\ufeff?(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ENCODING = re.compile(r"\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([\w.-]+)")
_CODECS = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page with the text of its last revision."""

    id: str
    namespace: int
    title: str
    redirect: bool
    model: str
    """`wikitext`, `css`, `wikibase-item`, ..."""
    text: str


class Pages(Iterator[Page]):
    """The pages in some XML: that of a whole export, or a run of whole `<page>` elements from the middle of one.

    Raises (here and when iterated):
        DataError: malformed XML, a DOCTYPE, something that is not an export; and what `pieces` raises.
    """

    def __init__(
        self,
        path: Path,
        pieces: Iterator[Piece],
        siteinfo: SiteInfo | None = None,
        *,
        start: int = 0,
        opening: bytes = b"",
        last: bool = True,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """
        Args:
            path: For errors.
            pieces: The XML, as it is read.
            siteinfo: None to read it, with the header, from `pieces`.
            start: Where in the file the reading begins.
            opening: The root's start tag, where it is not in `pieces`.
            last: Whether the XML should go to `</mediawiki>`.
            on_bytes: Called with the size of each piece read from the file (compressed bytes).
        """
        self.path = path
        self.excerpt = False
        """Set at the end where the file stops without `</mediawiki>`."""
        self.opening = opening
        self._offset = start
        self._pieces = pieces
        self._line_known = not opening
        self._first_page: Element = None
        self._elements = self._parse(self._xml(on_bytes), last)
        self.siteinfo = siteinfo or self._read_siteinfo()

    def __next__(self) -> Page:
        element, self._first_page = self._first_page, None
        while element is None or _name(element) != "page":
            element = next(self._elements)
        return _page(element, self.siteinfo)

    def _read_siteinfo(self) -> SiteInfo:
        for element in self._elements:
            if _name(element) == "siteinfo":
                return _siteinfo(element)
            self._first_page = element
            root = element.getroottree().getroot()
            return SiteInfo(language=_language(root), version=_version(root))
        return SiteInfo()

    def _xml(self, on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
        for xml, offset in self._pieces:
            if on_bytes and offset > self._offset:
                on_bytes(offset - self._offset)
            self._offset = max(offset, self._offset)
            if xml:
                yield xml

    def _parse(self, xml: Iterator[bytes], last: bool) -> Iterator[Element]:
        """Each finished `siteinfo` and `page`; emptied and dropped when the next one is asked for."""
        tags = tuple(f"{{*}}{name}" for name in ("mediawiki", "siteinfo", "page", "revision"))
        # No DOCTYPE, so no entities: "internal" makes an undeclared one an error; False ends the text there in silence.
        parser = etree.XMLPullParser(
            ("start", "end", "comment"), tag=tags, resolve_entities="internal", no_network=True, huge_tree=True
        )
        started, finished, unanswered = False, False, 0
        for chunk in self._whole(xml, last):
            try:
                parser.feed(chunk)
            except etree.XMLSyntaxError as error:
                raise self._malformed(error) from error
            unanswered += len(chunk)
            try:
                for event, element in parser.read_events():
                    unanswered = 0
                    if not started:
                        self._check_root(element.getroottree())
                        started = True
                    if event == "start":
                        continue
                    if event == "comment":
                        self._check_length(element.text or "")
                        element.text = ""
                    elif (name := _name(element)) == "mediawiki":
                        finished = True
                    elif name == "revision":  # of several revisions the last stays
                        for previous in list(element.itersiblings("{*}revision", preceding=True)):
                            previous.getparent().remove(previous)
                    else:
                        for value in (value for child in element.iter("*") for value in child.attrib.values()):
                            self._check_length(value)
                        yield element
                        _drop(element)
            except etree.XMLSyntaxError as error:
                raise self._malformed(error) from error
            if unanswered > _LONGEST_PAGE:
                raise DataError(f"{self.path} has a page of more than {_LONGEST_PAGE >> 20} MB", "get a dump of pages")
        try:
            parser.close()
        except etree.XMLSyntaxError as error:
            if finished or not started or not last or error.code == _HALTED:
                raise self._malformed(error) from error
        self.excerpt = not finished

    def _whole(self, xml: Iterator[bytes], last: bool) -> Iterator[bytes]:
        """What makes a document of these bytes before and after them. In the middle of a file no page may stay open."""
        if self.opening:
            yield self.opening
            yield from xml
        else:
            yield from _without_doctype(self.path, xml)
        if not last:
            yield b"</mediawiki>"

    def _check_root(self, tree: Any) -> None:
        if tree.docinfo.internalDTD is not None:
            raise _doctype_error(self.path)
        root = tree.getroot()
        if _name(root) != "mediawiki":
            raise DataError(f"{self.path} is not a MediaWiki export but <{_name(root)}>", "give a wiki's dump")
        for value in root.attrib.values():
            self._check_length(value)
        prefixes = ((f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in root.nsmap.items())
        self.opening = f"<mediawiki{''.join(f' {name}={quoteattr(uri)}' for name, uri in prefixes)}>".encode()

    def _check_length(self, markup: str) -> None:
        if len(markup) > _LONGEST_MARKUP:
            raise DataError(
                f"{self.path} has a comment or attribute of {len(markup):,} characters", "get a dump from its wiki"
            )

    def _malformed(self, error: Any) -> DataError:
        """Checksums come after what they protect: where it was they that would not fit, that is the error."""
        unchecked = 0
        for xml, _ in self._pieces:
            if (unchecked := unchecked + len(xml)) > _MOST_UNCHECKED:
                break
        reason = " ".join(str(error.msg).split())
        line = f" in line {error.lineno}" if self._line_known else ""
        return DataError(f"{self.path}: malformed XML{line}, before byte {self._offset:,}: {reason}", CURE)


class Dump(Pages):
    """The pages of a whole file of any format; `siteinfo` is there at once.

    Raises (here and when iterated):
        UsageError: there is no such file.
        DataError: damaged (with the offset), or not a MediaWiki export in one of the formats of `compression`.
    """

    def __init__(self, path: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        super().__init__(path, read_pieces(path, detect_format(path)), on_bytes=on_bytes)

    def pages(self) -> Iterator[Page]:
        return self


def read_dump(path: Path) -> Iterator[Page]:
    """The pages of a dump, where neither its header nor its being an excerpt matters."""
    return Dump(path)


def _name(element: Element) -> str:
    return str(etree.QName(element).localname)


def _child_text(element: Element, name: str) -> str | None:
    child = element.find(f"{{*}}{name}")
    return None if child is None else "".join(child.itertext())


def _drop(element: Element) -> None:
    """Free an element and whatever stands before it in its parent."""
    element.clear()
    while (previous := element.getprevious()) is not None:
        previous.getparent().remove(previous)


def _siteinfo(element: Element) -> SiteInfo:
    namespaces = {
        int(child.get("key")): str(child.text or "")
        for child in element.iterfind("{*}namespaces/{*}namespace")
        if re.fullmatch(r"-?\d{1,9}", child.get("key", ""))
    }
    root = element.getroottree().getroot()
    dbname, base = ((_child_text(element, name) or "").strip() for name in ("dbname", "base"))
    return SiteInfo(dbname, base, _language(root), namespaces, _version(root))


def _language(root: Element) -> str:
    return str(root.get("{http://www.w3.org/XML/1998/namespace}lang", ""))


def _version(root: Element) -> str:
    in_namespace = re.search(r"export-([\d.]+)/?$", etree.QName(root).namespace or "")
    return str(root.get("version") or (in_namespace[1] if in_namespace else ""))


def _page(element: Element, siteinfo: SiteInfo) -> Page:
    title = _child_text(element, "title") or ""
    revisions = element.findall("{*}revision")
    revision = revisions[-1] if revisions else None
    model = text = ""
    if revision is not None:
        model, text = _child_text(revision, "model") or "", _child_text(revision, "text") or ""
    model = model.strip() or "wikitext"  # exports before 0.6 name no model
    number = (_child_text(element, "ns") or "").strip()
    namespace = int(number) if re.fullmatch(r"-?\d{1,9}", number) else namespace_of(title, siteinfo)
    redirect = element.find("{*}redirect") is not None or (model == "wikitext" and is_redirect(text))
    return Page((_child_text(element, "id") or "").strip(), namespace, title, redirect, model, text)


def _doctype_error(path: Path) -> DataError:
    return DataError(f"{path} declares a DOCTYPE or entities", "no MediaWiki dump does; get it from its wiki")


def _without_doctype(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, after a look at all that precedes the root element, so that no DOCTYPE reaches the parser."""
    head = b""
    for chunk in chunks:
        head += chunk
        codec = _CODECS.get(head[:2], "utf-8")
        prolog = head.decode(codec, errors="replace")
        rest = prolog[cast("re.Match[str]", _PROLOG.match(prolog)).end() :]
        if rest.startswith("<!") and not "<!--".startswith(rest[:4]):
            raise _doctype_error(path)
        declared = _ENCODING.match(prolog.removeprefix("\ufeff"))
        if declared and not declared[1].lower().startswith(codec[:6].rstrip("-")):
            raise DataError(f"{path} is declared as {declared[1]}", "give a dump in UTF-8 or UTF-16")
        if rest and not rest.startswith(("<!", "<?")) and rest != "<":
            break  # the root element, or what the parser will call malformed
        if len(head) > _LONGEST_MARKUP:
            raise DataError(f"{path} has more than {_LONGEST_MARKUP:,} bytes before its first tag", "get the dump anew")
    yield head
    yield from chunks
