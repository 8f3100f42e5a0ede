"""Settings of the sources of examples: pure data. `build.py` and `charlm/data/example_sources.py` build the sources."""

import os
import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, field_validator

from charlm.text.reading.decoding import check_encoding
from charlm.text.reading.inputs import glob_root, is_glob, strip_compression_suffix
from charlm.text.source_base import BaseSourceSettings

ChangeName = Literal["marks", "case", "blanks"]
"""A key of `CHANGES` in `reversible_changes.py`."""
SPLIT_KEYS = ("train", "valid", "test")
"""The settings that name the files of given splits."""


class ExampleFilesSettings(BaseSourceSettings):
    """Base of the settings of sources that read files: all in one, or a split each."""

    takes_globs = True

    input: tuple[str, ...] = ()
    """Files, folders (every file below them) or globs. The hash of each text decides its split, so that one text is
    never in two splits."""
    train: tuple[str, ...] = ()
    """Files, folders or globs of the training split, instead of `input`. `valid` is needed too."""
    valid: tuple[str, ...] = ()
    """Files, folders or globs of the validation split."""
    test: tuple[str, ...] = ()
    """Files, folders or globs of the test split; it may be left out."""
    encoding: str = "utf-8"
    """Encoding of the files: any text encoding that Python knows, such as `cp1251`, `utf-16` or `koi8-r`."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that are invalid in the encoding: `strict` stops with an error, `replace` puts U+FFFD and counts them."""

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, name: str) -> str:
        return check_encoding(name)

    @property
    def stem(self) -> str:
        """The name of the first input, without suffixes and without the name of a split at its end."""
        first = next(iter((*self.input, *self.train)), "")
        given = os.path.abspath(glob_root(first) if is_glob(first) else first)  # noqa: PTH100 - links keep their names
        name = PurePath(strip_compression_suffix(given)).stem
        return re.sub(r"[-_.](?:ud-)?train$", "", name) or "examples"


class TableSettings(ExampleFilesSettings):
    """Tables with a row for each example: CSV, TSV, JSON lines, parquet or arrow, by the suffix of each file. In a TSV
    file quotation marks are ordinary characters."""

    type: Literal["table"] = "table"
    text_column: str | int = "text"
    """Column with the text: its name, or in CSV and TSV without a line of names its number, from 1."""
    label_column: str | int = "label"
    """Column with the label, for `--task classify` and `--task generate`. Rows without a label are counted as `no
    label`."""
    label_columns: tuple[str | int, ...] = ()
    """For `--task generate`: several columns with a label each, instead of `label_column`. The labels are named like
    `language=Russian`; an empty cell is an unknown label."""
    tags_column: str | int = "tags"
    """Column with the tags, for `--task tag`: a list with a tag or null for each character of the text, or a text of as
    many tags with blanks between, where `_` is no tag."""
    target_column: str | int = "target"
    """Column with the other text, for `--task transduce`. Rows without one are counted as `no target`."""
    weight_column: str | int = ""
    """Column with a number from 0 up for each row, such as a frequency, for `--task transduce`: `charlm eval` also
    gives the exact matches weighted by it. Default: all rows count alike."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of CSV and TSV has the names of the columns. `auto`: no if columns are given by number."""

    @property
    def name(self) -> str:
        return self.stem


class ClassesSettings(ExampleFilesSettings):
    """Text files of a class each (`names/Russian.txt`), or folders of a class each (`reviews/good/1.txt`)."""

    type: Literal["classes"] = "classes"
    label: Literal["auto", "file", "folder"] = "auto"
    """What a label is: the name of the file without its suffix, or the name of its folder (the first one below the
    input). `auto`: the folder, if all files are in folders below the input; the file, if none is."""
    documents: Literal["auto", "file", "block", "line"] = "auto"
    """What one document is: a file, a block of lines between blank lines, or a line that is not blank. `auto`: a line
    where the label is a file, a file where it is a folder."""

    @property
    def name(self) -> str:
        return self.stem


class ConlluSettings(ExampleFilesSettings):
    """Treebanks and other annotated text in CoNLL-U, for `--task tag`."""

    type: Literal["conllu"] = "conllu"
    annotation: Literal["upos", "xpos", "feats", "words"] = "upos"
    """What the tags are. `upos`, `xpos`, `feats`: the value of that column, at the last character of each word; a
    document is a sentence, and its text has the blanks of the raw text. `words`: where words and sentences begin in the
    raw text. Every character but blanks has a tag: `B-sent` and `I-sent` in the first word of a sentence, `B-word` and
    `I-word` in other words."""
    document_characters: int = Field(default=2000, ge=0)
    """For `words`: documents are cut from the raw text at the first end of a word after this many characters, so that
    their ends say nothing about sentences; also where the files begin a new document. 0: only there."""

    @property
    def name(self) -> str:
        return f"{self.stem}-{self.annotation}"


class AlignedSettings(ExampleFilesSettings):
    """Pairs of plain-text files, line by line: first a file of texts that are read, then one of texts that are written.
    For `--task transduce`."""

    type: Literal["aligned"] = "aligned"

    @property
    def name(self) -> str:
        return self.stem


class DerivedSettings(BaseSourceSettings):
    """A prepared corpus made into examples by a change of its characters that can be reversed. For `--task tag`, the
    tags of characters reverse it; for `--task transduce`, the changed text is read and the text is written. It keeps
    the splits of that corpus."""

    type: Literal["derived"] = "derived"
    input: tuple[str, ...] = Field(default=(), max_length=1)
    """The prepared corpus, by name or directory."""
    change: ChangeName = "marks"
    """What is removed, and is to be predicted. `marks`: the combining marks of letters (NFD), such as accents; the tag
    of a letter names its marks. `case`: letters become lower case; the tag of a letter is `upper` or `lower`. `blanks`:
    single blanks are removed; the tag of a character says whether a blank follows it."""
    piece_characters: int = Field(default=120, ge=1)
    """For `--task transduce`: the text is cut into pieces of at most this many characters, at the ends of lines and
    sentences, or else at blanks."""

    @property
    def name(self) -> str:
        given = os.path.abspath(self.input[0]) if self.input else "derived"  # noqa: PTH100 - links keep their names
        return f"{PurePath(given).name}-{self.change}"


TextExampleSettings = TableSettings | ClassesSettings | ConlluSettings | AlignedSettings
"""Sources of examples that read files."""

ExampleSettings = Annotated[TextExampleSettings | DerivedSettings, Field(discriminator="type")]
"""Sources that only give examples; the hub gives text or examples."""
