"""Manifests: a list of a directory's files with sizes and hashes; a directory without one counts as incomplete."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlm.errors import CheckpointError
from charlm.storage.disk_errors import storage_errors
from charlm.storage.whole_files import read_json, sha256, write_json

MANIFEST = "manifest.json"


def write_manifest(directory: Path, metadata: Mapping[str, Any]) -> None:
    """Write the size and SHA-256 of every file of `directory` and of the folders in it; written last, it marks the
    directory as complete."""
    files = {
        name: {"bytes": (directory / name).stat().st_size, "sha256": sha256(directory / name)}
        for name in sorted(_list_files(directory))
        if name != MANIFEST and not any(part.startswith(".") for part in name.split("/"))
    }
    write_json(directory / MANIFEST, {**metadata, "files": files})


def _list_files(directory: Path) -> list[str]:
    """Return the files of a directory and of the folders in it, as paths from the directory with slashes."""
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]


def has_manifest(directory: Path) -> bool:
    """Whether the directory is complete."""
    return (directory / MANIFEST).is_file()


def verify_manifest(directory: Path, cure: str) -> dict[str, Any]:
    """Check every file in the manifest of `directory`, and return the manifest.

    Raises:
        CheckpointError: there is no manifest, or a file is missing, of another size, or of another content.
    """
    path = directory / MANIFEST
    try:
        manifest = read_json(path)
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except FileNotFoundError as error:
        raise CheckpointError(f"{directory} has no {MANIFEST}, so it is not a complete checkpoint", cure) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged", cure) from error
    with storage_errors(directory, "read"):
        present = set(_list_files(directory))
    for name, (size, digest) in files.items():
        file = directory / name
        if name not in present:
            raise CheckpointError(f"{file} is missing", cure)
        if file.stat().st_size != size:
            raise CheckpointError(f"{file} has {file.stat().st_size:,} bytes instead of {size:,}", cure)
        if sha256(file) != digest:
            raise CheckpointError(f"{file} is damaged: its SHA-256 is not the one in {MANIFEST}", cure)
    return manifest
