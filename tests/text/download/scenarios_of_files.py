"""Scenarios of wrong ranges, files that change or are wrong, parts that an earlier run left, and mirrors."""

import hashlib

from tests.fault_server import answer, drop_after, etag, ignoring_range, without
from tests.rare_faults import becoming, chunked, damaged, ignoring_and_dropping, other_version, short_range
from tests.text.wikimedia.scenarios import (
    AGAIN,
    ALL_WAITS,
    CONTENT,
    CUT_SHA1,
    DAMAGED,
    HTML,
    LATER,
    MD5,
    NAME,
    NO_HASH,
    OTHER,
    OTHER_MIRROR,
    SHA1,
    SIZE,
    Scenario,
)

FILES = [
    # wrong ranges
    Scenario("200 to a Range", [drop_after(90_000), ignoring_range], requests=2, waits=[1], twice=90_000),
    Scenario(
        "200 to every Range, dropped", [ignoring_and_dropping(50_000)] * 6,
        f"{{host}}: the connection broke off, 6 times; {AGAIN}", requests=6, waits=ALL_WAITS,
        twice=250_000, kept=50_000,
    ),
    Scenario("416 in the middle", [drop_after(90_000), answer(416)], requests=3, waits=[1, 0], twice=90_000),
    Scenario(
        "206 from elsewhere", [drop_after(90_000), answer(206, CONTENT[:7], Content_Range=f"bytes 0-6/{SIZE}")],
        requests=3, waits=[1, 0], twice=90_000,
    ),
    Scenario(
        "206 of another length",
        [drop_after(90_000), answer(206, CONTENT[:7], Content_Range=f"bytes 90000-90006/{SIZE + 1}")],
        requests=3, waits=[1, 0], twice=90_000,
    ),
    Scenario(
        "206 without Content-Range", [drop_after(90_000), answer(206, CONTENT[90_000:])],
        requests=3, waits=[1, 0], twice=90_000,
    ),
    Scenario(
        "206 in nonsense units", [drop_after(90_000), answer(206, CONTENT[90_000:], Content_Range="lines 3-4/9")],
        requests=3, waits=[1, 0], twice=90_000,
    ),
    Scenario(
        "206 that stops short", [drop_after(90_000), short_range(10_000)], requests=3, waits=[1, 2],
    ),
    Scenario(
        "206 from elsewhere, again and again",
        [drop_after(90_000), answer(206, CONTENT[:7], Content_Range=f"bytes 0-6/{SIZE}")] * 2,
        "{url} changed again during the download; " + LATER,
        requests=4, waits=[1, 0, 4], twice=90_000, kept=90_000,
    ),
    # files that change
    Scenario(
        "another ETag on the same bytes", [drop_after(90_000), other_version],
        requests=3, waits=[1, 0], twice=90_000,
    ),
    Scenario(
        "another file in the middle", [drop_after(90_000), becoming(OTHER)],
        f"{NAME} is damaged: its sha1 is {hashlib.sha1(OTHER).hexdigest()} instead of {SHA1}; {DAMAGED}",
        code=3, requests=2, waits=[1], twice=90_000,
    ),
    Scenario(
        "a file that goes on changing",
        [drop_after(90_000), becoming(OTHER, drop_after(90_000)), becoming(CONTENT)],
        "{url} changed again during the download; " + LATER,
        requests=3, waits=[1, 2], twice=SIZE, kept=90_000,
    ),
    Scenario(
        "another length in the middle", [drop_after(90_000), becoming(CONTENT + b"!")],
        f"{{url}} has {SIZE + 1:,} bytes instead of {SIZE:,}; " + LATER,
        requests=2, waits=[1], kept=90_000, twice=90_000,
    ),
    Scenario("no ETag, no date", [without("ETag", "Last-Modified", limit=90_000)], requests=2, waits=[1]),
    Scenario(
        "no ETag, no date, no hash", [without("ETag", "Last-Modified", limit=90_000)], hashes=NO_HASH,
        requests=2, waits=[1], twice=90_000,
    ),
    # wrong lengths and wrong content
    Scenario(
        "too short by its length", [answer(200, b"BZh short")],
        f"{{url}} has 9 bytes instead of {SIZE:,}; " + LATER,
    ),
    Scenario(
        "longer than said", [chunked(CONTENT + b"more")],
        f"{{url}} has more than the expected {SIZE:,} bytes; " + OTHER_MIRROR,
    ),
    Scenario("empty, size unknown", [answer(200)], requests=2, waits=[1], size=False, hashes=NO_HASH),
    Scenario(
        "no length and no hash", [without("Content-Length")],
        "{url} does not state the size of the file; " + OTHER_MIRROR, size=False, hashes=NO_HASH,
    ),
    Scenario(
        "cut, no length but a hash", [without("Content-Length", limit=90_000)],
        f"{NAME} is damaged: its sha1 is {CUT_SHA1} instead of {SHA1}; {DAMAGED}",
        code=3, size=False,
    ),
    Scenario(
        "a flipped bit", [damaged], f"{NAME} is damaged: its sha1 is {{found}} instead of {SHA1}; {DAMAGED}",
        code=3,
    ),
    Scenario(
        "a flipped bit, by MD5", [damaged], f"{NAME} is damaged: its md5 is {{found}} instead of {MD5}; {DAMAGED}",
        code=3, hashes={"sha1": None, "md5": MD5},
    ),
    # the part of an earlier run
    Scenario("half is here", part=CONTENT[:100_000]),
    Scenario("half is here, size unknown", part=CONTENT[:100_000], size=False, hashes=NO_HASH),
    Scenario("all is here", part=CONTENT, requests=0),
    Scenario("all is here, size unknown", part=CONTENT, size=False, hashes=NO_HASH),
    Scenario("all is here, but damaged", part=CONTENT[:-1] + b"\0", anew=1),
    Scenario("half is here, but damaged", part=bytes(100_000), requests=2, twice=SIZE - 100_000, anew=1),
    Scenario("half of another version is here", part=OTHER[:100_000], version=etag(OTHER)),
    Scenario("half of an unknown version is here", part=OTHER[:100_000], version="", hashes=NO_HASH),
    Scenario("more than all is here", part=CONTENT + b"more"),
    # mirrors
    Scenario("404, mirror", [answer(404)], mirror=(), mirror_requests=1),
    Scenario("403, mirror", [answer(403)], mirror=(), mirror_requests=1),
    Scenario("a login page, mirror", [answer(200, HTML)], mirror=(), mirror_requests=1),
    Scenario("another length, mirror", [answer(200, b"BZh")], mirror=(), mirror_requests=1),
    Scenario("a flipped bit, mirror", [damaged], twice=SIZE, mirror=(), mirror_requests=1),
    Scenario("500 for ever, mirror", [answer(500)] * 6, requests=6, waits=ALL_WAITS, mirror=(), mirror_requests=1),
    Scenario(
        "the mirror goes on where the first died", [drop_after(90_000), *[answer(500)] * 5],
        requests=6, waits=ALL_WAITS, mirror=(), mirror_requests=1,
    ),
    Scenario(
        "the mirror has another length", [drop_after(90_000), *[answer(500)] * 5],
        f"{{mirror}} has 3 bytes instead of {SIZE:,}; " + LATER,
        requests=6, waits=ALL_WAITS, mirror=[answer(200, b"BZh")], mirror_requests=1, kept=90_000,
    ),
    Scenario(
        "the mirror has no ranges", [drop_after(90_000), *[answer(500)] * 5], requests=6, waits=ALL_WAITS,
        mirror=[ignoring_range], mirror_requests=1, twice=90_000,
    ),
    Scenario(
        "damaged everywhere", [damaged], f"{NAME} is damaged: its sha1 is {{found}} instead of {SHA1}; {DAMAGED}",
        code=3, mirror=[damaged], mirror_requests=1, twice=SIZE,
    ),
    Scenario(
        "damaged, and not on the mirror", [damaged],
        f"{NAME} is damaged: its sha1 is {{found}} instead of {SHA1}; {DAMAGED}",
        code=3, mirror=[answer(404)], mirror_requests=1,
    ),
    Scenario(
        "refused, and not on the mirror", [answer(401)],
        "{url}: unexpected status 401; " + LATER, mirror=[answer(404)], mirror_requests=1,
    ),
]  # fmt: skip
