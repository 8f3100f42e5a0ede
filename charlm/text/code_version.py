"""Which code made some documents: what it makes anew is made again, and nothing else is.

dump, elements, ... wikitext/**  ──sha256──> part of the key of every piece of a dump
"""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

_HERE = Path(__file__).parent

READING = ("dump/articles", "dump/pages", "dump/elements", "dump/ranges")
"""Modules that decide which pages a range of a dump has, and what becomes of one; `wikitext` is the other part.

Not among them: what opens and unpacks files (`reading/unpacking`, `download/range_cache`), since that
gives the bytes that checksums and parser accept, or an error; and what cuts a dump (`dump/plan`, `dump/index`), since
each key names its range.
"""


@functools.cache
def reading_version() -> str:
    """A hash of the code and the tables that turn pages of a dump into documents."""
    return _hash([*(_HERE / f"{name}.py" for name in READING), *_sources(_HERE / "wikitext")])


@functools.cache
def code_version() -> str:
    """A hash of all code that reads sources: what the processes of one job have to agree on."""
    return _hash(_sources(_HERE))


def _sources(folder: Path) -> list[Path]:
    return sorted((*folder.rglob("*.py"), *folder.rglob("*.toml")))


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
