"""Settings of vocabularies; `charlm.vocab.build` makes what they describe."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings


class BaseVocabSettings(Settings):
    """How text is seen."""

    @property
    def suffix(self) -> str:
        """What a corpus's name says of its vocabulary."""
        return f"-{self.model_dump()['type']}"


class CharSettings(BaseVocabSettings):
    """Characters (Unicode code points) of the training text."""

    type: Literal["char"] = "char"
    min_count: int = Field(default=1, ge=1)
    """Characters seen less often are spelled in bytes."""
    max_size: int | None = Field(default=None, ge=2)
    """At most this many characters, the most frequent ones; no bound if left out."""
    byte_fallback: bool = True
    """Spell unknown characters in UTF-8 bytes, so that any text can be scored. Adds 256 ids."""

    @property
    def suffix(self) -> str:
        return ""


class ByteSettings(BaseVocabSettings):
    """UTF-8 bytes: 256 ids and <eod>."""

    type: Literal["byte"] = "byte"


class WordSettings(BaseVocabSettings):
    """Words, signs and spaces of the training text; other words are spelled in UTF-8 bytes."""

    type: Literal["word"] = "word"
    max_size: int = Field(default=50_000, ge=2)
    """At most this many of them, the most frequent ones; the 256 bytes and <eod> come on top."""
    min_count: int = Field(default=2, ge=1)
    """Those seen less often are spelled, which teaches a model to spell."""


class NgramSettings(BaseVocabSettings):
    """Words, seen as bags of their character n-grams: #сл сло лов ово во#. Other words are spelled, and seen so too."""

    type: Literal["ngram"] = "ngram"
    max_size: int = Field(default=50_000, ge=2)
    """At most this many words, signs and spaces, the most frequent ones."""
    min_count: int = Field(default=2, ge=1)
    """Words seen less often are spelled between <spell> and </spell>."""
    n: int = Field(default=3, ge=1, le=8)
    """Characters of an n-gram, boundary marks included."""
    max_ngrams: int = Field(default=10_000, ge=1)
    """At most this many n-grams, the most frequent ones."""
    min_ngram_count: int = Field(default=2, ge=1)
    """n-grams seen less often in the training text are left out."""


class SentencePieceSettings(BaseVocabSettings):
    """Pieces of words that SentencePiece learns; what they do not cover is spelled in UTF-8 bytes."""

    type: Literal["sentencepiece"] = "sentencepiece"
    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    vocab_size: int = Field(default=8_000, ge=512, le=1_000_000)
    """At most this many ids, 256 bytes among them; less text gives fewer."""
    sample_characters: int = Field(default=10_000_000, ge=10_000)
    """How much of the training text the pieces are learned from: lines drawn evenly from all of it."""


class CopiedSettings(BaseVocabSettings):
    """The vocabulary of another corpus or of a checkpoint, as it is: what a model that goes on learning needs."""

    type: Literal["copied"] = "copied"
    directory: str
    """Where its vocab.json lies."""

    @property
    def suffix(self) -> str:
        directory = Path(self.directory)
        return f"-{(directory.parents[1] if directory.parent.name == 'checkpoints' else directory).name}"


_NewVocabSettings = CharSettings | ByteSettings | WordSettings | NgramSettings | SentencePieceSettings

VocabSettings = Annotated[_NewVocabSettings, Field(discriminator="type")]
"""Vocabularies that are learned from text."""

AnyVocabSettings = Annotated[_NewVocabSettings | CopiedSettings, Field(discriminator="type")]
