"""Links to pages -> what they show.

[[target]], [[target|label]] ──render_plain_links, before the brackets are matched──> most of them
                             ──render_link, when their inside is known──────────────> the others
"""

import html
import re
from urllib.parse import unquote

from charlm.text.wikitext.inline import PROTOCOL, strip_quotes
from charlm.text.wikitext.marks import CONTENTS, SEPARATOR

# Links that need no second look. A target without a label holds no mark ("\\0" to EDGE): it may be no title.
# Short ones are no longer than _MAX_TITLE_BYTES, and those that begin with no dot are no paths.
# Each pattern has one group, so that `split` replaces a link by its group, faster than `sub`.
_PLAIN_NAME = r"[^\[\]{}|:<>\n&%\6\s/._][^\[\]{}|:<>\n&%\6]{0,62}"
_PLAIN_LABEL = re.compile(rf"\[\[{_PLAIN_NAME}\|([^\[\]{{}}|\n\6'*#:;=\s-][^\[\]{{}}|\n\6']*)\]\]")
_PLAIN_TARGET = re.compile(r"\[\[([^\[\]{}|:<>\n&%\0-\6'*#;=\s/._-][^\[\]{}|:<>\n&%\0-\6']{0,62})\]\]")
_PLAIN_LINK = re.compile(r"\[\[(?!//)([^\[\]{}|:<>\n\0-\6]+)(?:\|([^\[\]{}|\n\6]+))?\]\]")
_INVALID_TARGET = re.compile(rf"[\0-\x08\n{{}}\[\]]|^\s*{PROTOCOL}|</?[a-z][^<>]*>", re.IGNORECASE)
# The pattern begins with a set, which `re` looks for faster than for alternatives.
_INVALID_IN_NAME = re.compile(r"[<>{}\[\]|\x7f%&](?:(?<![%&])|(?<=%)[0-9a-fA-F]{2}|(?<=&)[0-9a-zA-Z\x80-\U0010ffff]+;)")
_PATH = re.compile(r"/\.\.?/")
_BLANKS = (
    " _\t\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_MAX_TITLE_BYTES = 255
_BLOCK_MARKERS = frozenset("*#:;=- ")


def render_plain_links(text: str) -> str:
    """Replace the links without a prefix or other markup. Most links are like this."""
    text = "".join(_PLAIN_TARGET.split("".join(_PLAIN_LABEL.split(text))))
    return _PLAIN_LINK.sub(_render_plain_link, text)


def fold_prefix(prefix: str) -> str:
    """Return a prefix of a link as `namespaces` has it: case-folded, with single blanks."""
    return " ".join(html.unescape(prefix).replace("_", " ").split()).casefold()


def show_broken_target(target: str) -> str:
    """Return what MediaWiki shows of the target of a link with a bar and no end."""
    target = target.lstrip(" ")
    return unquote(target).replace("<", "&lt;").replace(">", "&gt;") if "%" in target else target


def _render_plain_link(match: re.Match[str]) -> str:
    label = match[2]
    if "&" in match[1] or "%" in match[1] or not _is_title(match[1]):
        return match[0]
    shown = _strip_label(label) if label else _keep_quotes(match[1].lstrip())
    return SEPARATOR + shown if shown[0] in _BLOCK_MARKERS else shown


def render_link(inner: str) -> str:
    """Render a link to a page, or return it as it is if its target is no title."""
    target, bar, label = inner.partition("|")
    title = html.unescape(unquote(target) if "%" in target else target)
    shown = title.lstrip().removeprefix(":")
    if shown.lstrip()[:1] in ":" or (bar and not label) or _INVALID_TARGET.search(target) or not _is_title(shown):
        return f"[[{inner}]]"
    shown = _keep_quotes(shown)
    if label:
        shown = _strip_label(label)
        if target.lstrip()[:1] != "#":  # MediaWiki reads lines in the label of a link to a section of the page itself
            shown = shown.replace("\n", " ")
        if (last := shown.rfind("[")) > shown.rfind("]"):  # begins no external link that ends behind the label
            shown = f"{shown[: last + 1]}{SEPARATOR}{shown[last + 1 :]}"
        shown = shown.replace(CONTENTS, "").replace("|", "&#124;")  # no separator of the arguments around it
    return SEPARATOR + shown if shown[:1] in _BLOCK_MARKERS else shown


def _is_title(title: str) -> bool:
    """Return whether MediaWiki reads the decoded target as the name of a page, a section of one, or both."""
    name, _, section = title.partition("#")
    name = name.strip(_BLANKS)
    if not name:
        return bool(section)
    if _INVALID_IN_NAME.search(name) or ("." in name and _PATH.search(f"/{name}/")) or "\ufffd" in title:
        return False
    return len(name) <= _MAX_TITLE_BYTES // 4 or len(name.encode()) <= _MAX_TITLE_BYTES


def _strip_label(label: str) -> str:
    """Strip the quotes of a label by themselves: its apostrophes are no quotes of the line around it."""
    if "'" not in label:
        return label
    shown = strip_quotes(label) if "''" in label else label
    return _keep_quotes(shown) if "''" in shown or shown[0] == "'" or shown[-1] == "'" else shown


def _keep_quotes(title: str) -> str:
    """Keep apostrophes in a title from being read as bold and italics."""
    return SEPARATOR + title.replace("'", f"'{SEPARATOR}") if "'" in title else title
