"""Settings of the sources of text: pure data, without the code that reads them (`charlm.text.build` knows that)."""

import itertools
import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from charlm.text import input_names
from charlm.text.examples.settings import ExampleSettings
from charlm.text.reading.decoding import check_encoding
from charlm.text.reading.inputs import STDIN, is_url, strip_compression_suffix
from charlm.text.source_base import BaseSourceSettings, PublishedSettings


class WikipediaSettings(BaseSourceSettings):
    """A MediaWiki dump: a Wikimedia wiki by its name, or files by path or URL."""

    type: Literal["wikipedia"] = "wikipedia"
    language: str = "simple"
    """Language code of a Wikipedia, as in its address: `ru` is ru.wikipedia.org."""
    wiki: str = ""
    """Database name of any wiki, such as `ruwikisource`; empty: the Wikipedia of `language`."""
    date: str = "latest"
    """Date of the dump, YYYYMMDD, or `latest`: the newest that is finished."""
    input: tuple[str, ...] = ()
    """Dump files to read instead of a dump from a mirror: paths or URLs (http, https)."""
    math: Literal["drop", "tex"] = "drop"
    """Formulas: `drop` leaves them out, `tex` keeps their TeX source."""
    versions: Literal["newest", "all"] = "newest"
    """Versions of a page that the input has, such as two dumps of one wiki: `newest` keeps the one with the highest
    revision id and counts the others, `all` keeps all of them, in one split."""
    mirrors: tuple[str, ...] = ("https://dumps.wikimedia.org",)
    """Servers laid out like dumps.wikimedia.org, tried in order, after those of CHARLM_MIRROR."""
    max_characters: int | None = Field(default=None, gt=0)
    """Take a random subset of at most this many characters: whole articles, the same ones every time. Of a multistream
    dump only the streams with these articles are downloaded. Without it all articles are taken."""
    subset_seed: int = 0
    """Seed of the random choice of articles for `max_characters`."""
    contact: str = ""
    """Your e-mail address or home page for the User-Agent header, as Wikimedia asks of programs; empty: the value of
    CHARLM_CONTACT."""

    @property
    def name(self) -> str:
        """The default name of a corpus of this source: the wiki, such as `ruwiki`."""
        if not self.input:
            return self.wiki or f"{self.language.replace('-', '_')}wiki"
        stem = input_names.corpus_name(self.input[0], input_names.DUMP)
        wiki = re.match(r"[a-z][a-z0-9_]*wik[a-z]+(?=-)", stem)
        return wiki[0] if wiki else stem

    @property
    def keeps_downloads(self) -> bool:
        return not self.input or any(map(is_url, self.input))


class TextSettings(BaseSourceSettings):
    """Plain text files."""

    takes_globs = True

    type: Literal["text"] = "text"
    input: tuple[str, ...] = ()
    """Files, folders (every file below them, in the order of their names), globs (`data/**/*.txt`), or `-` for standard
    input. Compressed files (gz, bz2, xz, a zip of one file) are decompressed while they are read."""
    documents: Literal["file", "block", "line"] = "file"
    """What one document is: a file, a block of lines between blank lines, or a line that is not blank."""
    encoding: str = "utf-8"
    """Encoding of the files: any text encoding that Python knows, such as `cp1251`, `utf-16` or `koi8-r`."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that are invalid in the encoding: `strict` stops with an error, `replace` puts U+FFFD and counts them."""

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, name: str) -> str:
        return check_encoding(name)

    @property
    def name(self) -> str:
        first = self.input[0] if self.input else ""
        return "stdin" if first == STDIN else input_names.corpus_name(first, input_names.TEXT) or "text"


class HubSettings(BaseSourceSettings):
    """A dataset of the Hugging Face hub, or local files in one of its formats."""

    type: Literal["hub"] = "hub"
    dataset: str = "wikimedia/wikipedia"
    """Name of the dataset on the hub, `OWNER/NAME`."""
    config: str = ""
    """Configuration of the dataset; empty: its default, or for wikimedia/wikipedia the newest one of `language`."""
    language: str = "simple"
    """Language of wikimedia/wikipedia, if `config` is empty."""
    split: str = "train"
    """Split of the dataset that is read. charlm makes its own splits of that text."""
    column: str = "text"
    """Column with the text. Rows without text are counted as `empty`."""
    id_column: str = ""
    """Column with the ids of the documents; empty: `id` if it exists, otherwise the number of the row, from 0."""
    title_column: str = ""
    """Column with the titles; empty: `title` if it exists."""
    url_column: str = ""
    """Column with the addresses; empty: `url` if it exists."""
    label_column: str = ""
    """Column with the label, for `--task classify`. Classes of the dataset have their names."""
    tags_column: str = ""
    """Column with the tags, for `--task tag`: a list with a tag or null for each character of the text."""
    target_column: str = ""
    """Column with the other text, for `--task transduce`."""
    valid_split: str = ""
    """For labels, tags and targets: the split of the dataset for validation. Then `split` is for training."""
    test_split: str = ""
    """For labels, tags and targets: the split of the dataset for tests; needs `valid_split`."""
    revision: str = ""
    """Branch, tag or commit; empty: the newest commit. The commit is recorded, and reruns use the same one."""
    streaming: bool = True
    """True reads over the network without storing the dataset; false downloads it to the cache of the hub's library."""
    max_characters: int | None = Field(default=None, gt=0)
    """Stop at the end of the document that reaches this many characters; without it all rows are read."""
    errors: Literal["strict", "replace"] = "strict"
    """Lone surrogates, which JSON allows but UTF-8 does not: `strict` stops with an error, `replace` puts U+FFFD."""
    input: tuple[str, ...] = ()
    """Local files instead of the hub: parquet, JSON, JSON lines, CSV or arrow, all of one format; JSON and CSV may be
    packed (gz, bz2, xz). The search dumps of Wikimedia (CirrusSearch) are read too. Or one folder that is laid out as a
    dataset."""

    @property
    def name(self) -> str:
        if self.input:
            return input_names.corpus_name(self.input[0], input_names.DATASET) or "hub"
        config = self.config or (self.language if self.dataset == "wikimedia/wikipedia" else "")
        return "-".join(re.sub(r"[^\w.]+", "-", part) for part in (PurePath(self.dataset).name, config) if part)

    @property
    def asks_a_server(self) -> bool:
        return not self.input


class Enwik8Settings(PublishedSettings):
    """enwik8, a benchmark: the first 100,000,000 bytes of Wikipedia's XML of March 2006."""

    type: Literal["enwik8"] = "enwik8"
    url: str = "https://mattmahoney.net/dc/enwik8.zip"
    """Where the zip file is downloaded from, once; its content must have the published hash."""
    input: tuple[str, ...] = Field(default=(), max_length=1)
    """A local copy of the file, or of its beginning; it may be compressed."""

    @property
    def name(self) -> str:
        return "enwik8"


class Text8Settings(PublishedSettings):
    """text8, a benchmark: 100,000,000 letters and spaces made from Wikipedia's text of March 2006."""

    type: Literal["text8"] = "text8"
    url: str = "https://mattmahoney.net/dc/text8.zip"
    """Where the zip file is downloaded from, once; its content must have the published hash."""
    input: tuple[str, ...] = Field(default=(), max_length=1)
    """A local copy of text8, or of enwik8 or enwik9, from which text8 is made; or the beginning of one of them. It may
    be compressed."""

    @property
    def name(self) -> str:
        return "text8"


class SampleSettings(BaseSourceSettings):
    """The documentation that comes with CPython: its language reference and the docstrings of its library."""

    local_text = "the documentation of this Python"

    type: Literal["sample"] = "sample"

    @property
    def name(self) -> str:
        return "sample"


SingleSource = Annotated[
    WikipediaSettings | HubSettings | TextSettings | SampleSettings | Enwik8Settings | Text8Settings,
    Field(discriminator="type"),
]


def _id_prefix(source: SingleSource) -> str:
    """Return how the ids of a source's documents begin in a mix.

    The ids decide the split, so charlm 0.1.0's rule is kept, which dropped more of a file's name than `name` does.
    """
    if isinstance(source, TextSettings) and source.input and source.input[0] != STDIN:
        return PurePath(strip_compression_suffix(input_names.last_part(source.input[0]))).stem or "text"
    if isinstance(source, WikipediaSettings | HubSettings) and source.input:
        return source.name.split(".")[0] or source.name
    return source.name


def _number_repeated(names: Iterable[str]) -> tuple[str, ...]:
    """Append -2 to the second of equal names, -3 to the third; or the next number that no other name has."""
    found: dict[str, None] = {}
    for name in names:
        candidates = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        found[next(each for each in candidates if each not in found)] = None
    return tuple(found)


class MixSettings(BaseSourceSettings):
    """Several sources in one corpus."""

    type: Literal["mix"] = "mix"
    sources: tuple[SingleSource, ...] = Field(min_length=1)
    """The sources, each with the settings that it would have as `corpus.source`."""
    weights: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Proportions of the sources in the corpus, in characters, such as `[3, 1]`. As much text is kept as they allow,
    chosen by the hash of the documents' ids. Without weights all text is kept."""

    @model_validator(mode="after")
    def _check_num_weights(self) -> Self:
        if self.weights and len(self.weights) != len(self.sources):
            raise ValueError(f"{len(self.weights)} weights for {len(self.sources)} sources")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The prefix of each source in document ids; the second of two equal names is numbered."""
        return _number_repeated(map(_id_prefix, self.sources))

    @property
    def name(self) -> str:
        return "+".join(_number_repeated(source.name for source in self.sources))

    @property
    def keeps_downloads(self) -> bool:
        return any(source.keeps_downloads for source in self.sources)

    @property
    def asks_a_server(self) -> bool:
        return any(source.asks_a_server for source in self.sources)

    @property
    def mixture_weights(self) -> dict[str, float]:
        """Name of each source -> its weight; empty where there are no weights."""
        return dict(zip(self.names, self.weights, strict=True)) if self.weights else {}


SourceSettings = Annotated[SingleSource | MixSettings | ExampleSettings, Field(discriminator="type")]
