"""A failing download: what the server does to the next requests, and the expected result."""

import bz2
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fault_server import Fault, etag

CONTENT = bz2.compress(random.Random(1).randbytes(300_000))
OTHER = bz2.compress(random.Random(2).randbytes(300_000))[: len(CONTENT)].ljust(len(CONTENT), b"\0")
LONG = b"BZh" + random.Random(3).randbytes(9 << 20)
SIZE, SHA1, MD5 = len(CONTENT), hashlib.sha1(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
NAME = "file.bz2"
CUT_SHA1 = hashlib.sha1(CONTENT[:90_000]).hexdigest()
PATH = f"/wiki/{NAME}"
HTML = b"<html>Welcome to our hotel</html>"
AGAIN = "check the network and run the same command again; it continues the download"
OTHER_MIRROR = "set CHARLM_MIRROR to another mirror"
LATER = f"try again later, or {OTHER_MIRROR}"
DAMAGED = f"run the same command to download it again, or {OTHER_MIRROR}"
LOGIN = "{url} returned another kind of file, perhaps the page of a proxy or login; open it in a browser"


@dataclass(frozen=True)
class Scenario:
    """A script for the server, and the expected result."""

    name: str
    script: Sequence[Fault] = ()
    error: str = ""
    """The whole message, with {url}, {host}, {mirror}, {found}; empty: the file arrives."""
    code: int = 4
    requests: int = 1
    waits: Sequence[float] = ()
    twice: int = 0
    """Bytes that may be sent a second time, at most."""
    kept: int | None = None
    """Bytes of the part that is kept after an error; None: no part."""
    content: bytes = CONTENT
    size: bool = True
    """Whether the size is known beforehand."""
    hashes: dict[str, str | None] = field(default_factory=lambda: {"sha1": SHA1, "md5": None})
    part: bytes | None = None
    """The part of an earlier run, and its version of the file:"""
    version: str = etag(CONTENT)
    mirror: Sequence[Fault] | None = None
    """The script of a second server; None: no second server."""
    mirror_requests: int = 0
    anew: int = 0
    """Downloads restarted because of a wrong hash."""


NO_HASH: dict[str, str | None] = {"sha1": None, "md5": None}
ALL_WAITS = (1, 2, 4, 8, 16)
