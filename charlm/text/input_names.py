"""The names of inputs (a file, a folder, a glob, a URL) -> the default names of corpora that are made of them."""

import os
import re
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from charlm.text.reading.inputs import glob_root, is_glob, strip_compression_suffix

TEXT = ("csv", "htm", "html", "json", "jsonl", "log", "markdown", "md", "rst", "tex", "text", "tsv", "txt", "xml")
DATASET = ("arrow", "csv", "json", "jsonl", "ndjson", "parquet", "tsv")
DUMP = ("xml",)


def corpus_name(given: str, extensions: tuple[str, ...]) -> str:
    """Return the name of an input without `.gz` and the like, and without one of these extensions.

    Whatever else follows a dot tells inputs apart, as in `data.v1` and `europarl.en`. The name is empty for `/`.
    """
    name = strip_compression_suffix(last_part(given))
    stem, _, extension = name.rpartition(".")
    return stem if stem and extension.lower() in extensions else name


def last_part(given: str) -> str:
    """Return the last part of the path of a file, a folder, the folder of a glob, or a URL. A link has its own name."""
    if re.match(r"https?://", given, re.IGNORECASE):
        return PurePath(unquote(urlsplit(given).path)).name
    return PurePath(os.path.abspath(glob_root(given) if is_glob(given) else given)).name  # noqa: PTH100
