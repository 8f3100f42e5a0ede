"""What has changed in the inputs of a prepared corpus since it was made.

settings ── the inputs that exist ──> names and hashes of their files ──┐
corpus.json ── origin ──> names and hashes at that time ────────────────┴─ compare ──> "novel.txt has changed"

A missing input is no change, and neither is what an older charlm did not record. Downloads are not compared: the
corpus keeps its dump until --refresh and --overwrite ask for another one. The files of examples are compared by
`find_prepared_examples`.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charlm.storage import storage_errors
from charlm.text.build import build_source
from charlm.text.document import digest_entries
from charlm.text.reading.inputs import STDIN, has_scheme, input_exists
from charlm.text.settings import MixSettings, SourceSettings
from charlm.text.wikimedia.urls import without_credentials

_CHUNK_BYTES = 1 << 18


def find_input_changes(settings: SourceSettings, origin: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is different in the inputs of a source of text, each as a phrase that begins with the name of a file.

    Args:
        origin: the entry of corpus.json about the source.

    Raises:
        StorageError: an input cannot be read.
    """
    if isinstance(settings, MixSettings):
        recorded = origin.get("sources", {})
        for name, member in zip(settings.names, settings.sources, strict=True):
            yield from find_input_changes(member, recorded.get(name, {}))
    elif settings.local_text:
        if origin.get("fingerprint") not in (None, build_source(settings).fingerprint()):
            yield f"{settings.local_text} has changed"
    elif settings.inputs:
        yield from _find_url_changes(settings.inputs, origin)
        yield from _find_file_changes(settings, origin)


def find_missing_inputs(settings: SourceSettings) -> list[str]:
    """Return the inputs, as the user gives them, that do not exist."""
    if isinstance(settings, MixSettings):
        return [name for member in settings.sources for name in find_missing_inputs(member)]
    return [name for name in settings.inputs if not input_exists(name, may_be_glob=settings.takes_globs)]


def _find_url_changes(inputs: Sequence[str], origin: Mapping[str, Any]) -> Iterator[str]:
    """Yield the URLs from which the corpus was not made: what is there is unknown before it is downloaded."""
    recorded = origin.get("urls")
    for url in map(without_credentials, filter(has_scheme, inputs)):
        if recorded is not None and url not in recorded:
            yield f"{url} is not the file that it was made from"


def _find_file_changes(settings: SourceSettings, origin: Mapping[str, Any]) -> Iterator[str]:
    missing = find_missing_inputs(settings)
    local = tuple(name for name in settings.inputs if name not in missing and name != STDIN)
    entries: list[dict[str, Any]] = []
    if any(not has_scheme(name) for name in local):
        entries = build_source(settings.model_copy(update={"input": local})).local_files()
    is_partial = bool(missing) or any(map(has_scheme, local))
    if STDIN in settings.inputs:
        piped = _hash_stdin()
        is_partial |= piped is None
        entries += [{"name": "stdin", "sha256": piped}] if piped else []
    recorded = origin.get("files")
    if recorded is not None:
        yield from find_file_changes(recorded, entries, is_partial=is_partial)
    elif not is_partial and origin.get("fingerprint") not in (None, digest_entries(entries)):
        yield f"a file of {', '.join(Path(name).name for name in settings.inputs)} has changed"


def find_file_changes(
    recorded: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]], *, is_partial: bool = False
) -> Iterator[str]:
    """Yield the differences between two lists of files.

    Args:
        is_partial: whether some of the inputs are not in `entries`. Then files may be missing, and the second of two
            files with one name may have the name of the first.
    """
    before = [(entry["name"], entry.get("sha256")) for entry in recorded]
    now = [(entry["name"], entry["sha256"]) for entry in entries]
    if now == before:
        return
    names, same, hashes = ({name for name, _ in before}, {*before}, {digest for _, digest in before})
    other = [name for name, digest in now if (name, digest) not in same and not (is_partial and digest in hashes)]
    yield from (f"{name} has changed" if name in names else f"{name} is new" for name in other)
    if is_partial:
        return
    gone = sorted(names - {name for name, _ in now})
    yield from (f"{name} is gone" for name in gone)
    if not other and not gone:
        yield "the order of the files has changed"


def _hash_stdin() -> str | None:
    """Read standard input to its end and return its hash; None if it is empty or closed."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - closed by the parent
        return None
    hashed = hashlib.sha256()
    is_empty = True
    with storage_errors(Path("standard input"), "read"):
        while chunk := sys.stdin.buffer.read(_CHUNK_BYTES):
            hashed.update(chunk)
            is_empty = False
    return None if is_empty else hashed.hexdigest()
