"""A text -> pieces of a bounded length, cut where a reader would: after lines, sentences, or blanks.

"First sentence. Second one.\\nThird." ──limit 20──> "First sentence.", "Second one.", "Third."
"""

from collections.abc import Iterator

import regex

_SENTENCE_END = regex.compile(r"(?<=[.!?。！？…][\"'»”’)\]]*)\s+|(?<=[。！？])")


def cut_into_pieces(text: str, max_characters: int) -> Iterator[str]:
    """Yield the lines that are not blank, cut into pieces of whole sentences with at most `max_characters`.

    A longer sentence is cut at its last blank before the limit, and a longer word anywhere. White space at the ends of
    pieces is left out.
    """
    for line in text.splitlines():
        piece = ""
        for sentence in _SENTENCE_END.split(line):
            if piece and len(piece) + 1 + len(sentence) > max_characters:
                yield piece
                piece = ""
            piece = f"{piece} {sentence}" if piece else sentence
            while len(piece) > max_characters:
                blank = piece.rfind(" ", 1, max_characters + 1)
                end = blank if blank > 0 else max_characters
                if head := piece[:end].strip():
                    yield head
                piece = piece[end:].strip()
        if piece := piece.strip():
            yield piece
