"""A text file -> its lines, each with its end. Only `\\n` ends a line; the `\\r` before it is a part of the end."""

from collections.abc import Iterable, Iterator


def split_lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text that comes in fragments, each with its end; the last line may have none."""
    pieces: list[str] = []
    for text in texts:
        first, *others = text.split("\n")
        pieces.append(first)
        for start_of_next in others:
            yield "".join(pieces) + "\n"
            pieces = [start_of_next]
    if last := "".join(pieces):
        yield last


def strip_end(line: str) -> str:
    """Return a line without its end."""
    return line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
