"""The XML of a MediaWiki export -> its SiteInfo, then its Pages, within a bounded memory.

    compression.read_pieces, or streams.range_pieces
        ── no DOCTYPE ──> lxml pull parser ── last revision ──> Page

What is damaged is an error that says where; text never gets less in silence. An excerpt (well-formed as far as it goes,
but without `</mediawiki>`; many test dumps are that) gives its whole pages and sets `excerpt`.
"""

from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from charlm.errors import DataError
from charlm.text.dump.elements import Element, Page, drop, etree, language_of, name_of, page_of, siteinfo_of, version_of
from charlm.text.dump.prolog import LONGEST_MARKUP, doctype_error, without_doctype
from charlm.text.dump.siteinfo import SiteInfo
from charlm.text.reading.unpacking import CURE, Piece, Readable, detect_format, read_pieces

_HALTED = 1
"""libxml2's code where its parser stopped without saying why."""
_LONGEST_PAGE = 256 << 20
"""Bytes of XML between two tags we listen to. MediaWiki refuses pages over 2 MB; this only bounds the memory."""
_MOST_UNCHECKED = 64 << 20
"""Bytes of XML decompressed beyond malformed ones in search of the reason; a bz2 block has 46 MB at most."""


class Pages(Iterator[Page]):
    """The pages in some XML: that of a whole export, or a run of whole `<page>` elements from the middle of one.

    Raises (here and when iterated):
        DataError: malformed XML, a DOCTYPE, something that is not an export; and what `pieces` raises.
    """

    def __init__(
        self,
        path: Readable,
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
        self._elements = self._checked(self._parse(self._xml(on_bytes), last))
        self.siteinfo = siteinfo or self._read_siteinfo()

    def __next__(self) -> Page:
        element, self._first_page = self._first_page, None
        while element is None or name_of(element) != "page":
            element = next(self._elements)
        return page_of(element, self.siteinfo)

    def _read_siteinfo(self) -> SiteInfo:
        for element in self._elements:
            if name_of(element) == "siteinfo":
                return siteinfo_of(element)
            self._first_page = element
            root = element.getroottree().getroot()
            return SiteInfo(language=language_of(root), version=version_of(root))
        return SiteInfo()

    def _xml(self, on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
        for xml, offset in self._pieces:
            if on_bytes and offset > self._offset:
                on_bytes(offset - self._offset)
            self._offset = max(offset, self._offset)
            if xml:
                yield xml

    def _checked(self, elements: Iterator[Element]) -> Iterator[Element]:
        """Checksums come after what they protect: where one does not fit, that is the error, not what came of it."""
        try:
            yield from elements
        except DataError:
            unchecked = 0
            for xml, _ in self._pieces:  # raises its own error where it finds one
                if (unchecked := unchecked + len(xml)) > _MOST_UNCHECKED:
                    break
            raise

    def _parse(self, xml: Iterator[bytes], last: bool) -> Iterator[Element]:
        """Each finished `siteinfo` and `page`; emptied and dropped when the next one is asked for."""
        tags = tuple(f"{{*}}{name}" for name in ("mediawiki", "siteinfo", "page", "revision"))
        # No DOCTYPE, so no entities: "internal" makes an undeclared one an error; False ends the text there in silence.
        parser = etree.XMLPullParser(
            ("start", "end", "comment"), tag=tags, resolve_entities="internal", no_network=True, huge_tree=True
        )
        started, finished, unanswered, unchecked = False, False, 0, 0
        for chunk in self._whole(xml, last):
            try:
                parser.feed(chunk)
            except etree.XMLSyntaxError as error:
                raise self._malformed(error) from error
            unanswered += len(chunk)
            unchecked += len(chunk)
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
                    elif (name := name_of(element)) == "mediawiki":
                        finished = True
                    elif name == "revision":  # of several revisions the last stays
                        for previous in list(element.itersiblings("{*}revision", preceding=True)):
                            previous.getparent().remove(previous)
                    else:
                        if unchecked > LONGEST_MARKUP:  # fewer bytes hold no longer attribute
                            for value in (value for child in element.iter("*") for value in child.attrib.values()):
                                self._check_length(value)
                        unchecked = len(chunk)
                        yield element
                        drop(element)
            except etree.XMLSyntaxError as error:
                raise self._malformed(error) from error
            if unanswered > _LONGEST_PAGE:
                raise DataError(f"{self.path} has a page of more than {_LONGEST_PAGE >> 20} MB", "get a dump of pages")
        try:
            root = parser.close()
            if not started:
                self._check_root(root.getroottree())  # which holds no tag that we listen to
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
            yield from without_doctype(self.path, xml)
        if not last:
            yield b"</mediawiki>"

    def _check_root(self, tree: Any) -> None:
        if tree.docinfo.internalDTD is not None:
            raise doctype_error(self.path)
        root = tree.getroot()
        if name_of(root) != "mediawiki":
            raise DataError(f"{self.path} is not a MediaWiki export but <{name_of(root)}>", "give a wiki's dump")
        for value in root.attrib.values():
            self._check_length(value)
        prefixes = ((f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in root.nsmap.items())
        self.opening = f"<mediawiki{''.join(f' {name}={quoteattr(uri)}' for name, uri in prefixes)}>".encode()

    def _check_length(self, markup: str) -> None:
        if len(markup) > LONGEST_MARKUP:
            raise DataError(
                f"{self.path} has a comment or attribute of {len(markup):,} characters", "get a dump from its wiki"
            )

    def _malformed(self, error: Any) -> DataError:
        reason = " ".join(str(error.msg).split())
        line = f" in line {error.lineno}" if self._line_known else ""
        return DataError(f"{self.path}: malformed XML{line}, before byte {self._offset:,}: {reason}", CURE)


class Dump(Pages):
    """The pages of a whole file of any format; `siteinfo` is there at once.

    Raises (here and when iterated):
        UsageError: there is no such file.
        DataError: damaged (with the offset), or not a MediaWiki export in one of the formats of `compression`.
    """

    def __init__(self, path: Readable, on_bytes: Callable[[int], None] | None = None) -> None:
        super().__init__(path, read_pieces(path, detect_format(path)), on_bytes=on_bytes)
