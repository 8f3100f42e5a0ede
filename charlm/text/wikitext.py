"""Wikitext of one page -> the text that a reader of the page would see, as plain paragraphs.

    wikitext ─ set_aside ─ resolve_brackets ─ strip_inline ─ decode_entities ─ mend ─ lay_out ─ restore ─> text
               comments,   templates, links,  bold, tags,    &eacute;          "( )"  lines     nowiki,
               <ref>, pre  tables, files      URLs                                              pre

Paragraphs stay, parted by one blank line; headings stay as `== Heading ==` (one with nothing under it goes); an item
of a `*` or `#` list becomes `- item` whatever its depth; `:` and `;` go. Tables, references, galleries, formulas, files
and categories go. A template goes unless it is one of the few inline ones of `templates`. Superscript digits become ²,
no-break spaces spaces. Every pass is linear in the text's length, whatever the markup.
"""

import html
import re
from html.entities import html5

from charlm.text.namespaces import INTERLANGUAGE
from charlm.text.templates import is_shown, render, template_name

_LITERAL_TAGS = frozenset(("nowiki", "pre", "syntaxhighlight", "source"))
_DROPPED_TAGS = (
    "references", "ref", "math", "chem", "ce", "gallery", "timeline", "score", "graph", "mapframe", "maplink", "hiero",
    "templatedata", "templatestyles", "imagemap", "inputbox", "categorytree", "includeonly", "indicator",
)  # fmt: skip
_ASIDE = re.compile(rf"<(?:!--|({'|'.join((*_LITERAL_TAGS, *_DROPPED_TAGS))})(?=[\s/>])([^<>]*)>)", re.IGNORECASE)
_BRACKET = re.compile(r"\{\{+|\}\}+|\[\[|\]\]|\{\|(?!\})|\n[ \t]*+\|\}(?!\}(?!\}))|</?[tT][aA][bB][lL][eE]\b[^<>]*>")
_TEMPLATE_NAME = re.compile(r"\{\{\s*+([^|{}\[\]<>\n]*)")
_LINK_PREFIX = re.compile(r"\[\[[\s_]*+(:?)\s*([^\[\]|{}<>\n:]*+)(:?)([^\[\]|]*+)(\|?)")
_UNBALANCED = re.compile(r"\{\{+|\}\}+|\[\[+|\]\]+")
_EXTERNAL_LINK = re.compile(
    r"\[(?:https?:|ftp:|mailto:|news:|irc:|//)[^\s\[\]<>\"]*+(?:[ \t\xa0]++([^\[\]\n]*+))?\]", re.IGNORECASE
)
_SMALL = re.compile(r"<(sup|sub)\b[^<>]*>([-+−\d]{1,6})</\1>", re.IGNORECASE)
_SUPERSCRIPT = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_SUBSCRIPT = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
_TAG = re.compile(
    r"</?(a|abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|col|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|hr|i|ins"
    r"|kbd|li|mark|noinclude|ol|onlyinclude|p|phonos|poem|q|rb|rp|rt|ruby|s|samp|section|small|span|strike|strong|sub|sup"
    r"|table|tbody|td|th|thead|time|tr|tt|u|ul|var|wbr)(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
_BREAKS = {"p": "\n\n", "li": "\n* ", "td": " ", "th": " "} | dict.fromkeys(
    ("br", "hr", "div", "center", "blockquote", "dd", "dt", "dl", "ul", "ol", "poem", "tr"), "\n"
)
_VARIANT = re.compile(r"-\{([^{}]*+)\}-")
_MAGIC_WORD = re.compile(r"__[^\Wa-zа-я\d]{2,40}?__")
_QUOTES = re.compile(r"''+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,7}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_EMPTY_PARENTHESES = re.compile(r"\((?<!\S\()[ ,;:،]*+\) ?")
_EMPTY_WIDE_PARENTHESES = re.compile(r"（[ ,;:、，；]*+）")
_OPENED = re.compile(r"([(（])[ ,;、，；]++(?=\S)")
_CLOSED = re.compile(r"(?<![ ,;、，；])[ ,;、，；]++(?=[)）])")
_GAPS = (" )", ",)", ";)", " ）", "、）", "，）", "；）")
_STRAY_SPACE = re.compile(r" (?=[,.](?:\s|$))(?<=\S )")
_REPEATED = re.compile(r"[,;](?: ?[,;])+")
_GAP_FIRST = re.compile(r"^((?:- )?)[,;.:、，；](?:\s+|(?<=[、，；]))")
_GAP_STARTS = tuple(marker + sign for marker in ("", "- ") for sign in ",;.:、，；")
_WORD = re.compile(r"[^\W_]")
_MAX_DEPTH = 60
"""Brackets nested deeper are dropped; MediaWiki itself stops at 40 to 100."""


def clean(wikitext: str, hidden: frozenset[str]) -> str:
    """The visible text of a page; `hidden` comes from `hidden_names`. No leading or trailing blank lines."""
    literals: list[str] = []
    text = _set_aside(wikitext.replace("\0", ""), literals)
    text = _resolve_brackets(text, hidden)
    text = _strip_inline(text)
    text = _decode_entities(text)
    text = _mend(text)
    text = _lay_out(text)
    return _restore(text, literals)


def _set_aside(text: str, literals: list[str]) -> str:
    """Drop comments and the tags whose content is no text; put literal content aside, under NUL number NUL."""
    pieces: list[str] = []
    unclosed: set[str] = set()
    position = 0
    while found := _ASIDE.search(text, position):
        pieces.append(text[position : found.start()])
        name = (found[1] or "").lower()
        if not name:
            end = text.find("-->", found.end())
            position = len(text) if end < 0 else end + 3
            own_line = found.start() == 0 or text[found.start() - 1] == "\n"
            if own_line and text[position : position + 1] == "\n":
                position += 1
            continue
        closing = None
        if not found[2].rstrip().endswith("/") and name not in unclosed:
            closing = re.compile(rf"</{name}\s*>", re.IGNORECASE).search(text, found.end())
            if closing is None:
                unclosed.add(name)
        content = text[found.end() : closing.start()] if closing else ""
        position = closing.end() if closing else found.end()
        if name in _LITERAL_TAGS:
            pieces.append(f"\0{len(literals)}\0")
            literals.append(content if name == "nowiki" else content.strip("\n"))
    pieces.append(text[position:])
    return "".join(pieces)


def _restore(text: str, literals: list[str]) -> str:
    if literals:
        text = re.sub("\0([0-9]+)\0", lambda found: _decode_entities(literals[int(found[1])]), text)
    return text.strip()


def _matching_brackets(text: str) -> list[tuple[int, int, str]]:
    """(start, end, opening) of every pair, sorted by start. What stays open or closes nothing is left out."""
    spans: list[tuple[int, int, str]] = []
    stack: list[list[int]] = []  # [index into kinds, start, number of braces]
    kinds = ("{{", "[[", "{|", "<t")
    num_open = [0, 0, 0, 0]

    def close_down_to(kind: int) -> list[int]:
        """Give up what was opened inside and never closed."""
        while stack[-1][0] != kind:
            num_open[stack.pop()[0]] -= 1
        return stack[-1]

    for found in _BRACKET.finditer(text):
        bracket, start, end = found[0], found.start(), found.end()
        if bracket == "{|" and not _starts_line(text, start):
            continue
        if bracket[-1] == "{":
            stack.append([0, start, end - start])
            num_open[0] += 1
        elif bracket[0] == "}":
            remaining = end - start
            while remaining >= 2 and num_open[0]:
                top = close_down_to(0)
                size = 3 if remaining >= 3 and top[2] >= 3 else 2
                opened = top[1] + top[2] - size
                spans.append((opened, end - remaining + size, "{{{"[:size]))
                remaining -= size
                top[2] -= size
                if top[2] < 2:
                    num_open[stack.pop()[0]] -= 1
        elif bracket == "[[":
            stack.append([1, start, 2])
            num_open[1] += 1
        elif bracket == "]]":
            if stack and stack[-1][0] == 1:
                spans.append((stack.pop()[1], end, "[["))
                num_open[1] -= 1
        else:
            kind = 3 if bracket[0] == "<" else 2
            if bracket == "{|" or (kind == 3 and bracket[1] != "/"):
                stack.append([kind, start, 0])
                num_open[kind] += 1
            elif num_open[kind]:
                spans.append((close_down_to(kind)[1], end, kinds[kind]))
                num_open[stack.pop()[0]] -= 1
    spans.sort()
    return spans


def _starts_line(text: str, start: int) -> bool:
    """Whether only indentation stands before `start` in its line (a look at a few characters: time stays linear)."""
    before = text[max(start - 30, 0) : start].rpartition("\n")
    return not before[2].strip(" \t:*#") and (bool(before[1]) or start <= 30)


def _resolve_brackets(text: str, hidden: frozenset[str]) -> str:
    """Replace templates, links and tables, inner before outer, by what they show."""
    pieces: list[str] = []
    frames: list[tuple[int, str, list[str]]] = []  # (end, opening, pieces outside) of the spans we are in
    position = 0

    def close_frames(limit: int) -> None:
        nonlocal pieces, position
        while frames and frames[-1][0] <= limit:
            end, opening, outside = frames.pop()
            pieces.append(text[position : end - 2])
            inner = "".join(pieces)
            pieces = outside
            pieces.append(_link(inner) if opening == "[[" else render(inner))
            position = end

    for start, end, opening in _matching_brackets(text):
        if start < position:
            continue  # inside a span that was dropped
        close_frames(start)
        pieces.append(text[position:start])
        if len(frames) < _MAX_DEPTH and _shows(text, start, opening, hidden):
            frames.append((end, opening, pieces))
            pieces = []
            position = start + 2
        else:
            position = end
    close_frames(len(text))
    pieces.append(text[position:])
    return _UNBALANCED.sub("", "".join(pieces))


def _shows(text: str, start: int, opening: str, hidden: frozenset[str]) -> bool:
    """Whether anything of this template or link is visible."""
    if opening == "{{":
        name = _TEMPLATE_NAME.match(text, start)
        return name is not None and is_shown(template_name(name[1]))
    found = _LINK_PREFIX.match(text, start) if opening == "[[" else None
    if found is None:
        return False
    shown, prefix, colon, _, label = found.groups()
    if shown or not colon:
        return True
    prefix = prefix.strip()
    return prefix.replace("_", " ").casefold() not in hidden and (bool(label) or prefix not in INTERLANGUAGE)


def _link(inner: str) -> str:
    target, _, label = inner.partition("|")
    if label.strip():
        return label
    target = target.strip().removeprefix(":")
    return target.partition(" ")[2] if target.startswith(("http:", "https:", "//")) else target.replace("_", " ")


def _strip_inline(text: str) -> str:
    """Take away the markup inside lines, and keep what it marks."""
    if "[" in text:
        text = _EXTERNAL_LINK.sub(lambda found: found[1] or "", text)
    if "<" in text:
        text = _SMALL.sub(_small_digits, text)
        text = _TAG.sub(lambda found: _BREAKS.get(found[1].lower(), ""), text)
    if "-{" in text:
        text = _VARIANT.sub(lambda found: _variant(found[1]), text)
    if "__" in text:
        text = _MAGIC_WORD.sub("", text)
    if "''" in text:
        text = "\n".join(_strip_quotes(line) if "''" in line else line for line in text.split("\n"))
    return text


def _small_digits(found: re.Match[str]) -> str:
    return found[2].translate(_SUPERSCRIPT if found[1].lower() == "sup" else _SUBSCRIPT)


def _variant(inner: str) -> str:
    """Language conversion, `-{zh-hans:A;zh-hant:B}-`: the first variant; flags other than A (add) show nothing."""
    flags, bar, rules = inner.rpartition("|")
    if bar and not {flag.strip() for flag in flags.split(";")} & {"A", "R", "", "zh", "zh-hans", "zh-hant"}:
        return ""
    first = next((rule for rule in rules.split(";") if rule.strip()), "")
    return re.sub(r"^\s*[a-z]{2,3}(?:-[a-z]+)?\s*:(?!//)", "", first).strip()


def _strip_quotes(line: str) -> str:
    """'' and ''' go; where a line has an odd number of both, one ''' is an apostrophe and '' (l'''Orient'')."""
    runs = [(found.start(), found.end() - found.start()) for found in _QUOTES.finditer(line)]
    sizes = [min(size, 5) if size != 4 else 3 for _, size in runs]
    kept = -1
    if (sizes.count(3) + sizes.count(5)) % 2 and (sizes.count(2) + sizes.count(5)) % 2:
        bold = [start for start, size in runs if size == 3]
        single = (at for at in bold if line[at - 1 : at].strip() and not line[max(at - 2, 0) : at - 1].strip())
        kept = next(single, bold[0] if bold else -1)
    surplus = {2: "", 3: "", 4: "'", 5: ""}
    return _QUOTES.sub(
        lambda found: "'" if found.start() == kept else surplus.get(len(found[0]), "'" * (len(found[0]) - 5)), line
    )


def _decode_entities(text: str) -> str:
    return _ENTITY.sub(_decode_entity, text) if "&" in text else text


def _decode_entity(found: re.Match[str]) -> str:
    entity = found[0]
    return html.unescape(entity) if entity[1] == "#" else html5.get(entity[1:], entity)


def _mend(text: str) -> str:
    """Close the gaps that dropped markup leaves: double spaces, empty parentheses, commas with nothing between."""
    text = text.replace("\xa0", " ").replace("\t", " ").replace("\r", "")
    text = re.sub("  +", " ", text)
    text = _EMPTY_PARENTHESES.sub("", text)
    text = _EMPTY_WIDE_PARENTHESES.sub("", text)
    text = _OPENED.sub(r"\1", text)
    if any(gap in text for gap in _GAPS):
        text = _CLOSED.sub("", text)
    text = _STRAY_SPACE.sub("", text)
    return _REPEATED.sub(lambda found: ";" if ";" in found[0] else ",", text)


def _lay_out(text: str) -> str:
    """Lines as plain text: list markers, indents, headings, blank lines; nothing that holds no word."""
    kept: list[str] = []  # from the last line to the first, to see what stands under a heading
    below = 0  # level of the next heading that is kept; 7 where text comes first
    for raw in reversed(text.split("\n")):
        line = raw.strip()
        if line and line[0] in "*#:;":
            body = line.lstrip("*#:; \u3000")
            if not body:
                continue
            marker = line[: len(line) - len(body)].rstrip()[-1]
            line = f"- {body}" if marker in "*#" else body
        if line.startswith(_GAP_STARTS):
            line = _GAP_FIRST.sub(r"\1", line)
        if line.startswith(("|", "{|")) or not _WORD.search(line):
            if kept and kept[-1] and (not line or line.startswith(("----", "|", "{|"))):
                kept.append("")
            continue
        level = _heading_level(line)
        if level:
            if below > level:
                title = line[level:-level].strip()
                kept += ("", f"{'=' * level} {title} {'=' * level}", "")
                below = level
        else:
            kept.append(line)
            below = 7
    return re.sub("\n{3,}", "\n\n", "\n".join(reversed(kept)))


def _heading_level(line: str) -> int:
    """1 to 6, or 0 for what is no heading."""
    if line[0] != "=" or line[-1] != "=":
        return 0
    level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6)
    return level if line[level:-level].strip() else 0
