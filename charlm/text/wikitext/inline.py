"""The markup inside lines -> what it marks: external links, tags, language variants, magic words, quotes."""

import re

from charlm.text.wikitext.placeholders import APART, BREAK

_EXTERNAL_LINK = re.compile(
    r"\[(?:https?:|ftp:|mailto:|news:|irc:|//)[^\s\[\]<>\"]*+(?:[ \t\xa0]++([^\[\]\n]*+))?\]", re.IGNORECASE
)
_UNCLOSED_LINK = re.compile(
    r"\[(?:https?:|ftp:|//)[^\s\[\]<>\"]*+(?:[ \t\xa0]++|(?=$))(?=[^\[\]\n]*$)", re.IGNORECASE | re.MULTILINE
)
_SMALL = re.compile(r"<(sup|sub)\b[^<>]*>([-+−\d]{1,6})</\1>", re.IGNORECASE)
_SUPERSCRIPT = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_SUBSCRIPT = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_TAG = re.compile(
    r"<(/?)(a|abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|col|colgroup|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|hr"
    r"|i|ins|kbd|li|mark|noinclude|ol|onlyinclude|p|phonos|q|rb|rt|rtc|ruby|s|samp|section|small|span|strike|strong|sub"
    r"|sup|table|tbody|td|tfoot|th|thead|time|tr|tt|u|ul|var|wbr|nowiki|pre|poem|math|ref|references|gallery)"
    r"(?=[\s/>])[^<>\n]*(?:\n[^<>\n]*){0,3}>",
    re.IGNORECASE,
)
_OPENING = {"li": "\n* ", "td": " ", "th": " ", "rt": "(", "q": '"', "br": BREAK} | dict.fromkeys(
    ("p", "hr", "div", "center", "blockquote", "dd", "dt", "dl", "ul", "ol", "tr"), "\n\n"
)
_CLOSING = _OPENING | {"li": "", "rt": ")"}
_VARIANT = re.compile(r"-\{([^{}]*+)\}-")
_VARIANT_FLAGS = frozenset(("A", "R", "", "zh", "zh-hans", "zh-hant", "zh-cn", "zh-tw", "zh-hk", "sr-ec", "sr-el"))
_RULE = re.compile(r"^\s*[a-z]{2,3}(?:-[a-z]+)?\s*:(?!//)")
_MAGIC_WORD = re.compile(r"__[^\Wa-zа-я\d]{2,40}?__")
_QUOTES = re.compile(r"''+")


def strip_inline(text: str) -> str:
    """Take away the markup inside lines, and keep what it marks; APART goes, BREAK comes for <br>."""
    if "[" in text:
        text = _EXTERNAL_LINK.sub(_label, text)
        if "[http" in text:
            text = _UNCLOSED_LINK.sub("", text)
    if "<" in text:
        text = _SMALL.sub(_small_digits, text)
        text = _TAG.sub(_shown_tag, text)
    if "-{" in text:
        for _ in range(3):  # nested ones, from the inside
            text = _VARIANT.sub(_variant, text)
        text = text.replace("-{", "").replace("}-", "")
    if "__" in text:
        text = _MAGIC_WORD.sub("", text)
    if "''" in text:
        text = "\n".join([strip_quotes(line) if "''" in line else line for line in text.split("\n")])
    return text.replace(APART, "") if APART in text else text


def _label(found: re.Match[str]) -> str:
    return found[1] or ""


def _small_digits(found: re.Match[str]) -> str:
    return found[2].translate(_SUPERSCRIPT if found[1].lower() == "sup" else _SUBSCRIPT)


def _shown_tag(found: re.Match[str]) -> str:
    return (_CLOSING if found[1] else _OPENING).get(found[2].lower(), "")


def _variant(found: re.Match[str]) -> str:
    """Language conversion, `-{zh-hans:A;zh-hant:B}-`: the first variant; flags other than A (add) show nothing."""
    flags, bar, rules = found[1].rpartition("|")
    if bar and not {flag.strip() for flag in flags.split(";")} & _VARIANT_FLAGS:
        return ""
    first = next((rule for rule in rules.split(";") if rule.strip()), "") if _RULE.match(rules) else rules
    return _RULE.sub("", first).strip()


def strip_quotes(line: str) -> str:
    """'' and ''' go; where a line has an odd number of both, one ''' is an apostrophe and '' (l'''Orient'')."""
    runs = [(found.start(), found.end() - found.start()) for found in _QUOTES.finditer(line)]
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
        lambda found: "'" if found.start() == kept else surplus.get(len(found[0]), "'" * (len(found[0]) - 5)), line
    )
