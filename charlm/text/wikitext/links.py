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
# Each pattern has one group, so that `split` replaces a link by its group, faster than `sub`.
_PLAIN_LABEL = re.compile(r"\[\[(?!//| *\|)[^\[\]{}|:<>\n&%\6]+\|([^\[\]{}|\n\6'*#:;=\s-][^\[\]{}|\n\6']*)\]\]")
_PLAIN_TARGET = re.compile(r"\[\[([^\[\]{}|:<>\n&%\0-\6'*#;=\s/-][^\[\]{}|:<>\n&%\0-\6']*)\]\]")
_PLAIN_LINK = re.compile(r"\[\[(?!//)([^\[\]{}|:<>\n\0-\6]+)(?:\|([^\[\]{}|\n\6]+))?\]\]")
_INVALID_TARGET = re.compile(rf"[\0-\x08\n{{}}<>\[\]]|^\s*{PROTOCOL}", re.IGNORECASE)
_MAX_TITLE_BYTES = 255
_BLOCK_MARKERS = frozenset("*#:;=- ")


def render_plain_links(text: str) -> str:
    """Replace the links without a prefix or other markup. Most links are like this."""
    text = "".join(_PLAIN_TARGET.split("".join(_PLAIN_LABEL.split(text))))
    return _PLAIN_LINK.sub(_render_plain_link, text)


def fold_prefix(prefix: str) -> str:
    """Return a prefix of a link as `namespaces` has it: case-folded, with single blanks."""
    return " ".join(html.unescape(prefix).replace("_", " ").split()).casefold()


def _render_plain_link(match: re.Match[str]) -> str:
    label = match[2]
    if "&" in match[1] or "%" in match[1] or match[1].isspace() or _is_too_long(match[1]):  # may be no title
        return match[0]
    if label and label.strip("'"):
        shown = strip_quotes(label) if "''" in label else label
    else:
        shown = _keep_quotes(match[1].lstrip())
    return SEPARATOR + shown if shown[0] in _BLOCK_MARKERS else shown


def render_link(inner: str) -> str:
    """Render a link to a page, or return it as it is if its target is no title."""
    target, bar, label = inner.partition("|")
    title = html.unescape(unquote(target) if "%" in target else target)
    shown = title.lstrip().removeprefix(":").lstrip()
    if shown[:1] in ":" or (bar and not label) or _INVALID_TARGET.search(title) or _is_too_long(shown):
        return f"[[{inner}]]"
    shown = _keep_quotes(shown)
    if label.strip("'"):
        shown = (strip_quotes(label) if "''" in label else label).replace("\n", " ")
        shown = shown.replace(CONTENTS, "").replace("|", "&#124;")  # no separator of the arguments around it
    return SEPARATOR + shown if shown[:1] in _BLOCK_MARKERS else shown


def _is_too_long(title: str) -> bool:
    return len(title) > _MAX_TITLE_BYTES // 4 and len(title.encode()) > _MAX_TITLE_BYTES


def _keep_quotes(title: str) -> str:
    """Keep apostrophes in a title from being read as bold and italics."""
    return SEPARATOR + title.replace("'", f"'{SEPARATOR}") if "'" in title else title
