"""Links to pages -> what they show.

[[target]], [[target|label]] ──render_plain_links, before the brackets are matched──> most of them
                             ──render_link, when their inside is known──────────────> the others
"""

import html
import re
from urllib.parse import unquote

from charlm.text.wikitext.inline import HTML_TAG_NAMES, PROTOCOL, RULE, strip_quotes
from charlm.text.wikitext.marks import CONTENTS, EDGE, SEPARATOR

# Links that need no second look. A target holds no mark ("\\0" to EDGE): it may be no title.
# Short ones are no longer than _MAX_TITLE_BYTES, and those that begin with no dot are no paths.
# The pattern has one group, so that `split` replaces a link by its group, faster than `sub`.
_PLAIN_NAME = r"[^\[\]{}|:<>\n&%\0-\6\s/._][^\[\]{}|:<>\n&%\0-\6]{0,62}"
_PLAIN_TARGET = r"[^\[\]{}|:<>\n&%\0-\6'*#;=\s/._-][^\[\]{}|:<>\n&%\0-\6']{0,62}\]"
_PLAIN_LABEL = re.compile(
    rf"\[\[(?:{_PLAIN_NAME}\||(?={_PLAIN_TARGET}))([^\[\]{{}}|<\n\6'*#:;=\s-][^\[\]{{}}|<\n\6']*)(?<!=)\]\]"
)
_PLAIN_LINK = re.compile(r"\[\[(?!//)([^\[\]{}|:<>\n\0-\6]+)(?:\|([^\[\]{}|\n\6]+))?\]\]")
_INVALID_TARGET = re.compile(
    rf"[\0-\x08\n{{}}\[\]]|^\s*{PROTOCOL}|</?(?:{HTML_TAG_NAMES})(?=[\s/>])[^<>]*>", re.IGNORECASE
)
# The pattern begins with a set, which `re` looks for faster than for alternatives.
_INVALID_IN_NAME = re.compile(r"[<>{}\[\]|\x7f%&](?:(?<![%&])|(?<=%)[0-9a-fA-F]{2}|(?<=&)[0-9a-zA-Z\x80-\U0010ffff]+;)")
_OPEN_SCRIPT = re.compile(r"<(su[bp])\b[^<>]*>[^<>]*\Z", re.IGNORECASE)
_PATH = re.compile(r"/\.\.?/")
_BLANKS = (
    " _\t\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_TRIMMED = " \t\n\r\x0b"  # before a title; MediaWiki shows other blanks
_MAX_TITLE_BYTES = 255
_BLOCK_MARKERS = frozenset("*#:;=- ")


def render_plain_links(text: str) -> str:
    """Replace the links without a prefix or other markup. Most links are like this."""
    return _PLAIN_LINK.sub(_render_plain_link, "".join(_PLAIN_LABEL.split(text)))


def fold_prefix(prefix: str) -> str:
    """Return a prefix of a link as `namespaces` has it: case-folded, with single blanks."""
    return " ".join(html.unescape(prefix).replace("_", " ").split()).casefold()


def show_broken_target(target: str) -> str:
    """Return what MediaWiki shows of the target of a link with a bar and no end."""
    if not is_target(target):
        return target
    target = target.lstrip(" ")
    return unquote(target).replace("<", "&lt;").replace(">", "&gt;") if "%" in target else target


def _render_plain_link(match: re.Match[str]) -> str:
    label = match[2]
    if "&" in match[1] or "%" in match[1] or not _is_title(match[1]):
        return match[0]
    shown = _strip_label(label) if label else _show_target(match[1].lstrip(_TRIMMED))
    if not shown:
        return match[0]
    return _guard(shown)


def render_link(inner: str, *, is_special: bool = False) -> str:
    """Render a link to a page, or return it as it is if its target is no title.

    MediaWiki reads lines in the label of a link to a special page (`is_special`) or to a section of the page itself.
    """
    target, bar, label = inner.partition("|")
    if (bar and not label) or not is_target(target):
        return f"[[{inner}]]"
    title = _decode_target(target).removeprefix(":")
    if not label:
        return _guard(_show_target(title))
    shown = _strip_label(label)
    if not shown:
        return _guard(_keep_quotes(title.partition("#")[0].strip(_BLANKS).replace("_", " ")))
    return _guard(_show_label(shown, has_lines=is_special or title[:1] == "#"))


def _show_label(label: str, *, has_lines: bool) -> str:
    """Return a label without quotes as one line, or as MediaWiki reads its lines: `has_lines`."""
    if not has_lines:
        parts = RULE.split(label) if "\n----" in label else [label]
        label = f"\n\n{EDGE}".join(part.replace("\n", " ") for part in parts)
    end = label.rfind("]") + 1
    if "[" in label[end:]:  # begins no external link that ends behind the label
        label = label[:end] + label[end:].replace("[", f"[{SEPARATOR}")
    return label.replace(CONTENTS, "").replace("|", "&#124;")  # no separator of the arguments around it


def _guard(shown: str) -> str:
    """Keep a link from beginning a block, from ending a heading, and from leaving <sub> or <sup> open."""
    if "<su" in shown and (script := _OPEN_SCRIPT.search(shown)):
        shown += f"</{script[1]}>"
    if shown[-1:] == "=":
        shown += SEPARATOR
    return SEPARATOR + shown if shown[:1] in _BLOCK_MARKERS else shown


def is_target(target: str) -> bool:
    """Return whether MediaWiki reads the target of a link as the name of a page, a section of one, or both."""
    title = _decode_target(target).strip(_BLANKS).removeprefix(":").lstrip(_BLANKS)
    return title[:1] not in ("", ":") and not _INVALID_TARGET.search(target) and _is_title(title)


def _decode_target(target: str) -> str:
    return html.unescape(unquote(target) if "%" in target else target).lstrip(_TRIMMED)


def _show_target(title: str) -> str:
    """Return a title with its apostrophes; in a link to a section of the page itself they are quotes of the line."""
    return title if title[:1] == "#" else _keep_quotes(title)


def _is_title(title: str) -> bool:
    """Return whether MediaWiki reads the decoded target as the name of a page, a section of one, or both."""
    name = title.partition("#")[0].strip(_BLANKS)
    if not name:
        return "#" in title
    if _INVALID_IN_NAME.search(name) or ("." in name and _PATH.search(f"/{name}/")) or "\ufffd" in title:
        return False
    return len(name) <= _MAX_TITLE_BYTES // 4 or len(name.encode()) <= _MAX_TITLE_BYTES


def _strip_label(label: str) -> str:
    """Strip the quotes of a label by themselves: its apostrophes are no quotes of the line around it."""
    if "'" not in label:
        return label
    shown = strip_quotes(label) if "''" in label else label
    if label == "'''''":  # the only quotes of which MediaWiki leaves nothing: the title shows
        return ""
    return _keep_quotes(shown) if "''" in shown or shown[0] == "'" or shown[-1] == "'" else shown


def _keep_quotes(title: str) -> str:
    """Keep apostrophes in a title from being read as bold and italics."""
    return SEPARATOR + title.replace("'", f"'{SEPARATOR}") if "'" in title else title
