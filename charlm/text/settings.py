"""Settings of the places text comes from. `build()` imports the implementation."""

import os
import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field

from charlm.settings import Settings
from charlm.text.document import Source


class WikipediaSettings(Settings):
    """A MediaWiki dump: of a Wikimedia project by name, or local files."""

    type: Literal["wikipedia"] = "wikipedia"
    language: str = "simple"
    """Language code as in the site's address: `ru` is ru.wikipedia.org."""
    wiki: str = ""
    """Database name, such as `ruwikisource`; empty means the language's Wikipedia."""
    date: str = "latest"
    """Dump date, YYYYMMDD, or `latest`."""
    input: tuple[str, ...] = ()
    """Local dump files to read instead of downloading."""
    math: Literal["drop", "tex"] = "drop"
    """Formulas: left out, or kept as TeX."""
    mirrors: tuple[str, ...] = ("https://dumps.wikimedia.org",)
    """Roots laid out like dumps.wikimedia.org, tried in order; CHARLM_MIRROR goes before them."""
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

    def build(self) -> Source:
        from charlm.text.wikipedia import WikipediaSource

        return WikipediaSource(self)


class TextSettings(Settings):
    """Plain text files, one document per file."""

    type: Literal["text"] = "text"
    input: tuple[str, ...] = ()
    """Files or folders (every file below them, in order of their names)."""

    @property
    def name(self) -> str:
        given = os.path.abspath(self.input[0]) if self.input else ""  # noqa: PTH100 - `.` has a name; links keep theirs
        return PurePath(given).stem or "text"

    def build(self) -> Source:
        from charlm.text.files import TextSource

        return TextSource(self)


class SampleSettings(Settings):
    """The prose that every CPython carries: its language reference and its library's docstrings."""

    type: Literal["sample"] = "sample"

    @property
    def name(self) -> str:
        return "sample"

    def build(self) -> Source:
        from charlm.text.sample import SampleSource

        return SampleSource()


SourceSettings = Annotated[WikipediaSettings | TextSettings | SampleSettings, Field(discriminator="type")]
