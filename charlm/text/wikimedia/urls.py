"""The URL of a dump file -> a DumpPart: its path in the cache, and the URL of its index."""

import hashlib
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from charlm.errors import SettingsError
from charlm.text.download.retry import RetryPolicy
from charlm.text.dump.index import index_name
from charlm.text.wikimedia.dump_file import DumpPart
from charlm.text.wikimedia.releases import RemoteDumpFile


def without_credentials(url: str) -> str:
    """Return a URL without the user name and password of a mirror."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def dump_part_from_url(url: str, cache: Path, user_agent: str, retry_policy: RetryPolicy | None) -> DumpPart:
    """Return the dump file that a URL names.

    Raises:
        SettingsError: the URL does not name a file.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as https://[x
        parts = urlsplit("")
    name = PurePosixPath(unquote(parts.path)).name
    if not name or name in (".", "..") or "\0" in name or not parts.netloc:
        raise SettingsError(f"{url} does not name a file", "give the URL of a dump file, such as https://.../x.xml.bz2")
    index_file_name = index_name(name)
    index = (
        RemoteDumpFile(index_file_name, (_sibling(url, index_file_name),), None, None, None)
        if index_file_name
        else None
    )
    directory = cache / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16]
    return DumpPart(directory / name, RemoteDumpFile(name, (url,), None, None, None, index), user_agent, retry_policy)


def _sibling(url: str, name: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}").geturl()
