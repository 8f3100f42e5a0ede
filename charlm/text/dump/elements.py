"""Elements of an export's XML tree -> SiteInfo and Page."""

import re
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree as _lxml  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType, reportAttributeAccessIssue]

from charlm.text.dump.redirects import is_redirect
from charlm.text.dump.siteinfo import SiteInfo, namespace_of

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
    return str(element.tag).rpartition("}")[2]


def _text(element: Element) -> str:
    """Text, whatever comments stand in it."""
    return str(element.text or "") if not len(element) else "".join(element.itertext())


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
    children = {name_of(child): child for child in element.iterchildren("*")}
    dbname, base = (_text(children[name]).strip() if name in children else "" for name in ("dbname", "base"))
    return SiteInfo(dbname, base, language_of(root), namespaces, version_of(root))


def language_of(root: Element) -> str:
    return str(root.get("{http://www.w3.org/XML/1998/namespace}lang", ""))


def version_of(root: Element) -> str:
    in_namespace = re.search(r"export-([\d.]+)/?$", etree.QName(root).namespace or "")
    return str(root.get("version") or (in_namespace[1] if in_namespace else ""))


def page_of(element: Element, siteinfo: SiteInfo) -> Page:
    """Of several revisions the last. Child by child, since lxml's searches take longer than all its parsing."""
    page_id = number = title = model = text = ""
    tagged = False
    for child in element.iterchildren("*"):
        match name_of(child):
            case "title":
                title = _text(child)
            case "ns":
                number = _text(child).strip()
            case "id":
                page_id = _text(child).strip()
            case "redirect":
                tagged = True
            case "revision":
                model = text = ""
                for field in child.iterchildren("{*}model", "{*}text"):
                    if name_of(field) == "text":
                        text = _text(field)
                    else:
                        model = _text(field)
            case _:
                pass
    model = model.strip() or "wikitext"  # exports before 0.6 name no model
    namespace = int(number) if re.fullmatch(r"-?\d{1,9}", number) else namespace_of(title, siteinfo)
    redirect = tagged or (model == "wikitext" and is_redirect(text))
    return Page(page_id, namespace, title, redirect, model, text)
