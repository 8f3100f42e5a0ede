"""Hashes of the code that makes documents: when it changes, staged documents are made again.

dump/articles, dump/pages, ... wikitext/**  ──sha256──> part of the key of every task of a dump
"""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from charlm.version import __version__

_HERE = Path(__file__).parent

READING = ("document", "dump/articles", "dump/pages", "dump/elements", "dump/prolog", "dump/ranges")
"""The modules that decide which pages a range of a dump has and which document a page becomes, besides `wikitext`.

The modules that open and unpack files (`reading/unpacking`, `download/range_cache`) are left out: they give the bytes
that the checksums and the parser accept, or an error. The modules that cut a dump (`dump/plan`, `dump/index`) are left
out because each key names its range.
"""


@functools.cache
def reading_version() -> str:
    """Return a hash of the code and the tables that turn the pages of a dump into documents."""
    return _hash([*(_HERE / f"{name}.py" for name in READING), *_sources(_HERE / "wikitext")])


@functools.cache
def code_version() -> str:
    """Return a hash of all code that reads sources; all processes of a job must have the same."""
    return _hash(_sources(_HERE))


def charlm_version() -> str:
    """Return the version of charlm and the hash of the code that makes documents."""
    return f"charlm {__version__} ({code_version()})"


def _sources(folder: Path) -> list[Path]:
    return sorted((*folder.rglob("*.py"), *folder.rglob("*.toml")))


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
