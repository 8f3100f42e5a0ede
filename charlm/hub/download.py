"""The download of a model: its commit, its manifest, then the files that the manifest names.

    HubAddress ──resolve──> commit ──manifest.json──> names, sizes, hashes ──download──> CACHE/hub/USER/NAME/COMMIT

The manifest is stored last, so a directory that has one is complete. What is there is not asked for again. A branch is
resolved each time; without a network, the commit that it had before is used.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from charlm import storage
from charlm.errors import DataError, NetworkError
from charlm.hub.address import HubAddress
from charlm.hub.model_files import MODEL_FILES
from charlm.text.download.connection import fetch_document
from charlm.text.download.retry import NotFoundError
from charlm.text.download.whole_file import download
from charlm.version import __version__

_USER_AGENT = f"charlm/{__version__}"
_MAX_DOCUMENT = 1 << 20
"""Bytes of an answer or of a manifest."""
_REVISIONS_FILE = "revisions.json"
_COMMIT = re.compile("[0-9a-f]{40}")
_DAMAGED_CURE = "give another revision, or ask its author to export it again with `charlm export --format hub`"


def download_model(address: HubAddress) -> Path:
    """Return the directory of a model, which is downloaded if it is not in the cache.

    Raises:
        NetworkError: the hub does not answer, or has no such model or revision.
        DataError: what it has is no model that `charlm export` wrote, or a file does not have the hash of the manifest.
        StorageError: the disk is full.
        BusyError: another process downloads the same model.
    """
    folder = storage.cache_directory() / "hub" / address.repository
    commit = address.revision if address.is_pinned else _resolve(address, folder)
    target = folder / commit
    if not storage.has_manifest(target):
        _download(address.repository, commit, target)
    return target


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _resolve(address: HubAddress, folder: Path) -> str:
    """Return the commit of a branch or a tag, and record it."""
    known = _read_revisions(folder / _REVISIONS_FILE)
    url = f"{_endpoint()}/api/models/{address.repository}/revision/{quote(address.revision, safe='')}"
    try:
        answer = fetch_document([url], limit=_MAX_DOCUMENT, user_agent=_USER_AGENT)
        commit = str(storage.from_json(answer.decode("utf-8"))["sha"])
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"{commit!r} is no commit")
    except NotFoundError as error:
        what = f"the hub has no model {address.repository}, or no revision {address.revision} of it"
        raise NetworkError(what, "check the name; private models cannot be read") from error
    except NetworkError:
        if address.revision in known:
            return known[address.revision]
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{url} did not answer as the hub does", "check HF_ENDPOINT, or try again later") from error
    storage.make_directory(folder)
    storage.write_json(folder / _REVISIONS_FILE, {**known, address.revision: commit})
    return commit


def _read_revisions(path: Path) -> dict[str, str]:
    try:
        content = storage.read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(commit) for name, commit in dict(content).items() if _COMMIT.fullmatch(str(commit))}


def _download(repository: str, commit: str, target: Path) -> None:
    root = f"{_endpoint()}/{repository}/resolve/{commit}"
    try:
        content = fetch_document([f"{root}/{storage.MANIFEST}"], limit=_MAX_DOCUMENT, user_agent=_USER_AGENT)
    except NotFoundError as error:
        raise DataError(f"{repository} on the hub has no {storage.MANIFEST}", _DAMAGED_CURE) from error
    files = _parse_manifest(repository, content)
    with storage.DirectoryLock(target):
        for name, (size, digest) in files.items():
            path = target / name
            if path.is_file() and storage.sha256(path) == digest:
                continue
            storage.make_directory(path.parent)
            download([f"{root}/{name}"], path, size=size, sha1=None, md5=None, user_agent=_USER_AGENT, magic=b"")
            if storage.sha256(path) != digest:
                storage.remove_tree(path)
                raise DataError(f"{name} of {repository} does not have the SHA-256 of its manifest", _DAMAGED_CURE)
        storage.write_bytes(target / storage.MANIFEST, content)


def _parse_manifest(repository: str, content: bytes) -> dict[str, tuple[int, str]]:
    """Return size and hash of each file.

    Raises:
        DataError: the manifest is not one of a model, or names a file that no model has.
    """
    try:
        entries = cast("Mapping[str, Mapping[str, Any]]", storage.from_json(content.decode("utf-8"))["files"])
        files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the {storage.MANIFEST} of {repository} on the hub is damaged", _DAMAGED_CURE) from error
    foreign = next((name for name in files if name not in MODEL_FILES), None)
    if foreign is not None:
        raise DataError(f"{repository} on the hub has the file {foreign!r}, which no model has", _DAMAGED_CURE)
    return files
