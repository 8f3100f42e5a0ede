"""Settings -> a source whose text is on this machine: resolve it, announce the download, ask, download.

`latest` is resolved once for each output directory: its date is kept beside the growing corpus, so that a rerun after a
crash reads the same dump, and needs no server if the dump is in the cache.
"""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from charlm import storage
from charlm.data.settings import CorpusSettings
from charlm.errors import StorageError, UsageError
from charlm.text.build import build_source
from charlm.text.document import DownloadPlan, Source
from charlm.text.settings import MixSettings, SourceSettings
from charlm.workflows.corpus_directory import RESOLVED_FILE, working_directory

BIG_DOWNLOAD = 1_000_000_000
"""Bytes above which the user is asked."""

_DISK_FACTOR = 6  # bytes of a corpus for each byte of its compressed dump: documents twice, tokens, reserve

Confirm = Callable[[], bool]
ShowBytes = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def describe_download(plan: DownloadPlan, out: Path) -> str:
    """Describe a download on one line: its size, the disk space that is needed, and the folders."""
    needed = plan.num_bytes * (1 + _DISK_FACTOR)
    return (
        f"downloading {plan.description}: {_format_bytes(plan.num_bytes)} to {plan.directory}, then the corpus to {out}"
        f" ({_format_bytes(needed)} of disk in all)"
    )


def open_source(settings: CorpusSettings, out: Path, *, refresh: bool = False) -> Source:
    """Return the source of these settings, with the dates that an interrupted attempt has resolved.

    Args:
        refresh: forget them, and ask the servers again.
    """
    record = working_directory(out) / RESOLVED_FILE
    source_settings = settings.source
    if refresh:
        source = build_source(source_settings)
        source.refresh()
        return source
    try:
        content = storage.read_json(record) if record.is_file() else {}
        if content.get("settings") == settings.to_record():
            source_settings = _apply_resolved(source_settings, content["resolved"])
    except (ValueError, KeyError, TypeError, AttributeError):
        storage.remove_tree(record)  # damaged or foreign: resolve again
    return build_source(source_settings)


def _apply_resolved(source_settings: SourceSettings, found: dict[str, Any]) -> SourceSettings:
    if not isinstance(source_settings, MixSettings):
        return source_settings.model_copy(update=found)
    sources = [
        _apply_resolved(source, found["sources"][name])
        for name, source in zip(source_settings.names, source_settings.sources, strict=True)
    ]
    return source_settings.model_copy(update={"sources": tuple(sources)})


def fetch(
    source: Source,
    settings: CorpusSettings,
    out: Path,
    *,
    note: Callable[[str], None],
    confirm: Confirm,
    show: ShowBytes,
) -> None:
    """Announce what `source` needs, and download it.

    Raises:
        UsageError: the user answered no.
        NetworkError: the download failed.
        StorageError: the output cannot be written (checked before the download), or the disk is full.
    """
    work = working_directory(out)
    storage.check_writable(work)
    plan = source.download_plan()
    if source.resolved_settings():
        storage.make_directory(work)
        record = {"settings": settings.to_record(), "resolved": source.resolved_settings()}
        storage.write_json(work / RESOLVED_FILE, record)
    if plan is None:
        return
    line = describe_download(plan, out)
    note(line)
    _check_space(plan, out)
    if plan.num_bytes > BIG_DOWNLOAD and not confirm():
        raise UsageError("nothing was downloaded", "answer yes, or add --yes")
    with show(plan.num_bytes) as on_progress:
        source.fetch(on_progress)


def _check_space(plan: DownloadPlan, out: Path) -> None:
    existing = next(parent for parent in working_directory(out).parents if parent.exists())
    free, needed = shutil.disk_usage(existing).free, plan.num_bytes * _DISK_FACTOR
    if free < needed:
        raise StorageError(
            f"{out} needs {needed:,} bytes, and {free:,} are free", "free some space, or choose another --out"
        )


def _format_bytes(num_bytes: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= limit:
            return f"{num_bytes / limit:.3g} {unit}"
    return f"{num_bytes} bytes"
