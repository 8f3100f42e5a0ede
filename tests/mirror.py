"""A small wiki, and a local server that serves its dump as dumps.wikimedia.org would."""

import bz2
import hashlib
import json
import random

from tests.fault_server import FaultServer

DATE = "20261101"
_WORDS = (
    "the river town was founded in year and its people speak a language of their own which many of them write "
    "at school while songs are sung by old singers near lake forest church market every spring or autumn"
).split()


def small_dump(wiki: str, num_pages: int = 60, seed: int = 0) -> bytes:
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
            text = "#REDIRECT [[Page 1]]" if redirect else f"'''Page {number}''' – {prose}.\n\n== History ==\n{prose}."
            pages.append(
                f"<page><title>Page {number}</title><ns>0</ns><id>{number + 1}</id>{redirect}<revision><id>1</id>"
                f'<model>wikitext</model><text xml:space="preserve">{text}</text></revision></page>\n'
            )
        streams.append(bz2.compress("".join(pages).encode()))
    return b"".join([*streams, bz2.compress(b"</mediawiki>\n")])


def serve_wiki(server: FaultServer, wiki: str, dump: bytes, date: str = DATE) -> None:
    """Put the dump on the server with its status file and the listing of its dates."""
    name = f"{wiki}-{date}-pages-articles-multistream.xml.bz2"
    path = f"/{wiki}/{date}/{name}"
    sha1, md5 = hashlib.sha1(dump).hexdigest(), hashlib.md5(dump).hexdigest()
    entry = {"size": len(dump), "url": path, "md5": md5, "sha1": sha1}
    status = {"jobs": {"articlesmultistreamdump": {"status": "done", "files": {name: entry}}}, "version": "0.8"}
    server.files[path] = dump
    server.files[f"/{wiki}/{date}/dumpstatus.json"] = json.dumps(status).encode()
    server.files[f"/{wiki}/"] = f'<a href="{date}/">{date}/</a>\n'.encode()
