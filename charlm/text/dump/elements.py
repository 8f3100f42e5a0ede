"""Elements of an export's XML tree -> SiteInfo and Page.

Old exports lack some elements: the namespace then comes from the title, and a redirect is found in the text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lxml import etree as _lxml  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType, reportAttributeAccessIssue]

from charlm.text.wikitext.magic_words import fold_case

etree = cast("Any", _lxml)  # lxml has no type stubs; its elements are Any
Element = Any

_ENGLISH_NAMESPACES = {
    "media": -2, "special": -1, "talk": 1, "user": 2, "user talk": 3, "wikipedia": 4, "project": 4,
    "wikipedia talk": 5, "project talk": 5, "file": 6, "image": 6, "file talk": 7, "image talk": 7,
    "mediawiki": 8, "mediawiki talk": 9, "template": 10, "template talk": 11, "help": 12, "help talk": 13,
    "category": 14, "category talk": 15, "portal": 100, "portal talk": 101, "module": 828, "module talk": 829,
}  # fmt: skip
_REDIRECT_WORDS = """
    redirect aanstuur adkas ailgyfeirio ail-cyfeirio al aliah alidirekti alidirektu alih ancaminar athsheoladh aýdaw
    beralîkirin birzuzendu daskedyans dirección dirijar doorverwijzing endrecera reendrecera fihodinana hetenayiş
    kiahou kúfù leidt_öm_op ömleide ömleide_op ömleidung lencong lencongan ohjaus uudelleenohjaus omdiriger omdirigera
    omdirigering omstilling viderestilling ođđasitstivren stivren patrz przekieruj tam peradresavimas pāradresācija
    preusmeri preusmeritev preusmjeri presmeruj přesměruj pupinah pusapuna redireccion redirección redirecionamento
    redirectare redirecteaza redirection redirèccion renviament ridrejto rimando rindirizza rinvia rinvio stir suuna
    tilvísun varda viruleedung weiterleitung wiederleiden yonaltirish yoʻnaltirish yönlendir yönlendirme yönnendir
    yönnendirmä yönnendirmäkler YÖNLENDİR YÖNLENDİRME redirecció redireccio
    átirányítás đổi İSTİQAMƏTLƏNDİR İSTİQAMƏTLƏNDİRMƏ ανακατευθυνση
    айдау бағыттау виж види джибериу дӏасахьажор көжүрүлге перанакіраванне перанакіраваньне перенаправление
    перенаправлення перенапр пренасочване пренасочување преусмери преусмјери прѣнаправлєниѥ рарвыст редирект хьажайо
    чиглүүлэг шигледир юнәлтү æрвитæн æрвыст վերահղում გადამისამართება
    הפניה ווייטערפירן تحويل تغییرمسیر تغییر_مسیر بور رجوع_مکرر چوريو ܨܘܝܒܐ
    अनुप्रेषित पुनर्निदेशन पुनर्निर्देशन पुनर्प्रेषित पुर्ननिर्देशन পুনঃনির্দেশ পুনর্নির্দেশ ਰੀਡਿਰੈਕਟ ଲେଉଟାଣି வழிமாற்று
    తిరగవ్రాయండి దారిమార్పు തിരിച്ചുവിടൽ തിരിച്ചുവിടുക വഴിമാറ്റുക යළියොමුව เปลี่ยนทาง
    បញ្ជូនបន្ត ប្ដូរចំណងជើង ប្ដូរទីតាំង ប្ដូរទីតាំងទៅ ប្តូរទីតាំង ប្តូរទីតាំងទៅ
    転送 リダイレクト 넘겨주기 重定向 重新導向
"""
"""MediaWiki's magic words for redirects in all languages, in any case; underscores may be spaces. "İ" has no lower
case there."""

_REDIRECTS = frozenset(fold_case(word).replace("_", " ") for word in _REDIRECT_WORDS.split())
_REDIRECT = re.compile(r"\s*[#＃]([^\[\]\n]{1,40}?)\s*:?\s*\[\[")


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The header of an export; every part of it may be missing."""

    dbname: str = ""
    base: str = ""
    """Address of the wiki's main page."""
    language: str = ""
    namespaces: Mapping[int, str] = field(default_factory=dict[int, str])
    """Namespace number -> its name in the wiki's language; "" for articles."""
    version: str = ""
    """Version of the export format: 0.3 (2005) to 0.11."""


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
    revision: int = 0
    """Revision id; 0 if it is unknown, or if all versions of the page are read."""


def local_name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _element_text(element: Element) -> str:
    """Return the text of an element without its comments."""
    return str(element.text or "") if not len(element) else "".join(element.itertext())


def free_element(element: Element) -> None:
    """Free the memory of an element and of its preceding siblings."""
    element.clear()
    while (previous := element.getprevious()) is not None:
        previous.getparent().remove(previous)


def parse_siteinfo(element: Element) -> SiteInfo:
    namespaces = {
        int(child.get("key")): str(child.text or "")
        for child in element.iterfind("{*}namespaces/{*}namespace")
        if re.fullmatch(r"-?\d{1,9}", child.get("key", ""))
    }
    root = element.getroottree().getroot()
    children = {local_name(child): child for child in element.iterchildren("*")}
    dbname, base = (_element_text(children[name]).strip() if name in children else "" for name in ("dbname", "base"))
    return SiteInfo(dbname, base, root_language(root), namespaces, export_version(root))


def root_language(root: Element) -> str:
    return str(root.get("{http://www.w3.org/XML/1998/namespace}lang", ""))


def export_version(root: Element) -> str:
    in_namespace = re.search(r"export-([\d.]+)/?$", etree.QName(root).namespace or "")
    return str(root.get("version") or (in_namespace[1] if in_namespace else ""))


def revision_id(revision: Element) -> int:
    """Return the id of a `revision`; 0 if it has none."""
    for child in revision.iterchildren("{*}id"):
        text = _element_text(child).strip()
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
    return 0


def has_revision(page: Element) -> bool:
    return next(page.iterchildren("{*}revision"), None) is not None


def remove_older_revisions(revision: Element, *, all_previous: bool) -> None:
    """Free the memory of the revisions of a page up to this one, but of the newest by its id.

    Args:
        all_previous: whether to free all revisions before this one instead.
    """
    previous = list(revision.itersiblings("{*}revision", preceding=True))
    if not previous:
        return
    newest = revision if all_previous else max((revision, *previous), key=revision_id)
    for other in previous:
        if other is not newest:
            other.getparent().remove(other)
    if newest is not revision:
        revision.clear()  # removed with the next one: the parser may still append to it


def parse_page(element: Element, siteinfo: SiteInfo) -> Page:
    """Return the page of a `<page>` with its newest revision, or the version of a page that a `<revision>` is.

    Whether an older version is a redirect is found in its text: the tag for redirects describes the newest revision.
    The function goes through the children, because lxml's searches take longer than its parsing.
    """
    version: Element = element if local_name(element) == "revision" else None
    element = element if version is None else element.getparent()
    page_id = namespace_text = title = model = text = ""
    has_redirect_tag = False
    revision: Element = version
    for child in element.iterchildren("*"):
        match local_name(child):
            case "title":
                title = _element_text(child)
            case "ns":
                namespace_text = _element_text(child).strip()
            case "id":
                page_id = _element_text(child).strip()
            case "redirect":
                has_redirect_tag = version is None
            case "revision" if version is None:
                revision = child if revision is None or len(child) else revision  # an older one was cleared
            case _:
                pass
    for part in () if revision is None else revision.iterchildren("{*}model", "{*}text"):
        if local_name(part) == "text":
            text = _element_text(part)
        else:
            model = _element_text(part)
    model = model.strip() or "wikitext"  # exports before 0.6 have no model
    namespace = (
        int(namespace_text) if re.fullmatch(r"-?\d{1,9}", namespace_text) else namespace_from_title(title, siteinfo)
    )
    redirect = has_redirect_tag or (model == "wikitext" and is_redirect(text))
    revision_number = 0 if revision is None or version is not None else revision_id(revision)
    return Page(page_id, namespace, title, redirect, model, text, revision_number)


def namespace_from_title(title: str, siteinfo: SiteInfo) -> int:
    """Return the namespace of a title by its prefix, for exports before 0.6, which have no `<ns>`."""
    prefix, colon, _ = title.partition(":")
    names = _ENGLISH_NAMESPACES | {name.casefold(): number for number, name in siteinfo.namespaces.items() if name}
    return names.get(" ".join(prefix.replace("_", " ").split()).casefold(), 0) if colon else 0


def is_redirect(text: str) -> bool:
    """Return whether wikitext is a redirect: `#REDIRECT [[Target]]`, with the word of any language.

    Exports before 0.4, and some tools, leave out the tag for redirects.
    """
    start = _REDIRECT.match(text)
    return start is not None and fold_case(start[1].strip(" _:")).replace("_", " ") in _REDIRECTS
