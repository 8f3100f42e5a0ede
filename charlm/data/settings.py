"""Settings of a prepared corpus: source, split, vocabulary."""

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Literal, cast

from pydantic import Field, field_validator

from charlm.settings import Settings
from charlm.suggestions.words import to_text
from charlm.text.settings import SourceSettings, WikipediaSettings
from charlm.text.split import parse_percentages
from charlm.vocab.settings import AnyVocabSettings, CharSettings


class CorpusSettings(Settings):
    """Settings of `charlm prepare`."""

    source: SourceSettings = WikipediaSettings()
    split: str = "auto"
    """Percentages of train, valid and test, for example `90/5/5` (`90/10`: no test). `auto`: 98/1/1 above 100 MB of
    text, 90/5/5 below."""
    min_characters: int = Field(default=0, ge=0)
    """Documents with fewer characters are dropped and counted as `short`. Default: keep all."""
    normalize: Literal["none", "nfc"] = "none"
    """Unicode normalisation of the text; `none` keeps all characters unchanged."""
    vocab: AnyVocabSettings = CharSettings()

    @field_validator("split", mode="before")
    @classmethod
    def _check_split(cls, spec: object) -> object:
        if spec != "auto":
            parse_percentages(to_text(spec))  # a number like 0.9 too, which a type error would misreport
        return spec

    @property
    def name(self) -> str:
        """The default name of the corpus: its source, and its vocabulary unless that is `char`."""
        return self.source.name + self.vocab.suffix

    def to_record(self) -> dict[str, Any]:
        """Return the settings that corpus.json records."""
        return make_portable(self.model_dump(mode="json", exclude_none=True))


_DOWNLOAD_KEYS = ("mirrors", "contact", "url")
_LATER_DEFAULTS = {"versions": "newest"}
"""Settings that charlm 0.1.0 did not have, with their defaults, which are not recorded: older corpora still match."""


def make_portable(corpus: dict[str, Any]) -> dict[str, Any]:
    """Reduce raw corpus settings to those that decide the text: inputs without folders, no settings of downloads.

    So equal files give equal corpora, wherever they are stored and however they were downloaded.
    """
    source, vocab = corpus.get("source"), corpus.get("vocab")
    kept = dict(corpus)
    if isinstance(source, dict):
        kept["source"] = _make_source_portable(cast("dict[str, Any]", source))
    if isinstance(vocab, dict) and "directory" in vocab:
        copied = cast("dict[str, Any]", vocab)
        kept["vocab"] = {**copied, "directory": PurePath(str(copied["directory"])).name}
    return kept


def _make_source_portable(source: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in source.items()
        if key not in _DOWNLOAD_KEYS and (key, value) not in _LATER_DEFAULTS.items()
    }
    if kept.get("input"):
        paths = map(os.path.abspath, cast("Iterable[str]", kept["input"]))
        kept["input"] = [PurePath(path).name for path in paths]
    if isinstance(kept.get("sources"), list | tuple):
        kept["sources"] = [_make_source_portable(each) for each in cast("Iterable[dict[str, Any]]", kept["sources"])]
    return kept
