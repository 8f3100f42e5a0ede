"""CoNLL-U -> tagged texts.

upos, xpos, feats   a document is a sentence; the tag of a word is at its last character. A range of words has one tag
                    for all of its words, joined by +.
words               documents are cut from the raw text. Blanks have no tag, so the positions of tags are those of
                    conll18_ud_eval, which counts characters without blanks. B-sent and I-sent: the first word of a
                    sentence; B-word and I-word: other words. A range is one word of the text.
"""

from collections.abc import Callable, Iterator
from typing import Any

from charlm.text.examples.conllu_file import Sentence, Token, read_sentences
from charlm.text.examples.example import Example, ExampleCounts, ExampleSource
from charlm.text.examples.example_files import ExampleFile, describe_files, list_example_files
from charlm.text.examples.settings import ConlluSettings

_MISSING = "_"
_PARAGRAPH_END = "\n\n"
_WORDS_OF: dict[str, Callable[[Token], list[str]]] = {
    "upos": lambda token: token.upos,
    "xpos": lambda token: token.xpos,
    "feats": lambda token: token.feats,
}


class ConlluSource(ExampleSource):
    """The sentences or documents of all files, in order."""

    def __init__(self, settings: ConlluSettings) -> None:
        """
        Raises:
            SettingsError, UsageError, DataError: as `list_example_files`.
        """
        self._settings = settings
        self._files = list_example_files(settings, settings.type)

    def local_files(self) -> list[dict[str, Any]]:
        return [file.entry() for file in self._files]

    def origin(self) -> dict[str, Any]:
        how = {"annotation": self._settings.annotation}
        return {"source": "conllu", **how, **describe_files(self.local_files())}

    def read(self, counts: ExampleCounts) -> Iterator[Example]:
        """
        Raises:
            DataError: a file is not CoNLL-U, is not in the encoding, or changed after it was hashed.
        """
        for file in self._files:
            lines = file.lines(self._settings.encoding, self._settings.errors, counts)
            sentences = read_sentences(str(file.path), lines)
            if self._settings.annotation == "words":
                yield from self._read_words(file, sentences, counts)
            else:
                yield from self._read_annotation(file, sentences, counts)

    def _read_annotation(
        self, file: ExampleFile, sentences: Iterator[Sentence], counts: ExampleCounts
    ) -> Iterator[Example]:
        words_of = _WORDS_OF[self._settings.annotation]
        needs_value = self._settings.annotation != "feats"  # a word without features has the tag `_`
        for sentence in sentences:
            counts.read += 1
            tags: list[str | None] = [None] * len(sentence.text)
            for token in sentence.tokens:
                values = words_of(token)
                if not (needs_value and _MISSING in values):
                    tags[token.end - 1] = "+".join(values)
            if any(tag is not None for tag in tags):
                yield Example(f"{file.name}:{sentence.line}", sentence.text, tags=tuple(tags), split=file.split)
            else:
                counts.dropped["no tags"] += 1

    def _read_words(self, file: ExampleFile, sentences: Iterator[Sentence], counts: ExampleCounts) -> Iterator[Example]:
        document = _RawText(file, self._settings.document_characters)
        for sentence in sentences:
            if sentence.begins_document:
                yield from document.flush(counts)
            document.begin_sentence(sentence)
            for number, token in enumerate(sentence.tokens):
                document.add(sentence, number, token)
                yield from document.flush_if_long(counts)
        yield from document.flush(counts)


class _RawText:
    """The text of a document that grows word by word, with the tags of its characters."""

    def __init__(self, file: ExampleFile, max_characters: int) -> None:
        self._file = file
        self._max_characters = max_characters
        self._pieces: list[str] = []
        self._tags: list[str | None] = []
        self._line = 0
        self._blank = ""

    def begin_sentence(self, sentence: Sentence) -> None:
        if sentence.begins_paragraph:
            self._blank = _PARAGRAPH_END

    def add(self, sentence: Sentence, number: int, token: Token) -> None:
        """Append a token and the blanks before it."""
        if not self._pieces:
            self._line, self._blank = token.line, ""
        text = sentence.text[token.start : token.end]
        begin, inside = ("B-sent", "I-sent") if number == 0 else ("B-word", "I-word")
        self._tags += [None] * len(self._blank)
        self._tags += [begin, *(None if character.isspace() else inside for character in text[1:])]
        self._pieces += [self._blank, text]
        is_last = token is sentence.tokens[-1]
        next_start = len(sentence.text) if is_last else sentence.tokens[number + 1].start
        self._blank = sentence.text[token.end : next_start]
        if is_last and not self._blank and sentence.space_after:
            self._blank = " "

    def flush_if_long(self, counts: ExampleCounts) -> Iterator[Example]:
        if self._max_characters and len(self._tags) >= self._max_characters:
            yield from self.flush(counts)

    def flush(self, counts: ExampleCounts) -> Iterator[Example]:
        """Yield the document, and begin another one."""
        if self._pieces:
            counts.read += 1
            text, tags = "".join(self._pieces), tuple(self._tags)
            yield Example(f"{self._file.name}:{self._line}", text, tags=tags, split=self._file.split)
        self._pieces, self._tags, self._blank = [], [], ""
