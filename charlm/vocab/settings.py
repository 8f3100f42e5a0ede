"""Settings of vocabularies, and how a saved one is read back. `learner()` imports the implementation."""

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from charlm import formats, storage
from charlm.errors import DataError
from charlm.settings import Settings

if TYPE_CHECKING:
    from charlm.vocab.base import Vocab, VocabLearner


class BaseVocabSettings(Settings):
    """How text is seen."""

    @classmethod
    @abstractmethod
    def vocab_class(cls) -> "type[Vocab]": ...

    @abstractmethod
    def learner(self) -> "VocabLearner": ...

    @property
    def suffix(self) -> str:
        """What a corpus's name says of its vocabulary."""
        return f"-{self.model_dump()['type']}"

    def learn(self, texts: Iterable[str]) -> "Vocab":
        """The vocabulary of some texts.

        Raises:
            DataError: there is too little to learn from.
        """
        learner = self.learner()
        for text in texts if learner.needs_text else ():
            learner.add(text)
        return learner.finish()


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

    @classmethod
    def vocab_class(cls) -> "type[Vocab]":
        from charlm.vocab.char import CharVocab

        return CharVocab

    def learner(self) -> "VocabLearner":
        from charlm.vocab.char import CharLearner

        return CharLearner(min_count=self.min_count, max_size=self.max_size, byte_fallback=self.byte_fallback)


class ByteSettings(BaseVocabSettings):
    """UTF-8 bytes: 256 ids and <eod>."""

    type: Literal["byte"] = "byte"

    @classmethod
    def vocab_class(cls) -> "type[Vocab]":
        from charlm.vocab.byte import ByteVocab

        return ByteVocab

    def learner(self) -> "VocabLearner":
        from charlm.vocab.byte import ByteLearner

        return ByteLearner()


class WordSettings(BaseVocabSettings):
    """Words, signs and spaces of the training text; other words are spelled in UTF-8 bytes."""

    type: Literal["word"] = "word"
    max_size: int = Field(default=50_000, ge=2)
    """At most this many of them, the most frequent ones; the 256 bytes and <eod> come on top."""
    min_count: int = Field(default=2, ge=1)
    """Those seen less often are spelled, which teaches a model to spell."""

    @classmethod
    def vocab_class(cls) -> "type[Vocab]":
        from charlm.vocab.word import WordVocab

        return WordVocab

    def learner(self) -> "VocabLearner":
        from charlm.vocab.word import WordLearner

        return WordLearner(min_count=self.min_count, max_size=self.max_size)


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

    @classmethod
    def vocab_class(cls) -> "type[Vocab]":
        from charlm.vocab.ngram import NgramVocab

        return NgramVocab

    def learner(self) -> "VocabLearner":
        from charlm.vocab.ngram import NgramLearner

        return NgramLearner(
            min_count=self.min_count,
            max_size=self.max_size,
            n=self.n,
            max_ngrams=self.max_ngrams,
            min_ngram_count=self.min_ngram_count,
        )


class SentencePieceSettings(BaseVocabSettings):
    """Pieces of words that SentencePiece learns; what they do not cover is spelled in UTF-8 bytes."""

    type: Literal["sentencepiece"] = "sentencepiece"
    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    vocab_size: int = Field(default=8_000, ge=512, le=1_000_000)
    """At most this many ids, 256 bytes among them; less text gives fewer."""
    sample_characters: int = Field(default=10_000_000, ge=10_000)
    """How much of the training text the pieces are learned from: lines drawn evenly from all of it."""

    @classmethod
    def vocab_class(cls) -> "type[Vocab]":
        from charlm.vocab.sentencepiece import SentencePieceVocab

        return SentencePieceVocab

    def learner(self) -> "VocabLearner":
        from charlm.vocab.sentencepiece import SentencePieceLearner

        return SentencePieceLearner(
            model_type=self.model_type, vocab_size=self.vocab_size, sample_characters=self.sample_characters
        )


class CopiedSettings(BaseVocabSettings):
    """The vocabulary of another corpus or of a checkpoint, as it is: what a model that goes on learning needs."""

    type: Literal["copied"] = "copied"
    directory: str
    """Where its vocab.json lies."""

    @classmethod
    def vocab_class(cls) -> "type[Vocab]":
        raise ValueError("a vocabulary that was copied says itself what it is")

    def learner(self) -> "VocabLearner":
        from charlm.vocab.copied import CopiedLearner

        return CopiedLearner(Path(self.directory))

    @property
    def suffix(self) -> str:
        directory = Path(self.directory)
        return f"-{(directory.parents[1] if directory.parent.name == 'checkpoints' else directory).name}"


VocabSettings = Annotated[
    CharSettings | ByteSettings | WordSettings | NgramSettings | SentencePieceSettings, Field(discriminator="type")
]
"""Vocabularies that are learned from text."""

AnyVocabSettings = Annotated[
    CharSettings | ByteSettings | WordSettings | NgramSettings | SentencePieceSettings | CopiedSettings,
    Field(discriminator="type"),
]


def load_vocab(directory: Path) -> "Vocab":
    """Read the vocabulary saved in `directory`.

    Raises:
        DataError: vocab.json is missing, damaged, of an unknown type, or written by a newer charlm.
    """
    path = directory / "vocab.json"
    cure = "copy the whole directory again, or make it anew"
    try:
        content = storage.read_json(path)
        kind, version = content["type"], content["format"]
        if isinstance(version, int) and version > formats.VOCABULARY:
            raise DataError(
                f"{path} has format {version}; this charlm reads up to {formats.VOCABULARY}", "upgrade charlm"
            )
        members: tuple[type[BaseVocabSettings], ...] = get_args(get_args(VocabSettings)[0])
        settings = {member.model_fields["type"].default: member for member in members}[kind]
        return settings.vocab_class().load(directory, content)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", cure) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged", cure) from error
