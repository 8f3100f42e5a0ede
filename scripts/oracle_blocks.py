"""Blocks of wikitext to compare: from dumps, by mutation, and from a grammar.

dump ── articles ── split at blank lines ──> blocks without templates ── mutate ──> broken blocks
grammar ──> random snippets
"""

import lzma
import random
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.text.dump.pages import DumpReader
from charlm.text.wikitext.back_matter import is_back_matter

_BLANK_LINE = re.compile(r"\n\s*\n")
_HEADING = re.compile(r"^=+[ \t]*(.+?)[ \t]*=+[ \t]*$", re.MULTILINE)
_TOKEN = re.compile(
    r"\[\[|\]\]|'{2,5}|\[|\]|</?[a-z]+[^<>]*>|\{\||\|\}|[|*#:;=]+|&[#\w]+;|-{4,}|__|\w+|\s|.", re.DOTALL
)
_MARKUP = (
    "[[", "]]", "''", "'''", "'''''", "[http://example.org ", "]", "|", "*", "#", ":", ";", "=", "==", "----", " ",
    "\n", "\n*", "\n:", "\n;", "\n ", "<b>", "</b>", "<br>", "<small>", "</small>", "&nbsp;", "&#35;", "&lt;",
    "<nowiki>", "</nowiki>", "<!--", "-->", "__", "__TOC__", "//", "http://", "(", ")", "-{", "}-", "{", "}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dump:
    """The header and the blocks of a dump."""

    name: str
    language: str
    namespaces: dict[int, str]
    blocks: list[str]


_MEDIAWIKI_CODES = {
    "als": "gsw", "bat-smg": "sgs", "be-x-old": "be-tarask", "commons": "en", "fiu-vro": "vro", "roa-rup": "rup",
    "simple": "en", "wikidata": "en", "zh-classical": "lzh", "zh-min-nan": "nan", "zh-yue": "yue",
}  # fmt: skip
"""The language of a wiki whose code is another one, as MediaWiki knows it."""


def read_dump(path: Path, *, language_from_name: bool = False) -> Dump:
    """Read the different blocks without templates of the articles in a dump (xml, bz2 or xz).

    Args:
        language_from_name: whether the name of the file begins with the language, as `de.xml.bz2`, and the header is
            that of another wiki.
    """
    code = path.name.partition(".")[0] if language_from_name else None
    with tempfile.TemporaryDirectory() as folder:
        if path.suffix == ".xz":
            unpacked = Path(folder, path.stem)
            unpacked.write_bytes(lzma.decompress(path.read_bytes()))
            path = unpacked
        reader = DumpReader(path)
        texts = [page.text for page in reader if page.namespace == 0 and not page.redirect]
        blocks = dict.fromkeys(block for text in texts for block in _blocks(text))
        language = reader.siteinfo.language if code is None else _MEDIAWIKI_CODES.get(code, code)
        return Dump(path.name, language, dict(reader.siteinfo.namespaces), list(blocks))


def _blocks(text: str) -> Iterator[str]:
    """Split at blank lines; a heading stays with the block below it, and sections of references are left out."""
    heading = ""
    for part in _BLANK_LINE.split(text):
        block = f"{heading}\n\n{part}".strip("\n") if heading else part.strip("\n")
        heading = block if all(_HEADING.fullmatch(line) for line in block.split("\n") if line.strip()) else ""
        titles = _HEADING.findall(block)
        if heading or any(map(is_back_matter, titles)):
            continue
        if block.strip() and "{{" not in block and "}}" not in block:
            yield block


def mutate(block: str, source: random.Random) -> str:
    """Return the block with one to four tokens deleted, doubled, swapped, replaced by or followed by markup."""
    tokens = _TOKEN.findall(block)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(tokens))
        match source.randrange(5):
            case 0 if len(tokens) > 1:
                del tokens[at]
            case 1:
                tokens.insert(at, tokens[at])
            case 2:
                other = source.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = source.choice(_MARKUP)
            case _:
                tokens.insert(at, source.choice(_MARKUP))
    return "".join(tokens)


class Grammar:
    """Random wikitext: what authors write, and what they write by mistake."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)  # noqa: S311 - seeded, to compare the same blocks again

    def snippet(self) -> str:
        """Return one to five lines or blocks."""
        count = self._source.randint(1, 5)
        return "".join(self._line() + self._source.choice(("\n", "\n", "\n\n")) for _ in range(count)).rstrip("\n")

    def _choose(self, *options: str) -> str:
        return self._source.choice(options)

    def _word(self) -> str:
        return self._choose("ship", "Harbour", "l", "it's", "12", "naïve", "корабль", "港", "x", "a b", "(sea)", "C++")

    def _line(self) -> str:
        match self._source.randrange(12):
            case 0:
                return (
                    self._choose("*", "#", "**", "*#", ":", "::", ":*", ";", "*:")
                    + self._choose("", " ")
                    + self._inline()
                )
            case 1:
                return f";{self._inline()}{self._choose(':', ' : ', ': ')}{self._inline()}"
            case 2:
                bars = "=" * self._source.randint(1, 6)
                blank = self._choose("", " ")
                return f"{bars}{blank}{self._inline()}{blank}{bars}{self._choose('', ' ', '=')}"
            case 3:
                return self._choose(
                    "----",
                    "-----",
                    "<hr>",
                    "<hr>" + self._inline(),
                    "----" + self._inline(),
                    "---",
                    "--" + self._word(),
                )
            case 4:
                return self._table()
            case 5:
                return " " + self._inline()
            case 6:
                return self._choose("<pre>", "<pre>\n") + self._inline() + "\n" + self._inline() + "</pre>"
            case 7:
                return self._choose("<div>", "<center>", "<blockquote>", "<p>") + self._inline() + self._choose(
                    "</div>", "</center>", "</blockquote>", "</p>", "")  # fmt: skip
            case _:
                return self._inline()

    def _table(self) -> str:
        rows = "\n".join(
            self._choose("|-", "! head", f"| {self._inline()}", f"| a || {self._inline()}") for _ in range(3)
        )
        return f"{self._choose('', '', ':')}{{| class=x\n{rows}" + self._choose(
            "\n|}", "\n|}", "\n|} " + self._word(), ""
        )

    def _inline(self) -> str:
        return self._choose("", "", "", "#", "*", "|", "=", "''*", "'''#", ": ").join(
            (" ".join(self._span() for _ in range(self._source.randint(1, 4))), "")
        )

    def _span(self) -> str:
        word, label = self._word(), self._word()
        match self._source.randrange(16):
            case 0:
                quotes = self._choose("''", "'''", "'''''", "''''", "''''''")
                return quotes + word + self._choose(quotes, quotes, quotes, "''", "'''", "")
            case 1:
                return f"[[{word}]]" + self._choose("", "s", "''")
            case 2:
                return f"[[{word}|{self._choose('', '#', '*', chr(39) * 2)}{label}{self._choose('', '', chr(39) * 2)}]]"
            case 3:
                protocol = self._choose(
                    "http://", "https://", "//", "ftp://", "mailto:", "news:", "irc://", "gopher://", "git://", "tel:",
                    "magnet:", "xmpp:", "geo:", "svn://", "urn:", "bitcoin:", "telnet://", "sip:", "sms:", "ssh://",
                )  # fmt: skip
                return f"[{protocol}example.org/a{self._choose(' ', chr(9), chr(0x3000), '')}{label}]"
            case 4:
                return self._choose(
                    "[http://example.org]", "http://example.org/x", "[https://a.org b [c] d]", "[sic]", "[1]"
                )
            case 5:
                return self._choose(
                    "&nbsp;", "&#35;", "&#42;x", "&amp;lt;", "&ndash;", "&unknown;", "&", "&#x41;", "&lt;b&gt;"
                )
            case 6:
                return f"<nowiki>{self._choose(chr(39) * 2, '[[', '#', word)}{word}</nowiki>"
            case 7:
                return self._choose("__TOC__", "__NOTOC__", "__init__", "__FOO__", "__NOEDITSECTION__", "__ a__")
            case 8:
                tag = self._choose(
                    "b", "i", "small", "span", "sup", "sub", "u", "s", "big", "code", "em", "strong", "tt"
                )
                return f"<{tag}>{word}</{tag}>"
            case 9:
                return self._choose("<br>", "<br />", "<foo>", "<B>x</B>", "a < b", "<!-- c -->", "<ref>r</ref>")
            case 10:
                return f"[[File:A.jpg|thumb|{label}]]"
            case 11:
                return self._choose(
                    "[[Category:A]]", "[[:Category:A]]", "[[de:Schiff]]", "[[:de:Schiff]]", "[[w:Ship|ship]]"
                )
            case _:
                return word
