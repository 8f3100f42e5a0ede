"""The URL of a dump file -> its part: where it goes in the cache, and where its index may be."""

import hashlib
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from charlm.errors import SettingsError
from charlm.text.download.whole_file import Patience
from charlm.text.dump.index import index_name
from charlm.text.wikimedia.dump_file import DumpPart
from charlm.text.wikimedia.releases import DumpFile


def is_url(text: str) -> bool:
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def part_of_url(url: str, cache: Path, agent: str, patience: Patience | None) -> DumpPart:
    """The part that a URL names.

    Raises:
        SettingsError: it names no file.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if not name or name in (".", "..") or not urlsplit(url).netloc:
        raise SettingsError(f"{url} names no file", "give the URL of a dump file, such as https://.../x.xml.bz2")
    beside = index_name(name)
    index = DumpFile(beside, (_sibling(url, beside),), None, None, None) if beside else None
    directory = cache / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16]
    return DumpPart(directory / name, DumpFile(name, (url,), None, None, None, index), agent, patience)


def _sibling(url: str, name: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}").geturl()
