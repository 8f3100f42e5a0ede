"""Elements of an export's XML tree -> SiteInfo and Page."""

import re
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree as _lxml  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType, reportAttributeAccessIssue]

from charlm.text.redirects import is_redirect
from charlm.text.siteinfo import SiteInfo, namespace_of

etree = cast("Any", _lxml)  # lxml has no type stubs: its elements are Any here, and nowhere else
Element = Any


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


def name_of(element: Element) -> str:
    return str(etree.QName(element).localname)


def _child_text(element: Element, name: str) -> str | None:
    child = element.find(f"{{*}}{name}")
    return None if child is None else "".join(child.itertext())


def drop(element: Element) -> None:
    """Free an element and whatever stands before it in its parent."""
    element.clear()
    while (previous := element.getprevious()) is not None:
        previous.getparent().remove(previous)


def siteinfo_of(element: Element) -> SiteInfo:
    namespaces = {
        int(child.get("key")): str(child.text or "")
        for child in element.iterfind("{*}namespaces/{*}namespace")
        if re.fullmatch(r"-?\d{1,9}", child.get("key", ""))
    }
    root = element.getroottree().getroot()
    dbname, base = ((_child_text(element, name) or "").strip() for name in ("dbname", "base"))
    return SiteInfo(dbname, base, language_of(root), namespaces, version_of(root))


def language_of(root: Element) -> str:
    return str(root.get("{http://www.w3.org/XML/1998/namespace}lang", ""))


def version_of(root: Element) -> str:
    in_namespace = re.search(r"export-([\d.]+)/?$", etree.QName(root).namespace or "")
    return str(root.get("version") or (in_namespace[1] if in_namespace else ""))


def page_of(element: Element, siteinfo: SiteInfo) -> Page:
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
