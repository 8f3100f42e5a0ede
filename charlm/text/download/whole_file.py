"""URLs of one file -> the whole, verified file under its final name.

    GET ─ broken, 5xx, stall ─> wait 1, 2, 4, 8, 16 s ─> GET with Range and If-Range ─> NAME.part ─ size, hash ─> NAME
     └─ 404, 403, a page of HTML, another size or hash: the next of several URLs (mirrors), then an error

No client library resumes an interrupted body. `NAME.part.json` records the URL and the version (ETag or date) of
`NAME.part`; only the same version is continued, unless a hash of the whole file is known.
"""

import glob
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

import requests

from charlm.errors import CharlmError, DataError, NetworkError, StorageError
from charlm.storage import PartialFile, read_json, remove_tree, storage_errors, write_json
from charlm.text.download.checksum import find_checksum_error
from charlm.text.download.connection import (
    content_length,
    content_range,
    matches_version,
    open_response,
    read_body,
    validator,
)
from charlm.text.download.retry import NotFoundError, OtherVersionError, RetryableError, RetryPolicy, host, retry

_MAX_CHANGES = 1


def download(
    urls: Sequence[str],
    target: Path,
    *,
    size: int | None,
    sha1: str | None,
    md5: str | None,
    user_agent: str,
    on_progress: Callable[[int], None] | None = None,
    retry_policy: RetryPolicy | None = None,
    magic: bytes = b"BZh",
) -> None:
    """Download `target` from the first of `urls` that serves it.

    Args:
        on_progress: called with the bytes on disk so far, first before anything is downloaded.
        magic: the first bytes of the file; the login page of a proxy begins differently.

    Raises:
        NetworkError: no URL served the file; what has arrived is kept for the next time.
        DataError: no URL served a file with the right checksum; nothing is kept.
        StorageError: not enough space (checked before the download), or the disk fails.
    """
    retry_policy = retry_policy or RetryPolicy()
    with PartialFile(target) as part:
        _check_space(target, size, part.size)
        fetch = _FileDownload(
            part, size, magic, has_hash=bool(sha1 or md5), on_progress=on_progress or (lambda _: None)
        )
        fetch.on_progress(part.size)
        left = deque(urls)
        failure: CharlmError | None = None
        while True:
            resumed = part.size > 0
            if size is None or part.size != size:
                if not left:
                    if part.size == 0:
                        fetch.remove_files()
                    raise failure or NetworkError(
                        f"there is no URL for {target.name}", "set corpus.source.mirrors or CHARLM_MIRROR"
                    )
                if failure:
                    retry_policy.notify(f"{failure.what}; trying {host(left[0])} next")
                url = left.popleft()
                try:
                    fetch.run(url, user_agent, retry_policy)
                except NetworkError as error:
                    failure = _more_informative(failure, error)
                    continue
                if resumed:  # then a wrong hash may be due to the older part: try this URL once more
                    left.appendleft(url)
            part.flush()
            checksum_error = find_checksum_error(part.path, target.name, sha1, md5)
            if checksum_error is None:
                remove_tree(fetch.version_path)  # first: nothing would remove it beside the finished file
                part.commit()
                return
            failure = checksum_error
            fetch.restart()


class _FileDownload:
    """The download of one file, over several connections and mirrors."""

    def __init__(
        self, part: PartialFile, size: int | None, magic: bytes, *, has_hash: bool, on_progress: Callable[[int], None]
    ) -> None:
        self.part, self.size, self.magic, self.has_hash, self.on_progress = part, size, magic, has_hash, on_progress
        self.version_path = part.path.with_name(part.path.name + ".json")
        for leftover in self.version_path.parent.glob(f".{glob.escape(self.version_path.name)}.*.tmp"):
            remove_tree(leftover)  # of a process that was killed while it wrote the record
        self.max_size = part.size
        self.changes = 0

    def run(self, url: str, user_agent: str, retry_policy: RetryPolicy) -> None:
        with requests.Session() as session:
            retry(
                url,
                lambda: self._attempt(session, url, user_agent, retry_policy.stall_timeout),
                retry_policy,
                progress=lambda: self.max_size,
                cure="check the network and run the same command again; it continues the download",
            )

    def restart(self) -> None:
        """Delete what has arrived and start from the first byte."""
        self.part.restart()
        self.max_size = 0

    def remove_files(self) -> None:
        """Delete the part and its record."""
        self.part.discard()
        remove_tree(self.version_path)

    def _attempt(self, session: requests.Session, url: str, user_agent: str, stall_timeout: float) -> None:
        version = self._saved_version(url) if self.part.size else ""
        if not (version or self.has_hash) or (self.size is not None and self.part.size > self.size):
            self.part.restart()
        headers: dict[str, str] = {}
        if self.part.size:
            headers = {"Range": f"bytes={self.part.size}-", **({"If-Range": version} if version else {})}
        with open_response(session, url, headers, user_agent, stall_timeout) as response:
            body = read_body(response, stall_timeout)
            if response.status_code == HTTPStatus.OK:
                whole = self._total_size(url, response, 0)
                head = self._read_head(url, body)  # a login page must not replace what has arrived
                if self.part.size:
                    self._restart_or_give_up(url, changed=bool(version) and not matches_version(response, version))
                self._save_version(url, response)
                self._append(url, head)
            elif self._is_continuation(response, version):
                whole = self._total_size(url, response, self.part.size)
                if not version:
                    self._save_version(url, response)
            elif self._is_complete(response):
                return
            else:
                self._restart_or_give_up(url, changed=True)
                raise RetryableError("the file changed on the server", 0)
            for piece in body:
                self._append(url, piece)
        if whole is not None and self.part.size < whole:
            raise RetryableError("the connection broke off")

    def _read_head(self, url: str, body: Iterator[bytes]) -> bytes:
        """Read the first bytes and check that they are those of the file, not of a page of HTML."""
        head = b""
        for piece in body:
            head += piece
            if len(head) >= len(self.magic):
                break
        if not head and self.size != 0:
            raise RetryableError("the answer is empty")
        if not head.startswith(self.magic):
            raise NetworkError(
                f"{url} returned another kind of file, perhaps the page of a proxy or login", "open it in a browser"
            )
        return head

    def _append(self, url: str, piece: bytes) -> None:
        self.part.append(piece)
        self.max_size = max(self.max_size, self.part.size)
        self.on_progress(self.part.size)
        if self.size is not None and self.part.size > self.size:
            self.part.restart()
            raise OtherVersionError(
                f"{url} has more than the expected {self.size:,} bytes", "set CHARLM_MIRROR to another mirror"
            )

    def _save_version(self, url: str, response: requests.Response) -> None:
        write_json(self.version_path, {"url": url, "validator": validator(response)})

    def _restart_or_give_up(self, url: str, *, changed: bool) -> None:
        self.changes += changed
        if self.changes > _MAX_CHANGES:
            raise NetworkError(
                f"{url} changed again during the download", "try again later, or set CHARLM_MIRROR to another mirror"
            )
        self.part.restart()

    def _saved_version(self, url: str) -> str:
        """Return the version (ETag or date) of the file that the part belongs to; empty if unknown."""
        try:
            saved = read_json(self.version_path)
            return str(saved["validator"]) if saved["url"] == url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _is_continuation(self, response: requests.Response, version: str) -> bool:
        """Return whether a 206 continues the part: same version, right offset, right size."""
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            return False
        start, total = content_range(response)
        same_version = not version or matches_version(response, version)
        return start == self.part.size and total in (None, self.size or total) and same_version

    def _is_complete(self, response: requests.Response) -> bool:
        """Return whether a 416 shows that the part is complete, if the size was not known."""
        whole = self.size is None and content_range(response).total == self.part.size
        return whole and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE

    def _total_size(self, url: str, response: requests.Response, present: int) -> int | None:
        """Return the bytes of the whole file; None if chunks or a hash will show whether it is complete."""
        rest = content_length(response)
        html = "text/html" in response.headers.get("Content-Type", "")  # `_read_head` reports it
        if self.size is not None:
            if present == 0 and rest not in (None, self.size) and not html:
                raise OtherVersionError(
                    f"{url} has {rest:,} bytes instead of {self.size:,}",
                    "try again later, or set CHARLM_MIRROR to another mirror",
                )
            return self.size
        if rest is not None:
            return present + rest
        if not self.has_hash and "chunked" not in response.headers.get("Transfer-Encoding", "").lower():
            raise NetworkError(f"{url} does not state the size of the file", "set CHARLM_MIRROR to another mirror")
        return None


def _more_informative(failure: CharlmError | None, error: NetworkError) -> CharlmError:
    """Return the failure of two mirrors to report: damage before a network error before a missing file."""
    return failure if failure and (isinstance(error, NotFoundError) or isinstance(failure, DataError)) else error


def _check_space(target: Path, size: int | None, present: int) -> None:
    with storage_errors(target.parent, "use"):
        free = shutil.disk_usage(target.parent).free
    needed = (size or 0) - present
    if needed > free:
        raise StorageError(
            f"{target.name} needs {needed:,} bytes, but {target.parent} has {free:,} bytes free",
            "free some space, or set CHARLM_CACHE to a folder on another disk",
        )
