"""Markup inside lines -> the text that it marks: quotes, external links, rules, tags.

What showed nothing leaves SEPARATOR, so that `layout` sees where a line began with markup.
"""

import re
from collections import Counter

from charlm.text.wikitext.marks import CONTENTS, EDGE, GAP, LINE_BREAK, SEPARATOR, TERM_END
from charlm.text.wikitext.small_digits import SUBSCRIPT, SUPERSCRIPT

PROTOCOL = (
    r"(?:https?://|//|ftps?://|mailto:|news:|ircs?://|gopher://|git://|svn://|ssh://|sftp://|telnet://|nntp://|mms://"
    r"|redis://|worldwind://|bitcoin:|geo:|magnet:|matrix:|sips?:|sms:|tel:|urn:|xmpp:)"
)
"""The protocols of MediaWiki's $wgUrlProtocols."""
HTML_TAG_NAMES = (
    "abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|hr"
    "|i|ins|kbd|li|mark|ol|p|pre|q|rb|rp|rt|rtc|ruby|s|samp|small|span|strike|strong|sub|sup|table|td|th|time|tr|tt|u|ul"
    "|var|wbr"
)
"""Tags of HTML in wikitext. MediaWiki shows all others as text, if no extension has them."""
_SPACE_SEPARATORS = " \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"  # Unicode's category Zs
_EXTERNAL_LINK = re.compile(
    rf"\[{PROTOCOL}(?:\[[0-9a-f:.]++\]|[^\[\]<>\"\0-\x20\x7f{_SPACE_SEPARATORS}])"
    rf"[^\[\]<>\"\0-\x20\x7f{_SPACE_SEPARATORS}]*+[{_SPACE_SEPARATORS}]*+([^\]\n]*+)(?:\]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_ESCAPED_TAG = re.compile("&[lg]t;")
_TAG_IN_ADDRESS = re.compile(
    rf"(?<![{_SPACE_SEPARATORS}])</?(?!(?:{HTML_TAG_NAMES})[\s/>])[^\s<>]+>[^\s<>\"]*+(?=\Z|[{_SPACE_SEPARATORS}])",
    re.IGNORECASE,
)
"""A tag that MediaWiki shows as text, and the address behind it: they are a part of the label."""
_UNCLOSED_LINK = re.compile(
    r"\[(?:(?:https?|ftp):(?://)?|//)[^\s\[\]<>\"/\0-\x08](?:[^\s\[\]<>\"&\0-\x08]|&(?![lg]t;))*+(?=[^\[\]\n]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_TAG_NAMES = (
    f"{HTML_TAG_NAMES}|a|col|colgroup|noinclude|onlyinclude|tbody|tfoot|thead|nowiki|poem|math|ref|references|gallery"
)
_TAG = re.compile(rf"<(/?)({_TAG_NAMES})(?=[\s/>])[^<>]*>", re.IGNORECASE)
_NEW_BLOCK = f"{SEPARATOR}\n\n{SEPARATOR}"  # the line before it ends with a tag: it is no heading
_EDGE = f"{SEPARATOR}\n\n{EDGE}"
_FAR_EDGE = f"{SEPARATOR}\n\n\n{EDGE}"  # what precedes it in its line is a paragraph, for MediaWiki too
_OPENING_TEXT = {
    "li": f"\n* {SEPARATOR}", "td": " ", "th": " ", "rt": "(", "q": '"', "br": LINE_BREAK,
    **dict.fromkeys("p dd dt dl ul ol tr h1 h2 h3 h4 h5 h6".split(), _NEW_BLOCK),
    **dict.fromkeys("hr div center blockquote".split(), _EDGE),
}  # fmt: skip
_CLOSING_TEXT = {name: _FAR_EDGE if text == _NEW_BLOCK else text for name, text in _OPENING_TEXT.items()} | {
    "li": SEPARATOR, "rt": ")"
}  # fmt: skip
_SCRIPT_TAG = re.compile(r"<(sup|sub)\b[^<>]*>((?:[-+−\d]|&minus;){1,6})</\1\s*>", re.IGNORECASE)
_BLOCKQUOTE = re.compile(r"<blockquote[\s>].*?(?:</blockquote|\Z)", re.DOTALL)
_DIV = re.compile(r"<(/?)(?:div|center)(?=[\s/>])", re.IGNORECASE)
_INDENT = re.compile(r"\n[ \t]++(?=\S)")
RULE = re.compile(r"\n-----*+")
_LINK_WITH_LINKS = r"\[\[[^\[\]|:]+:[^\[\]]*+(?:\[\[[^\[\]]*\]\][^\[\]]*+)*+\]\]"  # a file and its caption
_LINK = re.compile(rf"{_LINK_WITH_LINKS}|\[\[[^\[\]]*\]\]")
_TERM_TOKEN = re.compile(
    rf"{_LINK.pattern}|\[{PROTOCOL}[^\]]*\]|\b(?<!\]\])(?!//){PROTOCOL}(?:(?!'')[^\s\[\]<>\"])+(?<![,;.:!?])|\{{\{{|\}}\}}|-\{{|\}}-|''+|:"
    rf"|<(/?)(?:{_TAG_NAMES})(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
_QUOTES = re.compile(r"(''+)")


def strip_links(text: str) -> str:
    """Replace quotes by SEPARATOR, then external links by their labels; write EDGE for rules."""
    text = RULE.sub(f"\n\n\n{EDGE}", text)
    if "''" in text:
        text = "\n".join([strip_quotes(line) if "''" in line else line for line in text.split("\n")])
    if "[" in text:
        text = _EXTERNAL_LINK.sub(_link_label, text)
        if any(start in text for start in ("[http", "[ftp", "[//")):
            text = _UNCLOSED_LINK.sub(SEPARATOR, text)
    return text


def strip_tags(text: str) -> str:
    """Remove tags and keep their text; write SEPARATOR or the edge of a block for a tag, and LINE_BREAK for <br>."""
    if "<" not in text:
        return text
    if CONTENTS in text and _is_in_div(text, text.index(CONTENTS)):
        text = text.replace(CONTENTS, EDGE)
    if "<blockquote" in text:
        text = _BLOCKQUOTE.sub(lambda match: _INDENT.sub("\n", match[0]), text)
    return _replace_tags(_SCRIPT_TAG.sub(_replace_small_digits, text))


def _is_in_div(text: str, position: int) -> bool:
    """Return whether a <div> is open there, which a table of contents does not divide."""
    tags = [match[1] for match in _DIV.finditer(text, 0, position)]
    return tags.count("") > tags.count("/")


def _replace_tags(text: str) -> str:
    num_open = Counter[str]()

    def replace(match: re.Match[str]) -> str:
        name = match[2].lower()
        if not match[1]:
            num_open[name] += 1
            return _OPENING_TEXT.get(name, SEPARATOR)
        if name != "br" and not num_open[name]:  # MediaWiki drops a closing tag without an opening one
            return EDGE if _CLOSING_TEXT.get(name) in (_EDGE, _FAR_EDGE) else SEPARATOR
        num_open[name] -= 1
        return _CLOSING_TEXT.get(name, SEPARATOR)

    return _TAG.sub(replace, text)


def _link_label(match: re.Match[str]) -> str:
    if match[0][-1] != "]":  # no other link in this line has an end: time stays linear
        return match[0]
    if "&" in match[0] and (end := _ESCAPED_TAG.search(match[0], 0, match.start(1) - match.start())):
        return f"{SEPARATOR}{match[0][end.start() : match.start(1) - match.start()].rstrip()} {match[1]}"
    if match[1][:1] == "<" and (tag := _TAG_IN_ADDRESS.match(match.string, match.start(1), match.end(1))):
        return f"{SEPARATOR}{tag[0]} {match.string[tag.end() : match.end(1)]}"
    if not match[1]:
        return SEPARATOR + GAP
    return f"{SEPARATOR}{match[1]}{SEPARATOR}" if match[1][-1] == "=" else SEPARATOR + match[1]


def _replace_small_digits(match: re.Match[str]) -> str:
    return match[2].replace("&minus;", "−").translate(SUPERSCRIPT if match[1].lower() == "sup" else SUBSCRIPT)


def mark_term(match: re.Match[str]) -> str:
    """Write TERM_END for the colon between a term and its definition: the first outside links, tags and quotes."""
    line = match[0]
    start = len(line) - len(line.lstrip("\n*#:;"))
    sizes = iter(_balance(_LINK.sub(SEPARATOR, line[start:]))[1])
    depth = 0
    quotes = set[int]()
    for token in _TERM_TOKEN.finditer(line, start):
        shown = token[0]
        if shown[0] == "'":
            size = next(sizes, len(shown))
            quotes ^= {2, 3} if size == 5 else {size}
        elif shown == ":":
            if not depth and not quotes:
                return f"{line[: token.start()]}{TERM_END}{line[token.end() :]}"
        elif shown in ("{{", "-{") or (shown[0] == "<" and not token[1] and not shown.endswith("/>")):
            depth += 1
        elif shown in ("}}", "}-") or token[1]:
            depth = max(depth - 1, 0)
    return line


def strip_quotes(line: str) -> str:
    """Replace '' and ''' by SEPARATOR, as MediaWiki's doQuotes does."""
    return SEPARATOR.join(_balance(line)[0])


def _balance(line: str) -> tuple[list[str], list[int]]:
    """Return the text around the runs of quotes, with the apostrophes among them, and the size of each run: 2, 3 or 5.

    Four quotes are an apostrophe and '''; more than five are apostrophes and '''''. If a line has odd numbers of both
    '' and ''', one ''' is an apostrophe and '': the first after a word of one letter (l'''Orient''), else the first
    after a longer word, else the first after a blank.
    """
    tokens = _QUOTES.split(line)
    pieces, sizes = tokens[::2], [*map(len, tokens[1::2])]
    if not {2, 3, 5}.issuperset(sizes):
        for i, size in enumerate(sizes):
            surplus = 1 if size == 4 else max(size - 5, 0)
            pieces[i] += "'" * surplus
            sizes[i] = size - surplus
    if 3 in sizes and _is_ambiguous(sizes):
        split = _split_bold(pieces, sizes)
        pieces[split] += "'"
        sizes[split] = 2
    return pieces, sizes


def _is_ambiguous(sizes: list[int]) -> bool:
    """Return whether the numbers of '' and of ''' in a line are both odd; ''''' counts as both."""
    both = sizes.count(5)
    return (sizes.count(3) + both) % 2 == 1 and (sizes.count(2) + both) % 2 == 1


def _split_bold(pieces: list[str], sizes: list[int]) -> int:
    """Return the index of the ''' that is an apostrophe and ''."""
    after_word = after_space = -1
    for i, size in enumerate(sizes):
        if size != 3:
            continue
        before = pieces[i]
        if before.endswith(" "):
            if after_space < 0:
                after_space = i
        elif before[-2:-1] == " " and before[-1] < "\x80":  # MediaWiki looks at bytes
            return i
        elif after_word < 0:
            after_word = i
    return after_word if after_word >= 0 else after_space
