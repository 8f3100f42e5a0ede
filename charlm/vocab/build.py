"""The implementation of each vocabulary type.

    settings   ──build_learner──> VocabLearner
    vocab.json ──load_vocab─────> Vocab

Implementations are imported when they are needed: importing SentencePiece takes time.
"""

from pathlib import Path
from typing import assert_never

from charlm import formats, storage
from charlm.errors import DataError
from charlm.vocab.base import Vocab, VocabLearner
from charlm.vocab.settings import (
    AnyVocabSettings,
    ByteSettings,
    CharSettings,
    CopiedSettings,
    NgramSettings,
    SentencePieceSettings,
    SymbolsSettings,
    WordSettings,
)


def build_learner(settings: AnyVocabSettings) -> VocabLearner:
    """Return a learner for the vocabulary that the settings describe.

    Raises:
        DataError: the vocabulary to copy is missing or damaged.
    """
    match settings:
        case CharSettings():
            from charlm.vocab.char import CharLearner

            return CharLearner(settings)
        case ByteSettings():
            from charlm.vocab.byte import ByteVocab
            from charlm.vocab.fixed import FixedLearner

            return FixedLearner(ByteVocab())
        case WordSettings():
            from charlm.vocab.word import WordLearner

            return WordLearner(settings)
        case NgramSettings():
            from charlm.vocab.ngram import NgramLearner

            return NgramLearner(settings)
        case SentencePieceSettings():
            from charlm.vocab.sentencepiece import SentencePieceLearner

            return SentencePieceLearner(settings)
        case SymbolsSettings():
            from charlm.vocab.symbols import SymbolsLearner

            return SymbolsLearner(settings)
        case CopiedSettings():
            from charlm.vocab.fixed import FixedLearner

            return FixedLearner(load_vocab(Path(settings.directory)))
        case _:
            assert_never(settings)


def load_vocab(directory: Path) -> Vocab:
    """Read the vocabulary saved in `directory`.

    Raises:
        DataError: vocab.json is missing, damaged, of an unknown type, or written by a newer charlm.
    """
    path = directory / "vocab.json"
    cure = "copy the whole directory again, or create it again"
    try:
        content = storage.read_json(path)
        kind, version = content["type"], content["format"]
        if isinstance(version, int) and version > formats.VOCABULARY:
            raise DataError(
                f"{path} has format {version}; this charlm reads up to {formats.VOCABULARY}", "upgrade charlm"
            )
        return _vocab_class(kind).load(directory, content)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", cure) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged", cure) from error


def _vocab_class(kind: object) -> type[Vocab]:
    """Return the class for the `type` in vocab.json; ValueError if the type is unknown."""
    match kind:
        case "char":
            from charlm.vocab.char import CharVocab

            return CharVocab
        case "byte":
            from charlm.vocab.byte import ByteVocab

            return ByteVocab
        case "word":
            from charlm.vocab.word import WordVocab

            return WordVocab
        case "ngram":
            from charlm.vocab.ngram import NgramVocab

            return NgramVocab
        case "sentencepiece":
            from charlm.vocab.sentencepiece import SentencePieceVocab

            return SentencePieceVocab
        case "symbols":
            from charlm.vocab.symbols import SymbolsVocab

            return SymbolsVocab
        case _:
            raise ValueError(f"the vocabulary type {kind!r} is unknown")
