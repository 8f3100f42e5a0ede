"""A small input of each kind of source, written to a folder."""

import bz2
import json
from collections.abc import Callable
from pathlib import Path

from charlm.text.settings import (
    Enwik8Settings,
    HubSettings,
    MixSettings,
    SampleSettings,
    SingleSource,
    Text8Settings,
    TextSettings,
    WikipediaSettings,
)
from charlm.text.sources.enwik8 import FILE_START
from tests.mirror import small_dump

AnySource = SingleSource | MixSettings
Make = Callable[[Path, str], AnySource]
"""(an empty folder, a word for the text) -> settings of a source in that folder. Each file has the word."""


def put(folder: Path, name: str, content: bytes) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder / name)


def wikipedia(folder: Path, word: str) -> WikipediaSettings:
    dump = bz2.decompress(small_dump("ltgwiki", num_pages=40))
    return WikipediaSettings(input=(put(folder, "ltgwiki.xml", dump.replace(b"river", word.encode())),))


def text(folder: Path, word: str) -> TextSettings:
    for number in range(5):
        put(folder / "novels", f"{number}.txt", f"The {word} of {number}.\r\n".encode() * 50)
    return TextSettings(input=(str(folder / "novels"),))


def hub(folder: Path, word: str) -> HubSettings:
    rows = "".join(json.dumps({"text": f"{word} {number} " * 30}) + "\n" for number in range(20))
    return HubSettings(input=(put(folder, "reviews.jsonl", rows.encode()),))


def mix(folder: Path, word: str) -> MixSettings:
    return MixSettings(sources=(text(folder, word), hub(folder, word[::-1])))


CASES: dict[str, Make] = {
    "wikipedia": wikipedia,
    "text": text,
    "hub": hub,
    "enwik8": lambda folder, word: Enwik8Settings(
        input=(put(folder, "enwik8", FILE_START + f" {word} ".encode() * 99),)
    ),
    "text8": lambda folder, word: Text8Settings(input=(put(folder, "text8", f" {word} anarchism".encode() * 99),)),
    "mix": mix,
    "sample": lambda folder, word: SampleSettings(),
}
GIVEN = [case for case in CASES if case != "sample"]
"""The sources with an input; the sample comes with Python."""
