"""A small wiki, and a local server laid out as dumps.wikimedia.org is."""

import bz2
import hashlib
import json
import random
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tests.fault_server import FaultServer

DATE = "20261101"
_WORDS = (
    "the river town was founded in year and its people speak a language of their own which many of them write "
    "at school while songs are sung by old singers near lake forest church market every spring or autumn"
).split()


def small_dump(wiki: str, num_pages: int = 60, seed: int = 0, num_random_bytes: int = 0) -> bytes:
    """A multistream dump of made-up articles, some redirects and a template among them."""
    draw = random.Random(seed)
    head = (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">\n<siteinfo>'
        f"<sitename>Wikipedia</sitename><dbname>{wiki}</dbname><base>https://xx.wikipedia.org/wiki/Main_Page</base>"
        '<namespaces><namespace key="0" /><namespace key="10">Template</namespace></namespaces></siteinfo>\n'
    )
    streams = [bz2.compress(head.encode())]
    for first in range(0, num_pages, 20):
        pages: list[str] = []
        for number in range(first, min(first + 20, num_pages)):
            redirect = '<redirect title="Page 1" />' if number % 10 == 9 else ""
            prose = " ".join(draw.choice(_WORDS) for _ in range(120)).capitalize()
            prose += draw.randbytes(num_random_bytes).hex(" ", 8)
            text = "#REDIRECT [[Page 1]]" if redirect else f"'''Page {number}''' – {prose}.\n\n== History ==\n{prose}."
            pages.append(
                f"<page><title>Page {number}</title><ns>0</ns><id>{number + 1}</id>{redirect}<revision><id>1</id>"
                f'<model>wikitext</model><text xml:space="preserve">{text}</text></revision></page>\n'
            )
        streams.append(bz2.compress("".join(pages).encode()))
    return b"".join([*streams, bz2.compress(b"</mediawiki>\n")])


def serve_wiki(server: FaultServer, wiki: str, dump: bytes, date: str = DATE) -> None:
    """Put a dump of one file on the server."""
    serve_run(server, wiki, date, {f"{wiki}-{date}-pages-articles-multistream.xml.bz2": dump})


def serve_run(
    server: FaultServer, wiki: str, date: str, files: Mapping[str, bytes], *, status: str = "done"
) -> dict[str, Any]:
    """Put a dated run on the server: its files, its status file, and the listing of all dates; gives the status.

    Files that it does not have are not there, whatever the status file says.
    """
    entries = {
        name: {
            "size": len(content),
            "url": f"/{wiki}/{date}/{name}",
            "md5": hashlib.md5(content).hexdigest(),
            "sha1": hashlib.sha1(content).hexdigest(),
        }
        for name, content in files.items()
    }
    dashed = f"{date[:4]}-{date[4:6]}-{date[6:]} 15:04:06"
    table = {f"{wiki}-{date}-page.sql.gz": {"size": 5, "url": "/", "md5": "0" * 32, "sha1": "0" * 40}}
    content: dict[str, Any] = {
        "jobs": {
            "pagetable": {"status": "done", "updated": dashed, "files": table},
            "articlesmultistreamdump": {"status": status, "updated": dashed, "files": entries},
            "metahistory7zdump": {"status": "waiting", "updated": ""},
        },
        "version": "0.8",
    }
    server.files |= {f"/{wiki}/{date}/{name}": content for name, content in files.items()}
    server.files[f"/{wiki}/{date}/dumpstatus.json"] = json.dumps(content).encode()
    runs = sorted(found[1] for path in server.files if (found := re.fullmatch(rf"/{wiki}/(\d+)/dumpstatus.json", path)))
    lines = "".join(f'<a href="{run}/">{run}/</a>              21-Aug-2026 02:04       -\n' for run in runs)
    server.files[f"/{wiki}/"] = (
        f"<html>\n<head><title>Index of /{wiki}/</title></head>\n<body>\n<h1>Index of /{wiki}/</h1><hr><pre>"
        f'<a href="../">../</a>\n{lines}<a href="latest/">latest/</a>\n</pre><hr></body></html>\n'
    ).encode()
    return content


def in_parts(dump: bytes, index: bytes, stem: str, num_parts: int = 2) -> dict[str, bytes]:
    """A multistream dump and its index, cut between streams as the large wikis' are: file name -> content.

    Args:
        stem: `ltgwiki-20261101-pages-articles-multistream`.
    """
    lines = [line.split(":", 2) for line in bz2.decompress(index).decode("utf-8").splitlines()]
    heads = sorted({int(offset) for offset, _, _ in lines})
    end = dump.rindex(b"BZh9")  # the closing tag is a stream of its own
    header, closing = dump[: heads[0]], dump[end:]
    cuts = [heads[len(heads) * number // num_parts] for number in range(num_parts)] + [end]
    files: dict[str, bytes] = {}
    for number, (start, stop) in enumerate(pairwise(cuts), start=1):
        own = [(int(offset) - start + len(header), page, title) for offset, page, title in lines]
        own = [line for line in own if len(header) <= line[0] < stop - start + len(header)]
        span = f"p{own[0][1]}p{own[-1][1]}"
        files[f"{stem}{number}.xml-{span}.bz2"] = header + dump[start:stop] + closing
        listing = "".join(f"{offset}:{page}:{title}\n" for offset, page, title in own)
        files[f"{stem}-index{number}.txt-{span}.bz2"] = bz2.compress(listing.encode("utf-8"))
    return files
