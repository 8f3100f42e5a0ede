"""A text -> pieces of a bounded length, cut where a reader would: after lines, sentences, or blanks.

"First sentence. Second one.\\nThird." ──limit 20──> "First sentence.", "Second one.", "Third."
"""

from bisect import bisect_right
from collections.abc import Iterator

import regex

_SENTENCE_END = regex.compile(r"""(?<=[.!?…]["'»”’)\]]*)(?=\s)|(?<=[。！？])""")


def cut_into_pieces(text: str, max_characters: int) -> Iterator[str]:
    """Yield the lines that are not blank, cut into pieces of whole sentences with at most `max_characters`.

    A longer sentence is cut at its last blank before the limit, and a longer word anywhere. White space at the ends of
    pieces is left out.
    """
    for untrimmed in text.splitlines():
        line = untrimmed.strip()
        ends = [found.start() for found in _SENTENCE_END.finditer(line)]
        start = 0
        while len(line) - start > max_characters:
            end = _find_cut(line, ends, start, start + max_characters)
            yield line[start:end].rstrip()
            start = end + len(line[end:]) - len(line[end:].lstrip())
        if line[start:]:
            yield line[start:]


def _find_cut(line: str, sentence_ends: list[int], start: int, limit: int) -> int:
    """Return where a piece that starts at `start`, without white space, ends: at `limit` or before."""
    index = bisect_right(sentence_ends, limit)
    if index and sentence_ends[index - 1] > start:
        return sentence_ends[index - 1]
    blank = line.rfind(" ", start + 1, limit + 1)
    return blank if blank > 0 else limit
