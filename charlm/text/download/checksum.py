"""Whether a downloaded file has the hash that was published for it."""

import hashlib
from pathlib import Path

from charlm.errors import DataError
from charlm.storage import storage_errors


def find_checksum_error(path: Path, name: str, sha1: str | None, md5: str | None) -> DataError | None:
    """Return the error if a file has another hash than the published one, None if it matches or none is published."""
    algorithm, expected = ("sha1", sha1) if sha1 else ("md5", md5)
    if not expected:
        return None
    with storage_errors(path, "read"), open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found == expected.lower():
        return None
    return DataError(
        f"{name} is damaged: its {algorithm} is {found} instead of {expected}",
        "run the same command to download it again, or set CHARLM_MIRROR to another mirror",
    )
