"""Settings of the sources of text."""

import os
import re
from collections import Counter
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from charlm.settings import Settings
from charlm.text.reading.decoding import check_encoding
from charlm.text.reading.inputs import STDIN, glob_root, is_glob, strip_compression_suffix


class WikipediaSettings(Settings):
    """A MediaWiki dump: of a Wikimedia project by name, or files given by path or URL."""

    type: Literal["wikipedia"] = "wikipedia"
    language: str = "simple"
    """Language code as in the site's address: `ru` is ru.wikipedia.org."""
    wiki: str = ""
    """Database name, such as `ruwikisource`; empty means the language's Wikipedia."""
    date: str = "latest"
    """Dump date, YYYYMMDD, or `latest`."""
    input: tuple[str, ...] = ()
    """Dump files to read: paths, or URLs (http, https)."""
    math: Literal["drop", "tex"] = "drop"
    """Formulas: left out, or kept as TeX."""
    mirrors: tuple[str, ...] = ("https://dumps.wikimedia.org",)
    """Roots laid out like dumps.wikimedia.org, tried in order; CHARLM_MIRROR goes before them."""
    max_characters: int | None = Field(default=None, gt=0)
    """A subset of at most so many characters: articles chosen by chance, the same ones every time. Of a multistream
    dump only the streams that hold them are downloaded."""
    subset_seed: int = 0
    """Another seed chooses other articles."""
    contact: str = ""
    """Address put into the User-Agent, as Wikimedia asks of programs; CHARLM_CONTACT if empty."""

    @property
    def name(self) -> str:
        """What a corpus of this source is called unless the user names it: the wiki, such as `ruwiki`."""
        if not self.input:
            return self.wiki or f"{self.language.replace('-', '_')}wiki"
        stem = PurePath(self.input[0]).name.split(".")[0]
        wiki = re.match(r"[a-z][a-z0-9_]*wik[a-z]+(?=-)", stem)
        return wiki[0] if wiki else stem


class TextSettings(Settings):
    """Plain text files."""

    type: Literal["text"] = "text"
    input: tuple[str, ...] = ()
    """Files, folders (every file below them, in order of their names), globs (`data/**/*.txt`), or `-` for standard
    input. What is packed (.gz, .bz2, .xz, .zip of one file) is unpacked while it is read."""
    documents: Literal["file", "block", "line"] = "file"
    """What makes a document: a file, the lines between blank ones, or each line that is not blank."""
    encoding: str = "utf-8"
    """Of the files: any text encoding that Python knows, such as `cp1251`, `utf-16` or `koi8-r`."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that are no characters in that encoding: refused, or replaced by U+FFFD and counted."""

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, name: str) -> str:
        return check_encoding(name)

    @property
    def name(self) -> str:
        first = self.input[0] if self.input else ""
        if first == STDIN:
            return "stdin"
        given = os.path.abspath(glob_root(first) if is_glob(first) else first)  # noqa: PTH100 - links keep their names
        return PurePath(strip_compression_suffix(given)).stem or "text"


class HubSettings(Settings):
    """A dataset of the Hugging Face hub, or local files in one of its formats."""

    type: Literal["hub"] = "hub"
    dataset: str = "wikimedia/wikipedia"
    """`OWNER/NAME` on the hub."""
    config: str = ""
    """Which of its configurations; empty: its default one, or for wikimedia/wikipedia the newest of `language`."""
    language: str = "simple"
    """Language of wikimedia/wikipedia, where `config` names none."""
    split: str = "train"
    """Which of its own splits is read; the corpus is split anew."""
    column: str = "text"
    """The column with the text."""
    id_column: str = ""
    """The column that names a document; empty: `id` if there is one, or else the number of the row, from 0."""
    title_column: str = ""
    """The column of titles; empty: `title` if there is one."""
    url_column: str = ""
    """The column of addresses; empty: `url` if there is one."""
    revision: str = ""
    """Branch, tag or commit; empty: the newest commit. Which commit that was is recorded, and kept to."""
    streaming: bool = True
    """Read over the network without storing the dataset; otherwise it is downloaded to the hub's own cache."""
    max_characters: int | None = Field(default=None, gt=0)
    """Stop after as many characters, at the end of a document."""
    errors: Literal["strict", "replace"] = "strict"
    """Lone surrogates, which JSON can hold and no text: refused, or replaced by U+FFFD and counted."""
    input: tuple[str, ...] = ()
    """Local files (parquet, JSON, JSON lines, CSV, arrow, all of one format), or one folder laid out as a dataset."""

    @property
    def name(self) -> str:
        if self.input:
            return PurePath(os.path.abspath(self.input[0])).name.split(".")[0] or "hub"  # noqa: PTH100 - as above
        config = self.config or (self.language if self.dataset == "wikimedia/wikipedia" else "")
        return "-".join(re.sub(r"[^\w.]+", "-", part) for part in (PurePath(self.dataset).name, config) if part)


class Enwik8Settings(Settings):
    """enwik8: the first 100,000,000 bytes of Wikipedia's XML of March 2006."""

    type: Literal["enwik8"] = "enwik8"
    url: str = "https://mattmahoney.net/dc/enwik8.zip"
    """Where it is downloaded from, once; the content is checked by its hash."""
    input: tuple[str, ...] = Field(default=(), max_length=1)
    """A local copy, packed or not, or a beginning of it."""

    @property
    def name(self) -> str:
        return "enwik8"


class Text8Settings(Settings):
    """text8: 100,000,000 letters and spaces made of Wikipedia's text of March 2006."""

    type: Literal["text8"] = "text8"
    url: str = "https://mattmahoney.net/dc/text8.zip"
    """Where it is downloaded from, once; the content is checked by its hash."""
    input: tuple[str, ...] = Field(default=(), max_length=1)
    """A local copy of text8, or of enwik8 or enwik9 to make it from; packed or not; or a beginning of one of them."""

    @property
    def name(self) -> str:
        return "text8"


class SampleSettings(Settings):
    """The prose that every CPython carries: its language reference and its library's docstrings."""

    type: Literal["sample"] = "sample"

    @property
    def name(self) -> str:
        return "sample"


SingleSource = Annotated[
    WikipediaSettings | HubSettings | TextSettings | SampleSettings | Enwik8Settings | Text8Settings,
    Field(discriminator="type"),
]


class MixSettings(Settings):
    """Several sources in one corpus."""

    type: Literal["mix"] = "mix"
    sources: tuple[SingleSource, ...] = Field(min_length=1)
    """Each as `corpus.source` would have it."""
    weights: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """How much of the corpus each should be, in characters, such as `[3, 1]`: as much is kept as the scarcest source
    allows, chosen by the hash of the documents' ids. Without weights all of them are kept whole."""

    @model_validator(mode="after")
    def _check_num_weights(self) -> Self:
        if self.weights and len(self.weights) != len(self.sources):
            raise ValueError(f"{len(self.weights)} weights for {len(self.sources)} sources")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What each source is called in document ids; a second one of the same name is numbered."""
        seen: Counter[str] = Counter()
        found: list[str] = []
        for source in self.sources:
            seen[source.name] += 1
            found.append(source.name if seen[source.name] == 1 else f"{source.name}-{seen[source.name]}")
        return tuple(found)

    @property
    def name(self) -> str:
        return "+".join(self.names)

    @property
    def mixture_weights(self) -> dict[str, float]:
        """Name of each source -> its weight; empty where there are no weights."""
        return dict(zip(self.names, self.weights, strict=True)) if self.weights else {}


SourceSettings = Annotated[SingleSource | MixSettings, Field(discriminator="type")]
