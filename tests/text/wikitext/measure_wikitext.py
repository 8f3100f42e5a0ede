"""Measures the residual markup and the speed of the cleaner, and prints tables.

    dump ── articles ── nowiki, pre, code and math emptied ── clean ──> residual markup, counted; MB/s

If mwparserfromhell is installed, its `strip_code` is measured too, on a sample of each dump.
"""

import importlib
import lzma
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charlm.text.dump.pages import DumpReader
from charlm.text.wikitext import Cleaner

DUMPS = {
    "en": "enwiki-2022-fragment.xml.bz2",
    "uk": "ukwiki-truncated-100k.xml.xz",
    "ja": "jawiki-truncated-100k.xml.xz",
    "hy": "hywiki-truncated-100k.xml.xz",
    "vi": "viwiki-truncated-100k.xml.xz",
    "bn": "bnwiki-truncated-100k.xml.xz",
    "ltg": "ltgwiki-2017-09-pages-articles.xml.bz2",
}
OTHERS = ("en-wikipedia-wp2txt.txt", "en-wikipedia-wikiextractor.txt", "zh-wikipedia-wikiextractor.jsonl")
RESIDUAL = re.compile(
    r"\[\[|\]\]|\{\{|\}\}|\{\||\|\}|<ref|</ref|<br|<div|<span|'''|''|thumb\||\|left\||\|right\||https?://|&nbsp;|&lt;"
    r"|__[A-Z]+__"
)
_LITERAL = re.compile(
    r"(<(nowiki|pre|code|syntaxhighlight|source|math)\b[^<>/]*>).*?(</\2\s*>)", re.DOTALL | re.IGNORECASE
)


@dataclass(frozen=True)
class Wiki:
    """Yield the articles of a dump."""

    language: str
    namespaces: dict[int, str]
    articles: list[tuple[str, str]]
    """(title, wikitext)"""

    def cleaner(self) -> Cleaner:
        return Cleaner(self.language, self.namespaces)


def read_wiki(path: Path) -> Wiki:
    """Read the articles of a dump, which may be compressed with xz."""
    with tempfile.TemporaryDirectory() as folder:
        if path.suffix == ".xz":
            unpacked = Path(folder, path.stem)
            unpacked.write_bytes(lzma.decompress(path.read_bytes()))
            path = unpacked
        dump = DumpReader(path)
        articles = [(page.title, page.text) for page in dump if page.namespace == 0 and not page.redirect]
        return Wiki(dump.siteinfo.language, dict(dump.siteinfo.namespaces), articles)


def without_literals(wikitext: str) -> str:
    """Return the page with literal text replaced by a word: markup in it is not residual."""
    return _LITERAL.sub(r"\1code\3", wikitext)


def allowed(num_characters: int) -> float:
    """Return the number of matches of residual markup that a test allows."""
    return max(3, 5e-6 * num_characters)


def _measure(strip: Callable[[str], str], pages: list[str]) -> tuple[int, int, float]:
    """(residual markup, characters, seconds)"""
    start = time.process_time()
    texts = [strip(page) for page in pages]
    seconds = time.process_time() - start
    return sum(len(RESIDUAL.findall(text)) for text in texts), sum(map(len, texts)), seconds


def main(data: Path, parser_share: int = 10) -> None:
    """Print residual markup and speed for each dump; mwparserfromhell gets every `parser_share`-th page."""
    try:
        parser = importlib.import_module("mwparserfromhell")
    except ImportError:
        parser = None
    for name, file in DUMPS.items():
        wiki = read_wiki(data / "mediawiki" / file)
        cleaner = wiki.cleaner()
        pages = [without_literals(wikitext) for _, wikitext in wiki.articles]
        residual, size, _ = _measure(lambda page, cleaner=cleaner: cleaner.clean(page).text, pages)
        num_bytes = sum(len(wikitext.encode()) for _, wikitext in wiki.articles)
        seconds = min(
            _measure(lambda page, cleaner=cleaner: cleaner.clean(page).text, [text for _, text in wiki.articles])[2]
            for _ in range(3)
        )
        line = f"{name:4}{size:>11,} characters{residual:>6} residual{residual / size * 1e6:>8.1f}/M"
        line += f"{num_bytes / seconds / 1e6:>7.1f} MB/s"
        if parser is not None:
            sample = pages[::parser_share]
            residual, size, seconds = _measure(lambda page: str(parser.parse(page).strip_code()), sample)
            num_bytes = sum(len(page.encode()) for page in sample)
            line += (
                f" | mwparserfromhell{residual:>7}{residual / size * 1e6:>8.1f}/M{num_bytes / seconds / 1e6:>7.2f} MB/s"
            )
        print(line, flush=True)  # noqa: T201
        empty = [title for title, wikitext in wiki.articles if not cleaner.clean(wikitext).text]
        print("     no text left:", ", ".join(empty) or "-", flush=True)  # noqa: T201
    for name in OTHERS:
        text = (data / "plain-text" / name).read_text("utf-8")
        residual = len(RESIDUAL.findall(re.sub(r"<doc [^>]*>|\"url\": \"[^\"]*\"|(?m:^\[\[[^\[\]\n]*\]\]$)", "", text)))
        print(f"{name}: {residual} residual, {residual / len(text) * 1e6:.1f}/M")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
