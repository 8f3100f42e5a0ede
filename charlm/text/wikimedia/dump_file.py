"""A file of a dump: local, in the cache, or on a server; whole or in ranges.

CACHE/dumps/WIKI/DATE/NAME           a whole file, verified; its index is beside it
CACHE/dumps/WIKI/DATE/streams/NAME/  the extents of a file that was read in ranges, and file.json
CACHE/urls/HASH/...                  the same for a file that was given by its URL
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm.errors import CharlmError, NetworkError
from charlm.storage import make_directory, read_json, remove_tree, rename, storage_errors, write_json
from charlm.text.download.checksum import find_checksum_error
from charlm.text.download.range_cache import SparseFile
from charlm.text.download.range_reader import RemoteFile
from charlm.text.download.retry import NotFoundError, RetryPolicy
from charlm.text.download.whole_file import download
from charlm.text.dump.index import read_index, starts_from
from charlm.text.dump.ranges import StreamStarts, is_multistream
from charlm.text.reading.input_files import InputFile, hash_inputs
from charlm.text.reading.unpacking import BZ2, MAGIC, detect_format
from charlm.text.settings import WikipediaSettings
from charlm.text.wikimedia.releases import RECORD, RemoteDumpFile, WikimediaDump, resolve
from charlm.text.wikimedia.segments import DumpSegments, find_segments

_SECOND_STREAM_SEARCH_BYTES = 8 << 20
"""Bytes at the start of a remote file in which a multistream dump has its second stream."""


class DumpPart:
    """One file of a dump. The server is not asked before it is necessary."""

    def __init__(
        self,
        path: Path,
        remote: RemoteDumpFile | None = None,
        user_agent: str = "",
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """
        Args:
            path: The local file, or its path in the cache.
            remote: The file on the server; None for a local file of the user.
        """
        self.path, self.remote, self._user_agent, self._retry_policy = path, remote, user_agent, retry_policy

    @property
    def is_local(self) -> bool:
        return self.remote is None or self.path.is_file()

    # Whole

    def bytes_missing(self) -> int:
        """Return the bytes still to download for the whole file; 0 if its size is unknown."""
        if self.is_local:
            return 0
        present = self.path.with_name(self.path.name + ".part")
        return max((self._expected_size or 0) - (present.stat().st_size if present.is_file() else 0), 0)

    @cached_property
    def _expected_size(self) -> int | None:
        assert self.remote
        if self.remote.size is None and self.remote.sha1 is None:
            try:
                return RemoteFile(
                    self.remote.urls, None, self._user_agent, RetryPolicy(delays=(), notify=lambda _: None)
                ).size
            except NetworkError:
                return None  # the size is only announced; the download reports the error
        return self.remote.size

    def download(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download the whole file if it is missing."""
        if not self.is_local:
            assert self.remote
            _download(self.remote, self.path, self._user_agent, self._retry_policy, on_progress)
            remove_tree(self._streams)

    # In ranges

    @property
    def _streams(self) -> Path:
        return self.path.parent / "streams" / self.path.name

    @property
    def index(self) -> Path | None:
        """The path of the cached index; None if it is missing."""
        path = self.path.with_name(self.remote.index.name) if self.remote and self.remote.index else None
        return path if path and path.is_file() else None

    def index_bytes_missing(self) -> int:
        return (self.remote.index.size or 0) if self.remote and self.remote.index and not self.index else 0

    def fetch_index(self, on_progress: Callable[[int], None] | None = None) -> None:
        """Download the index if it is missing and the server has one."""
        if not self.remote or not self.remote.index or self.index or self._server_info.get("no_index"):
            return
        index = self.remote.index
        try:
            _download(index, self.path.with_name(index.name), self._user_agent, self._retry_policy, on_progress)
        except NotFoundError:
            self._save_server_info({"no_index": True})

    @property
    def index_is_resolved(self) -> bool:
        """Whether the index is cached, or known not to exist."""
        return not self.remote or not self.remote.index or bool(self.index or self._server_info.get("no_index"))

    @cached_property
    def sparse(self) -> SparseFile:
        """The file, read in ranges. The server is asked for size and version the first time."""
        assert self.remote
        about = self._server_info
        size, version = about.get("size", self.remote.size), str(about.get("version", ""))
        if size is None:
            remote_file = RemoteFile(self.remote.urls, None, self._user_agent, self._retry_policy)
            size, version = remote_file.size, remote_file.version
            self._save_server_info({"size": size, "version": version})
        return SparseFile(
            self.remote.urls,
            size,
            self._user_agent,
            directory=self._streams,
            version=version,
            retry_policy=self._retry_policy,
        )

    @cached_property
    def _server_info(self) -> dict[str, Any]:
        try:
            return dict(read_json(self._streams / "file.json"))
        except (FileNotFoundError, ValueError, TypeError):
            return {}  # then the server is asked

    def _save_server_info(self, found: dict[str, Any]) -> None:
        self._server_info.update(found)
        make_directory(self._streams)
        write_json(self._streams / "file.json", self._server_info)

    @property
    def is_range_readable(self) -> bool:
        """Whether the remote file can be read in ranges: a bz2 file of several streams. A file with an index is one."""
        if self.index or not self.index_is_resolved:
            return True
        if "multistream" not in self._server_info:
            is_multi = detect_format(self.sparse) == BZ2 and is_multistream(self.sparse, _SECOND_STREAM_SEARCH_BYTES)
            self._save_server_info({"multistream": is_multi})
        return bool(self._server_info["multistream"])

    def segments(self) -> DumpSegments:
        """Return the segments from which a subset may choose."""
        if self.is_local:
            with storage_errors(self.path, "read"):
                return find_segments(self.path, self.path.stat().st_size, None)
        return find_segments(self.sparse, self.sparse.size, self.index)

    def stream_starts(self) -> StreamStarts | None:
        """Return where streams begin by the index; None without an index."""
        return starts_from(read_index(self.index)) if self.index else None

    # Identity

    @cached_property
    def input_file(self) -> InputFile:
        """The file on disk, with its hash."""
        return hash_inputs([(self.path.name, self.path)])[0]

    @cached_property
    def digest(self) -> str:
        """Identifies the content: the published hash, the hash of the local file, or the version on the server."""
        if self.remote and self.remote.sha1:
            return self.remote.sha1
        if self.is_local:
            return self.input_file.sha256
        return f"{self.remote and self.remote.urls[0]} {self.sparse.size} {self._server_info.get('version', '')}"

    def entry(self) -> dict[str, Any]:
        """Return the entry of corpus.json."""
        if not self.is_local and self.remote and not self.remote.sha1:
            return {
                "name": self.path.name,
                "bytes": self.sparse.size,
                "version": str(self._server_info.get("version", "")),
            }
        published = self.remote is not None and self.remote.sha1 is not None
        size = self.path.stat().st_size if self.is_local else self.sparse.size
        return {"name": self.path.name, "bytes": size, ("sha1" if published else "sha256"): self.digest}

    def is_intact(self) -> bool:
        """Return whether the whole cached file and its index have the published size and hash.

        Ranges are checked when they are read.
        """
        remote = self.remote
        return remote is None or all(
            _is_intact(self.path.with_name(file.name), file) for file in (remote, remote.index) if file
        )

    def discard(self) -> None:
        """Delete the downloads of this file; never a local file of the user."""
        if self.remote is None:
            return
        names = [self.path.name, *([self.remote.index.name] if self.remote.index else [])]
        for name in (f"{name}{end}" for name in names for end in ("", ".part", ".part.json")):
            remove_tree(self.path.with_name(name))
        remove_tree(self._streams)
        if self._streams.parent.is_dir() and not any(self._streams.parent.iterdir()):
            remove_tree(self._streams.parent)
        for name in ("sparse", "digest", "input_file", "_server_info", "_expected_size"):
            self.__dict__.pop(name, None)


def refresh_dump(
    settings: WikipediaSettings, cached: WikimediaDump, cache: Path, retry_policy: RetryPolicy | None
) -> WikimediaDump:
    """Ask the server again about a dump; if it does not answer, keep the old record and raise the error."""
    record = cached.directory / RECORD
    backup = record.with_name(f"{RECORD}.old")
    rename(record, backup)
    try:
        found = resolve(settings.model_copy(update={"date": cached.date}), cache=cache, retry_policy=retry_policy)
    except CharlmError:
        rename(backup, record)
        raise
    remove_tree(backup)
    return found


def _download(
    file: RemoteDumpFile,
    target: Path,
    user_agent: str,
    retry_policy: RetryPolicy | None,
    on_progress: Callable[[int], None] | None,
) -> None:
    download(
        file.urls, target, size=file.size, sha1=file.sha1, md5=file.md5, user_agent=user_agent, on_progress=on_progress,
        retry_policy=retry_policy, magic=MAGIC.get(target.suffix.removeprefix("."), b""),
    )  # fmt: skip


def _is_intact(path: Path, file: RemoteDumpFile) -> bool:
    """Return whether a file has the published size and hash; true if it does not exist."""
    if not path.is_file():
        return True
    if file.size is not None and path.stat().st_size != file.size:
        return False
    return find_checksum_error(path, path.name, file.sha1, file.md5) is None
