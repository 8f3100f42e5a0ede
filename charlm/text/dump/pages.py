"""The XML of a MediaWiki export -> its SiteInfo, then its Pages, in bounded memory.

    unpacking.read_xml, or ranges.read_range_xml
        ── no DOCTYPE ──> lxml pull parser ── newest revision, or all revisions ──> Page

Damage is an error that names the offset; no text is lost silently. An excerpt (well-formed to its end, but without
`</mediawiki>`, as many test dumps are) gives its complete pages and sets `excerpt`.
"""

from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from charlm.errors import DataError
from charlm.text.dump.elements import (
    Element,
    Page,
    SiteInfo,
    etree,
    export_version,
    free_element,
    has_revision,
    local_name,
    parse_page,
    parse_siteinfo,
    remove_older_revisions,
    root_language,
)
from charlm.text.dump.prolog import MAX_MARKUP_CHARACTERS, check_prolog, doctype_error
from charlm.text.reading.unpacking import DAMAGED_FILE_CURE, ReadableFile, XmlChunk, detect_format, read_xml

_PARSER_STOPPED = 1
"""libxml2's error code if its parser stopped without a reason."""
_MAX_PAGE_BYTES = 256 << 20
"""Bytes of XML between two events of the parser. MediaWiki refuses pages over 2 MB; this only bounds the memory."""
_MAX_UNVERIFIED_BYTES = 64 << 20
"""Bytes of XML decompressed after malformed ones to find a wrong checksum; a bz2 block has at most 46 MB."""


class PageReader(Iterator[Page]):
    """The pages in the XML of a whole export, or in a run of whole `<page>` elements from the middle of an export.

    Raises (here and when iterated):
        DataError: malformed XML, a DOCTYPE, not an export; also what `chunks` raises.
    """

    def __init__(
        self,
        path: ReadableFile,
        chunks: Iterator[XmlChunk],
        siteinfo: SiteInfo | None = None,
        *,
        start: int = 0,
        root_tag: bytes = b"",
        last: bool = True,
        all_versions: bool = False,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """
        Args:
            path: The file, for error messages.
            chunks: The XML with offsets in the file.
            siteinfo: None reads it, with the header, from `chunks`.
            start: The offset in the file where `chunks` begins.
            root_tag: The start tag of the root, if it is not in `chunks`.
            last: Whether the XML should end with `</mediawiki>`.
            all_versions: Whether to give a page for each revision, instead of the newest one of each `<page>`.
            on_bytes: Called with the compressed bytes of each piece that was read from the file.
        """
        self.path = path
        self.excerpt = False
        """Whether the file ends without `</mediawiki>`; known at the end."""
        self.root_tag = root_tag
        self._offset = start
        self._chunks = chunks
        self._has_line_numbers = not root_tag
        self._all_versions = all_versions
        self._first_page: Element = None
        self._elements = self._raise_checksum_errors(self._parse(self._counted_xml(on_bytes), last))
        self.siteinfo = siteinfo or self._read_siteinfo()

    def __next__(self) -> Page:
        element, self._first_page = self._first_page, None
        while element is None or local_name(element) not in ("page", "revision"):
            element = next(self._elements)
        return parse_page(element, self.siteinfo)

    def _read_siteinfo(self) -> SiteInfo:
        for element in self._elements:
            if local_name(element) == "siteinfo":
                return parse_siteinfo(element)
            self._first_page = element
            root = element.getroottree().getroot()
            return SiteInfo(language=root_language(root), version=export_version(root))
        return SiteInfo()

    def _counted_xml(self, on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
        for xml, offset in self._chunks:
            if on_bytes and offset > self._offset:
                on_bytes(offset - self._offset)
            self._offset = max(offset, self._offset)
            if xml:
                yield xml

    def _raise_checksum_errors(self, elements: Iterator[Element]) -> Iterator[Element]:
        """Report a wrong checksum rather than the malformed XML that it causes: checksums follow the data."""
        try:
            yield from elements
        except DataError:
            unchecked = 0
            for xml, _ in self._chunks:  # raises the error of a wrong checksum
                if (unchecked := unchecked + len(xml)) > _MAX_UNVERIFIED_BYTES:
                    break
            raise

    def _parse(self, xml: Iterator[bytes], last: bool) -> Iterator[Element]:
        """Yield each finished `siteinfo` and `page` (or `revision`); it is freed when the next one is requested."""
        tags = tuple(f"{{*}}{name}" for name in ("mediawiki", "siteinfo", "page", "revision"))
        # No DOCTYPE, so no entities: "internal" makes an undeclared one an error; False would cut the text silently.
        parser = etree.XMLPullParser(
            ("start", "end", "comment"), tag=tags, resolve_entities="internal", no_network=True, huge_tree=True
        )
        started, finished, bytes_since_event, unchecked = False, False, 0, 0
        for chunk in self._as_document(xml, last):
            try:
                parser.feed(chunk)
            except etree.XMLSyntaxError as error:
                raise self._malformed(error) from error
            bytes_since_event += len(chunk)
            unchecked += len(chunk)
            try:
                for event, element in parser.read_events():
                    bytes_since_event = 0
                    if not started:
                        self._check_root(element.getroottree())
                        started = True
                    if event == "start":
                        continue
                    if event == "comment":
                        self._check_length(element.text or "")
                        element.text = ""
                    elif (name := local_name(element)) == "mediawiki":
                        finished = True
                    elif name == "revision":
                        remove_older_revisions(element, all_previous=self._all_versions)
                        if self._all_versions:
                            yield element
                    else:
                        if unchecked > MAX_MARKUP_CHARACTERS:  # fewer bytes cannot hold an attribute that is too long
                            for value in (value for child in element.iter("*") for value in child.attrib.values()):
                                self._check_length(value)
                        unchecked = len(chunk)
                        if not (self._all_versions and has_revision(element)):
                            yield element
                        free_element(element)
            except etree.XMLSyntaxError as error:
                raise self._malformed(error) from error
            if bytes_since_event > _MAX_PAGE_BYTES:
                raise DataError(
                    f"{self.path} has a page of more than {_MAX_PAGE_BYTES >> 20} MB", "give a dump of pages-articles"
                )
        try:
            root = parser.close()
            if not started:
                self._check_root(root.getroottree())  # the parser saw no tag that it reports
        except etree.XMLSyntaxError as error:
            if finished or not started or not last or error.code == _PARSER_STOPPED:
                raise self._malformed(error) from error
        self.excerpt = not finished

    def _as_document(self, xml: Iterator[bytes], last: bool) -> Iterator[bytes]:
        """Yield the bytes with the start and end tag of the root; in the middle of a file no page may stay open."""
        if self.root_tag:
            yield self.root_tag
            yield from xml
        else:
            yield from check_prolog(self.path, xml)
        if not last:
            yield b"</mediawiki>"

    def _check_root(self, tree: Any) -> None:
        if tree.docinfo.internalDTD is not None:
            raise doctype_error(self.path)
        root = tree.getroot()
        if local_name(root) != "mediawiki":
            raise DataError(
                f"{self.path} is not a MediaWiki export but <{local_name(root)}>", "give the dump of a wiki"
            )
        for value in root.attrib.values():
            self._check_length(value)
        prefixes = ((f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in root.nsmap.items())
        self.root_tag = f"<mediawiki{''.join(f' {name}={quoteattr(uri)}' for name, uri in prefixes)}>".encode()

    def _check_length(self, markup: str) -> None:
        if len(markup) > MAX_MARKUP_CHARACTERS:
            raise DataError(
                f"{self.path} has a comment or attribute of {len(markup):,} characters",
                "download the dump from its wiki",
            )

    def _malformed(self, error: Any) -> DataError:
        reason = " ".join(str(error.msg).split())
        line = f" in line {error.lineno}" if self._has_line_numbers else ""
        return DataError(f"{self.path}: malformed XML{line}, before byte {self._offset:,}: {reason}", DAMAGED_FILE_CURE)


class DumpReader(PageReader):
    """The pages of a whole file of any format; `siteinfo` is read by the constructor.

    Raises (here and when iterated):
        UsageError: the file does not exist.
        DataError: damaged (with the offset), or not a MediaWiki export in one of the formats of `unpacking`.
    """

    def __init__(self, path: ReadableFile, on_bytes: Callable[[int], None] | None = None) -> None:
        super().__init__(path, read_xml(path, detect_format(path)), on_bytes=on_bytes)
