"""Markup inside lines -> the text that it marks: external links, tags, language variants, quotes."""

import re

from charlm.text.wikitext.placeholders import GAP, LINE_BREAK, SEPARATOR
from charlm.text.wikitext.small_digits import SUBSCRIPT, SUPERSCRIPT

_EXTERNAL_LINK = re.compile(
    r"\[(?:https?:|ftp:|mailto:|news:|irc:|//)[^\s\[\]<>\"]*+(?:[ \t\xa0]++([^\[\]\n]*+))?\]", re.IGNORECASE
)
_UNCLOSED_LINK = re.compile(
    r"\[(?:https?:|ftp:|//)[^\s\[\]<>\"]*+(?:[ \t\xa0]++|(?=$))(?=[^\[\]\n]*$)", re.IGNORECASE | re.MULTILINE
)
_SCRIPT_TAG = re.compile(r"<(sup|sub)\b[^<>]*>([-+−\d]{1,6})</\1>", re.IGNORECASE)
_TAG = re.compile(
    r"<(/?)(a|abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|col|colgroup|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|hr"
    r"|i|ins|kbd|li|mark|noinclude|ol|onlyinclude|p|q|rb|rt|rtc|ruby|s|samp|small|span|strike|strong|sub"
    r"|sup|table|tbody|td|tfoot|th|thead|time|tr|tt|u|ul|var|wbr|nowiki|pre|poem|math|ref|references|gallery)"
    r"(?=[\s/>])[^<>\n]*(?:\n[^<>\n]*){0,3}>",
    re.IGNORECASE,
)
_OPENING_TEXT = {"li": "\n* ", "td": " ", "th": " ", "rt": "(", "q": '"', "br": LINE_BREAK} | dict.fromkeys(
    ("p", "hr", "div", "center", "blockquote", "dd", "dt", "dl", "ul", "ol", "tr"), "\n\n"
)
_CLOSING_TEXT = _OPENING_TEXT | {"li": "", "rt": ")"}
_VARIANT = re.compile(r"-\{([^{}]*+)\}-")
_VARIANT_FLAGS = frozenset(("A", "R", "", "zh", "zh-hans", "zh-hant", "zh-cn", "zh-tw", "zh-hk", "sr-ec", "sr-el"))
_RULE = re.compile(r"^\s*[a-z]{2,3}(?:-[a-z]+)?\s*:(?!//)")
_QUOTES = re.compile(r"''+")


def strip_inline(text: str) -> str:
    """Remove the markup inside lines and keep its text; drop SEPARATOR, write LINE_BREAK for <br>."""
    if "[" in text:
        text = _EXTERNAL_LINK.sub(_link_label, text)
        if "[http" in text:
            text = _UNCLOSED_LINK.sub("", text)
    if "<" in text:
        text = _SCRIPT_TAG.sub(_replace_small_digits, text)
        text = _TAG.sub(_replace_tag, text)
    if "-{" in text:
        for _ in range(3):  # nested variants, from the inside out
            text = _VARIANT.sub(_choose_variant, text)
        text = text.replace("-{", "").replace("}-", "")
    if "''" in text:
        text = "\n".join([strip_quotes(line) if "''" in line else line for line in text.split("\n")])
    return text.replace(SEPARATOR, "").replace(GAP, "")


def _link_label(match: re.Match[str]) -> str:
    return match[1] or ""


def _replace_small_digits(match: re.Match[str]) -> str:
    return match[2].translate(SUPERSCRIPT if match[1].lower() == "sup" else SUBSCRIPT)


def _replace_tag(match: re.Match[str]) -> str:
    return (_CLOSING_TEXT if match[1] else _OPENING_TEXT).get(match[2].lower(), "")


def _choose_variant(match: re.Match[str]) -> str:
    """Return the first variant of `-{zh-hans:A;zh-hant:B}-`; "" for flags that define rules without showing text."""
    flags, bar, rules = match[1].rpartition("|")
    if bar and not {flag.strip() for flag in flags.split(";")} & _VARIANT_FLAGS:
        return ""
    first = next((rule for rule in rules.split(";") if rule.strip()), "") if _RULE.match(rules) else rules
    return _RULE.sub("", first).strip()


def strip_quotes(line: str) -> str:
    """Remove '' and '''; in a line with odd numbers of both, one ''' is an apostrophe and '' (l'''Orient'')."""
    runs = [(match.start(), match.end() - match.start()) for match in _QUOTES.finditer(line)]
    sizes = [min(size, 5) if size != 4 else 3 for _, size in runs]
    kept = -1
    if (sizes.count(3) + sizes.count(5)) % 2 and (sizes.count(2) + sizes.count(5)) % 2:
        bold = [start for start, size in runs if size == 3]
        single = (at for at in bold if line[at - 1 : at].strip() and not line[max(at - 2, 0) : at - 1].strip())
        kept = next(single, bold[0] if bold else -1)
    if kept < 0 and all(size in (2, 3, 5) for _, size in runs):
        return _QUOTES.sub("", line)
    surplus = {2: "", 3: "", 4: "'", 5: ""}
    return _QUOTES.sub(
        lambda match: "'" if match.start() == kept else surplus.get(len(match[0]), "'" * (len(match[0]) - 5)), line
    )
