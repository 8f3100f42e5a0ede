"""A MediaWiki XML export (.xml or .xml.bz2) -> its SiteInfo, then its Pages, within a bounded memory.

    file ── magic bytes ──> XML bytes ── no DOCTYPE ──> lxml pull parser ── last revision ──> Page
              BZh: every bz2 stream to its end, <: as it is

What is damaged is an error that says where; text never gets less in silence. An excerpt (well-formed as far as it goes,
but without `</mediawiki>`; many test dumps are that) gives its whole pages and sets `truncated_excerpt`.
"""

import bz2
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from lxml import etree as _lxml  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType, reportAttributeAccessIssue]

from charlm.errors import DataError, UsageError
from charlm.storage import storage_errors

etree = cast("Any", _lxml)  # lxml has no type stubs: its elements are Any here, and nowhere else
Element = Any

_HALTED = 1
"""libxml2's code where its parser stopped without saying why."""
_READ = 1 << 16
_INFLATED = 1 << 18
_LONGEST_PAGE = 256 << 20
"""Bytes of XML between two tags we listen to. MediaWiki refuses pages over 2 MB; this only bounds the memory."""
_LONGEST_MARKUP = 1_000_000
"""Characters in a comment or an attribute."""
_PROLOG = re.compile(r"\ufeff?(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ENCODING = re.compile(r"\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([\w.-]+)")
_CODECS = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}
_REDIRECT = re.compile(
    r"\s*#(?:redirect|redirection|redirección|redirecionamento|redirectare|weiterleitung|rinvia|doorverwijzing|przekieruj"
    r"|patrz|tam|omdirigering|omdirigera|omstilling|viderestilling|ohjaus|uudelleenohjaus|suuna|átirányítás|yönlendirme"
    r"|yönlendir|đổi|alih|lencongan|přesměruj|presmeruj|preusmjeri|preusmeritev|peradresavimas|pāradresācija|tilvísun"
    r"|athsheoladh|ail-cyfeirio|birzuzendu|i̇stiqamətləndirmə|ανακατευθυνση|перенаправление|перенапр|перенаправлення"
    r"|перанакіраванне|перанакіраваньне|пренасочване|виж|преусмери|айдау|бағыттау|юнәлтү|վերահղում|გადამისამართება|הפניה"
    r"|ווייטערפירן|تحويل|تغییر[_ ]مسیر|تغییرمسیر|رجوع[_ ]مکرر|पुनर्प्रेषित|अनुप्रेषित|পুনর্নির্দেশ|পুনঃনির্দেশ|తిరగవ్రాయండి"
    r"|വഴിമാറ്റുക|തിരിച്ചുവിടുക|เปลี่ยนทาง|転送|リダイレクト|넘겨주기|重定向)[ \t]*:?\s*\[\[",
    re.IGNORECASE,
)
_ENGLISH_NAMESPACES = {
    "media": -2, "special": -1, "talk": 1, "user": 2, "user talk": 3, "wikipedia": 4, "project": 4, "file": 6,
    "image": 6, "mediawiki": 8, "template": 10, "help": 12, "category": 14, "portal": 100, "module": 828,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The header of an export. All of it may be missing."""

    dbname: str = ""
    base: str = ""
    """Address of the main page."""
    language: str = ""
    namespaces: Mapping[int, str] = field(default_factory=dict[int, str])
    """Namespace number -> its name in the wiki's language; "" for articles."""


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


class Dump:
    """An export that is open: `siteinfo` is there at once, `pages()` reads on and can be run through once.

    `on_bytes` is called with the size of each piece read from the file (compressed bytes, for a .bz2).

    Raises (here and from `pages()`):
        UsageError: there is no such file.
        DataError: damaged bz2 (with the offset), malformed XML (with the line), a DOCTYPE, or another format.
    """

    def __init__(self, path: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        self.path = path
        self.truncated_excerpt = False
        """Set by the end of `pages()` where the file stops without `</mediawiki>`."""
        self._elements = self._parse(on_bytes)
        self._first_page: Element = None
        self.siteinfo = self._read_siteinfo()

    def pages(self) -> Iterator[Page]:
        if self._first_page is not None:
            yield _page(self._first_page, self.siteinfo)
            self._first_page = None
        for element in self._elements:
            if _name(element) == "page":
                yield _page(element, self.siteinfo)

    def _read_siteinfo(self) -> SiteInfo:
        for element in self._elements:
            if _name(element) == "siteinfo":
                return _siteinfo(element)
            self._first_page = element
            break
        return SiteInfo()

    def _parse(self, on_bytes: Callable[[int], None] | None) -> Iterator[Element]:
        """Each finished `siteinfo` and `page`; emptied and dropped when the next one is asked for."""
        tags = tuple(f"{{*}}{name}" for name in ("mediawiki", "siteinfo", "page", "revision"))
        # No DOCTYPE, so no entities: "internal" makes an undeclared one an error; False ends the text there in silence.
        parser = etree.XMLPullParser(
            ("start", "end", "comment"), tag=tags, resolve_entities="internal", no_network=True, huge_tree=True
        )
        started, finished, unanswered = False, False, 0
        for chunk in _without_doctype(self.path, _xml_bytes(self.path, on_bytes)):
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
            if finished or not started or error.code == _HALTED:
                raise self._malformed(error) from error
        self.truncated_excerpt = not finished

    def _check_root(self, tree: Any) -> None:
        if tree.docinfo.internalDTD is not None:
            raise _doctype_error(self.path)
        root = tree.getroot()
        if _name(root) != "mediawiki":
            raise DataError(f"{self.path} is not a MediaWiki export but <{_name(root)}>", "give a wiki's dump")
        for value in root.attrib.values():
            self._check_length(value)

    def _check_length(self, markup: str) -> None:
        if len(markup) > _LONGEST_MARKUP:
            raise DataError(
                f"{self.path} has a comment or attribute of {len(markup):,} characters", "get a dump from its wiki"
            )

    def _malformed(self, error: Any) -> DataError:
        reason = " ".join(str(error.msg).split())
        return DataError(f"{self.path}: malformed XML in line {error.lineno}: {reason}", "it is damaged; get it anew")


def read_dump(path: Path, on_bytes: Callable[[int], None] | None = None) -> Iterator[Page]:
    """The pages of a dump, where neither its header nor its being an excerpt matters."""
    return Dump(path, on_bytes).pages()


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
    language = element.getroottree().getroot().get("{http://www.w3.org/XML/1998/namespace}lang", "")
    dbname, base = ((_child_text(element, name) or "").strip() for name in ("dbname", "base"))
    return SiteInfo(dbname, base, str(language), namespaces)


def _page(element: Element, siteinfo: SiteInfo) -> Page:
    title = _child_text(element, "title") or ""
    revisions = element.findall("{*}revision")
    revision = revisions[-1] if revisions else None
    model = text = ""
    if revision is not None:
        model, text = _child_text(revision, "model") or "", _child_text(revision, "text") or ""
    model = model.strip() or "wikitext"  # exports before 0.6 name no model
    number = (_child_text(element, "ns") or "").strip()
    namespace = int(number) if re.fullmatch(r"-?\d{1,9}", number) else _namespace_of(title, siteinfo)
    redirect = element.find("{*}redirect") is not None or (model == "wikitext" and _REDIRECT.match(text) is not None)
    return Page((_child_text(element, "id") or "").strip(), namespace, title, redirect, model, text)


def _namespace_of(title: str, siteinfo: SiteInfo) -> int:
    """The namespace by the title's prefix, for exports before 0.6, which have no `<ns>`."""
    prefix, colon, _ = title.partition(":")
    names = _ENGLISH_NAMESPACES | {name.casefold(): number for number, name in siteinfo.namespaces.items()}
    return names.get(prefix.strip().replace("_", " ").casefold(), 0) if colon else 0


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


def _xml_bytes(path: Path, on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
    """The XML of a plain or bz2 file, in pieces of at most 256 KB."""
    with storage_errors(path, "read"):
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below; only the opening may miss the file
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {path}", "check the path") from error
        with file:
            magic = file.read(8)
            file.seek(0)
            if magic.startswith(b"BZh"):
                yield from _inflate(path, file, on_bytes)
                return
            if not magic.lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n").startswith(b"<"):
                what = "is empty" if not magic else "is neither of the two formats of dumps"
                raise DataError(f"{path} {what}", "give a .xml.bz2 or a .xml file (unpack .gz, .xz or .7z first)")
            while chunk := file.read(_READ):
                if on_bytes:
                    on_bytes(len(chunk))
                yield chunk


def _inflate(path: Path, file: IO[bytes], on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
    """All concatenated streams. `bz2.open` stops in silence at a damaged later stream, hence our own loop."""
    cure = "the file is damaged; get it anew"
    decompressor = bz2.BZ2Decompressor()
    fed, start = 0, 0  # offsets in the file: of what the decompressor has been given, and of its stream
    waiting = b""
    while True:
        if decompressor.eof:
            waiting = decompressor.unused_data
            start = fed - len(waiting)
            decompressor = bz2.BZ2Decompressor()
        elif decompressor.needs_input and not waiting:
            waiting = file.read(_READ)
            fed += len(waiting)
            if not waiting and start == fed:
                return
            if not waiting:
                place = f"at byte {fed:,}, inside the bz2 stream that starts at byte {start:,}"
                raise DataError(f"{path} ends {place}", cure)
            if on_bytes:
                on_bytes(len(waiting))
        if start >= fed - len(waiting) and waiting and not b"BZh".startswith(waiting[:3]):
            raise DataError(f"{path}: what starts at byte {start:,} is not a bz2 stream", cure)
        try:
            inflated = decompressor.decompress(waiting, _INFLATED)
        except OSError as error:
            place = f"in the stream that starts at byte {start:,}, before byte {fed:,}"
            raise DataError(f"{path}: corrupt bz2 {place}", cure) from error
        waiting = b""
        if inflated:
            yield inflated
