"""Settings of a prepared corpus: where text comes from, how it is split, how it is seen."""

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
    """Everything `charlm prepare` needs."""

    source: SourceSettings = WikipediaSettings()
    split: str = "auto"
    """Percent for train, valid and test, such as `90/5/5` (`90/10`: no test). `auto`: 98/1/1 above 100 MB of text,
    90/5/5 below."""
    min_characters: int = Field(default=0, ge=0)
    """Shorter documents are dropped, and counted as `short`."""
    normalize: Literal["none", "nfc"] = "none"
    """Unicode normalisation of the text; `none` keeps every character as it is."""
    vocab: AnyVocabSettings = CharSettings()

    @field_validator("split", mode="before")
    @classmethod
    def _check_split(cls, spec: object) -> object:
        if spec != "auto":
            parse_percentages(to_text(spec))  # also of a number such as 0.9, so that nobody is told to put it in quotes
        return spec

    @property
    def name(self) -> str:
        """What the corpus is called unless the user names it: the source, and the vocabulary unless it is `char`."""
        return self.source.name + self.vocab.suffix

    def to_record(self) -> dict[str, Any]:
        """The settings as corpus.json keeps them."""
        return make_portable(self.model_dump(mode="json", exclude_none=True))


_DOWNLOAD_KEYS = ("mirrors", "contact", "url")


def make_portable(corpus: dict[str, Any]) -> dict[str, Any]:
    """Raw corpus settings as they matter to the text: inputs by name, and nothing of how they came over the network.

    Equal files give equal corpora wherever they lie and whoever fetched them.
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
    kept = {key: value for key, value in source.items() if key not in _DOWNLOAD_KEYS}
    if kept.get("input"):
        paths = map(os.path.abspath, cast("Iterable[str]", kept["input"]))
        kept["input"] = [PurePath(path).name for path in paths]
    if isinstance(kept.get("sources"), list | tuple):
        kept["sources"] = [_make_source_portable(each) for each in cast("Iterable[dict[str, Any]]", kept["sources"])]
    return kept
