"""Settings of vocabularies, and how a saved one is read back. `learn()` imports the implementation."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from charlm import storage
from charlm.errors import DataError
from charlm.settings import Settings

if TYPE_CHECKING:
    from charlm.vocab.base import Vocab


FORMAT_VERSION = 1


class CharSettings(Settings):
    """Characters (Unicode code points) of the training text."""

    type: Literal["char"] = "char"
    min_count: int = Field(default=1, ge=1)
    """Characters seen less often are spelled in bytes."""
    max_size: int | None = Field(default=None, ge=2)
    """At most this many characters, the most frequent ones; no bound if left out."""
    byte_fallback: bool = True
    """Spell unknown characters in UTF-8 bytes, so that any text can be scored. Adds 256 ids."""

    @classmethod
    def implementation(cls) -> "type[Vocab]":
        from charlm.vocab.char import CharVocab

        return CharVocab

    def learn(self, texts: Iterable[str]) -> "Vocab":
        from charlm.vocab.char import CharVocab

        return CharVocab.learn(
            texts, min_count=self.min_count, max_size=self.max_size, byte_fallback=self.byte_fallback
        )


class ByteSettings(Settings):
    """UTF-8 bytes: 256 ids and <eod>."""

    type: Literal["byte"] = "byte"

    @classmethod
    def implementation(cls) -> "type[Vocab]":
        from charlm.vocab.byte import ByteVocab

        return ByteVocab

    def learn(self, texts: Iterable[str]) -> "Vocab":
        return self.implementation().from_json({})


VocabSettings = Annotated[CharSettings | ByteSettings, Field(discriminator="type")]


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
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise DataError(f"{path} has format {version}; this charlm reads up to {FORMAT_VERSION}", "upgrade charlm")
        members: tuple[type[CharSettings | ByteSettings], ...] = get_args(get_args(VocabSettings)[0])
        settings = {member.model_fields["type"].default: member for member in members}[kind]
        return settings.implementation().from_json(content)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", cure) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged", cure) from error
