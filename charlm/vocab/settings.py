"""Settings of vocabularies. `charlm.vocab.build` builds what they describe."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings


class BaseVocabSettings(Settings):
    """Base of the settings of all vocabularies."""

    @property
    def suffix(self) -> str:
        """The end of the default name of a corpus with this vocabulary."""
        return f"-{self.model_dump()['type']}"


class CharSettings(BaseVocabSettings):
    """Characters (Unicode code points) of the training text."""

    type: Literal["char"] = "char"
    min_count: int = Field(default=1, ge=1)
    """Characters that occur less often in the training text are encoded as UTF-8 bytes."""
    max_size: int | None = Field(default=None, ge=2)
    """Number of characters that get an id, at most; the most frequent ones are chosen. Default: no limit."""
    byte_fallback: bool = True
    """Encode unknown characters as UTF-8 bytes, so that any text can be scored. Adds 256 ids. If false, unknown
    characters are an error."""

    @property
    def suffix(self) -> str:
        return ""


class ByteSettings(BaseVocabSettings):
    """UTF-8 bytes: 256 ids, and <eod>."""

    type: Literal["byte"] = "byte"


class WordSettings(BaseVocabSettings):
    """Words, punctuation marks and spaces of the training text; unknown words are encoded as UTF-8 bytes."""

    type: Literal["word"] = "word"
    max_size: int = Field(default=50_000, ge=2)
    """Number of words, punctuation marks and spaces, at most; the most frequent ones are chosen. The 256 bytes and
    <eod> are not counted."""
    min_count: int = Field(default=2, ge=1)
    """Words that occur less often in the training text are encoded as bytes, from which a model learns to spell."""


class NgramSettings(BaseVocabSettings):
    """Words with an input embedding that is a sum over character n-grams: #слово# -> #сл сло лов ово во#. Unknown
    words are encoded as UTF-8 bytes, and their n-grams are used too."""

    type: Literal["ngram"] = "ngram"
    max_size: int = Field(default=50_000, ge=2)
    """Number of words, punctuation marks and spaces, at most; the most frequent ones are chosen."""
    min_count: int = Field(default=2, ge=1)
    """Words that occur less often are encoded as <spell>, their bytes, </spell>."""
    n: int = Field(default=3, ge=1, le=8)
    """Length of an n-gram in characters, including the boundary marks #."""
    max_ngrams: int = Field(default=10_000, ge=1)
    """Number of n-grams, at most; the most frequent ones are chosen."""
    min_ngram_count: int = Field(default=2, ge=1)
    """n-grams that occur less often in the training text are ignored."""


class SentencePieceSettings(BaseVocabSettings):
    """Subword pieces learned by SentencePiece; text that they do not cover is encoded as UTF-8 bytes."""

    type: Literal["sentencepiece"] = "sentencepiece"
    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    vocab_size: int = Field(default=8_000, ge=512, le=1_000_000)
    """Number of ids, at most, including the 256 bytes; a short text gives fewer."""
    sample_characters: int = Field(default=10_000_000, ge=10_000)
    """Number of characters from which the pieces are learned: a random sample of the lines of the training text."""


class SymbolsSettings(BaseVocabSettings):
    """Symbols between blanks, such as the phonemes of a pronunciation; unknown symbols are encoded as UTF-8 bytes."""

    type: Literal["symbols"] = "symbols"
    max_size: int = Field(default=50_000, ge=2)
    """Number of symbols, at most; the most frequent ones are chosen. Each has two ids: after a blank, and without one.
    The 256 bytes and <eod> are not counted."""
    min_count: int = Field(default=1, ge=1)
    """Symbols that occur less often in the training text are encoded as UTF-8 bytes."""
    byte_fallback: bool = True
    """Encode unknown symbols, and blanks that separate no symbols, as UTF-8 bytes, so that any text can be scored. Adds
    256 ids. If false, they are an error."""


class CopiedSettings(BaseVocabSettings):
    """The vocabulary of another corpus or of a checkpoint, unchanged; `--init-from` needs the same vocabulary."""

    type: Literal["copied"] = "copied"
    directory: str
    """The directory that contains its vocab.json."""

    @property
    def suffix(self) -> str:
        directory = Path(os.path.abspath(self.directory))  # noqa: PTH100 - a link keeps its name
        return f"-{(directory.parents[1] if directory.parent.name == 'checkpoints' else directory).name}"


_NewVocabSettings = CharSettings | ByteSettings | WordSettings | NgramSettings | SentencePieceSettings | SymbolsSettings

VocabSettings = Annotated[_NewVocabSettings, Field(discriminator="type")]
"""Vocabularies that are learned from text."""

AnyVocabSettings = Annotated[_NewVocabSettings | CopiedSettings, Field(discriminator="type")]
