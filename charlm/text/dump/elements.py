"""Elements of an export's XML tree -> SiteInfo and Page."""

import re
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree as _lxml  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType, reportAttributeAccessIssue]

from charlm.text.dump.redirects import is_redirect
from charlm.text.dump.siteinfo import SiteInfo, namespace_from_title

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


def local_name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _element_text(element: Element) -> str:
    """Text, whatever comments stand in it."""
    return str(element.text or "") if not len(element) else "".join(element.itertext())


def free_element(element: Element) -> None:
    """Free an element and whatever stands before it in its parent."""
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


def parse_page(element: Element, siteinfo: SiteInfo) -> Page:
    """Of several revisions the last. Child by child, since lxml's searches take longer than all its parsing."""
    page_id = namespace_text = title = model = text = ""
    has_redirect_tag = False
    for child in element.iterchildren("*"):
        match local_name(child):
            case "title":
                title = _element_text(child)
            case "ns":
                namespace_text = _element_text(child).strip()
            case "id":
                page_id = _element_text(child).strip()
            case "redirect":
                has_redirect_tag = True
            case "revision":
                model = text = ""
                for field in child.iterchildren("{*}model", "{*}text"):
                    if local_name(field) == "text":
                        text = _element_text(field)
                    else:
                        model = _element_text(field)
            case _:
                pass
    model = model.strip() or "wikitext"  # exports before 0.6 name no model
    namespace = (
        int(namespace_text) if re.fullmatch(r"-?\d{1,9}", namespace_text) else namespace_from_title(title, siteinfo)
    )
    redirect = has_redirect_tag or (model == "wikitext" and is_redirect(text))
    return Page(page_id, namespace, title, redirect, model, text)
