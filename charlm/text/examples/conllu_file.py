"""A file in CoNLL-U (https://universaldependencies.org/format.html) -> sentences with their raw text.

    # newdoc, # newpar, # text = ...    comments before a sentence
    1-2  vámonos  _  _ ...              a range: one token of the text that consists of several words
    1    vamos    ir  VERB ...          a word; without a range around it, it is a token of the text
    8.1  reported ...                   an empty node: not in the text, skipped
                                        an empty line ends the sentence

The blanks of the text come from `# text`, or without it from `SpaceAfter=No`. The tokens must be in the text, in order,
with nothing but blanks between them; blanks inside a token need not be those of the text.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from charlm.errors import DataError
from charlm.text.reading.lines import strip_end

NUM_COLUMNS = 10
_UPOS, _XPOS, _FEATS, _MISC = 3, 4, 5, 9
_TEXT = re.compile(r"#\s*text\s*=(.*)")
_NEWDOC = re.compile(r"#\s*newdoc\b(?!\s*=)")
_NEWPAR = re.compile(r"#\s*newpar\b(?!\s*=)")
_WORD_ID = re.compile(r"([1-9][0-9]{0,8})")
_RANGE_ID = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
_EMPTY_ID = re.compile(r"([0-9]+)\.([1-9][0-9]*)")
_CURE = "repair the file; a validator is at universaldependencies.org"


@dataclass(slots=True)
class Token:
    """A token of the text: a word, or a range of words."""

    form: str
    line: int
    space_after: bool
    upos: list[str] = field(default_factory=list[str])
    """The value of each of its words; so are the next two."""
    xpos: list[str] = field(default_factory=list[str])
    feats: list[str] = field(default_factory=list[str])
    start: int = 0
    """The index of its first character in the text, and after its last one."""
    end: int = 0


@dataclass(slots=True)
class Sentence:
    """A sentence, its raw text and its tokens."""

    line: int
    """The number of its first line."""
    text: str = ""
    tokens: list[Token] = field(default_factory=list[Token])
    begins_document: bool = False
    begins_paragraph: bool = False

    @property
    def space_after(self) -> bool:
        """Whether a blank follows the sentence in the raw text."""
        return self.tokens[-1].space_after


def read_sentences(name: str, lines: Iterable[str]) -> Iterator[Sentence]:
    """Yield the sentences of a file.

    Args:
        name: the file, for messages.

    Raises:
        DataError: a line is not CoNLL-U, or a token is not in the text; names the line.
    """
    reader: _SentenceReader | None = None
    for number, line in enumerate(lines, 1):
        content = strip_end(line)
        if content.strip():
            reader = reader or _SentenceReader(name, number)
            reader.add(number, content)
        elif reader is not None:
            yield from reader.finish()
            reader = None
    if reader is not None:
        yield from reader.finish()


class _SentenceReader:
    """Reads the lines of one sentence."""

    def __init__(self, name: str, line: int) -> None:
        self._name = name
        self._sentence = Sentence(line)
        self._text: tuple[int, str] | None = None
        self._num_words = 0
        self._range_end = 0

    def add(self, number: int, line: str) -> None:
        if not line.startswith("#"):
            self._add_token(number, line)
        elif self._num_words or self._range_end:
            raise self._error(number, "a comment follows words", "put an empty line between sentences")
        elif found := _TEXT.match(line):
            self._text = number, found[1].strip()
        elif _NEWDOC.match(line):
            self._sentence.begins_document = True
        elif _NEWPAR.match(line):
            self._sentence.begins_paragraph = True

    def finish(self) -> Iterator[Sentence]:
        """Yield the sentence; nothing for comments without words."""
        sentence = self._sentence
        if not sentence.tokens:
            return
        if self._range_end > self._num_words:
            raise self._error(sentence.tokens[-1].line, f"the range ends with word {self._range_end}, which is missing")
        if self._text is None:
            blanks = [" " if token.space_after else "" for token in sentence.tokens]
            pieces = [token.form + blank for token, blank in zip(sentence.tokens, blanks, strict=True)]
            sentence.text = "".join(pieces).rstrip(" ")
        else:
            sentence.text = self._text[1]
        self._align(sentence)
        yield sentence

    def _add_token(self, number: int, line: str) -> None:
        cells = line.split("\t")
        if len(cells) != NUM_COLUMNS:
            raise self._error(
                number,
                f"{len(cells)} columns instead of {NUM_COLUMNS}",
                f"separate the columns by single tabs; {_CURE}",
            )
        identifier, form = cells[0], cells[1]
        if _EMPTY_ID.fullmatch(identifier):
            return
        span, word = _RANGE_ID.fullmatch(identifier), _WORD_ID.fullmatch(identifier)
        first = int((span or word or [0, 0])[1])
        if first != self._num_words + 1 or (span and (int(span[2]) < first or first <= self._range_end)):
            expected = f"{self._num_words + 1}"
            raise self._error(number, f"the id {identifier!r} is not in order; word {expected} should follow")
        if not form.strip():
            raise self._error(number, "a word has no form")
        tokens = self._sentence.tokens
        if span:
            self._range_end = int(span[2])
            tokens.append(Token(form, number, _space_after(cells)))
            return
        self._num_words = first
        if first > self._range_end:
            tokens.append(Token(form, number, _space_after(cells)))
        tokens[-1].upos.append(cells[_UPOS])
        tokens[-1].xpos.append(cells[_XPOS])
        tokens[-1].feats.append(cells[_FEATS])

    def _align(self, sentence: Sentence) -> None:
        """Find the tokens in the text; blanks do not count."""
        text, place = sentence.text, 0
        for token in sentence.tokens:
            start = None
            for character in "".join(token.form.split()):
                while place < len(text) and text[place].isspace():
                    place += 1
                if place == len(text) or text[place] != character:
                    rest = text[place : place + 20]
                    raise self._error(
                        token.line, f"the word {token.form!r} is not next in the text, where {rest!r} stands"
                    )
                start = place if start is None else start
                place += 1
            token.start, token.end = start or 0, place
        if rest := text[place:].strip():
            number = self._text[0] if self._text else sentence.line
            raise self._error(number, f"no words stand for the end of the text, {rest[:20]!r}")

    def _error(self, number: int, what: str, cure: str = _CURE) -> DataError:
        return DataError(f"{self._name}:{number} is not CoNLL-U: {what}", cure)


def _space_after(cells: list[str]) -> bool:
    return "SpaceAfter=No" not in cells[_MISC].split("|")
