"""Scenarios of connections that break, of servers that are busy or broken, and of answers that are not a dump."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.fault_server import answer, drop_after, redirect, reset_after, stall_after, without
from tests.rare_faults import chunked, no_answer, raw, silence, stall_of_a_range, trickle
from tests.text.wikimedia.scenarios import (
    AGAIN,
    ALL_WAITS,
    CONTENT,
    HTML,
    LATER,
    LOGIN,
    LONG,
    MD5,
    NO_HASH,
    OTHER_MIRROR,
    PATH,
    SIZE,
    Scenario,
)


def in_the_future(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


CONNECTIONS = [
    # nothing is wrong
    Scenario("all well"),
    Scenario("all well, by MD5", hashes={"sha1": None, "md5": MD5}),
    Scenario("all well, nothing known", size=False, hashes=NO_HASH),
    Scenario("all well in chunks, nothing known", [chunked(CONTENT)], size=False, hashes=NO_HASH),
    Scenario("all well, no length but a hash", [without("Content-Length")], size=False),
    # drops, resets, silence
    Scenario("drop", [drop_after(100_000)], requests=2, waits=[1]),
    Scenario("drop, size unknown", [drop_after(100_000)], requests=2, waits=[1], size=False, hashes=NO_HASH),
    Scenario("drop after the headers", [drop_after(0)], requests=2, waits=[1]),
    Scenario("drop before the last byte", [drop_after(SIZE - 1)], requests=2, waits=[1]),
    Scenario("drop within the first bytes", [drop_after(2), drop_after(2)], requests=3, waits=[1, 2], twice=4),
    Scenario("drop instead of an answer", [no_answer], requests=2, waits=[1]),
    Scenario("drop within the headers", [raw(b"HTTP/1.1 200 OK\r\nContent-Le")], requests=2, waits=[1], twice=SIZE),
    Scenario("no HTTP", [raw(b"220 smtp.example ready\r\n")], requests=2, waits=[1]),
    Scenario("cut in chunks", [chunked(CONTENT[:99_000], cut=True)], requests=2, waits=[1], size=False, hashes=NO_HASH),
    Scenario("too few chunks", [chunked(CONTENT[:99_000])], requests=2, waits=[1]),
    Scenario("reset at once", [reset_after(0)], requests=2, waits=[1]),
    Scenario("resets", [reset_after(70_000)] * 3, requests=4, waits=[1, 2, 4], twice=3 << 20),
    Scenario("five drops", [drop_after(20_000)] * 5, requests=6, waits=ALL_WAITS),
    Scenario(
        "six drops", [drop_after(20_000)] * 6, f"{{host}}: the connection broke off, 6 times; {AGAIN}",
        requests=6, waits=ALL_WAITS, kept=120_000,
    ),
    Scenario(
        "six drops instead of an answer", [no_answer] * 6,
        f"no answer from {{host}} (Remote end closed connection without response), 6 times; {AGAIN}",
        requests=6, waits=ALL_WAITS,
    ),
    Scenario(
        "seven drops of a long file", [drop_after(5 << 18)] * 7, requests=8, waits=[1] * 7, content=LONG,
        hashes={"sha1": hashlib.sha1(LONG).hexdigest(), "md5": None},
    ),
    Scenario("silence in the middle", [stall_after(70_000)], requests=2, waits=[1]),
    Scenario("silence before the answer", [silence], requests=2, waits=[1]),
    Scenario("a byte now and then", [trickle], requests=2, waits=[1], twice=100),
    Scenario(
        "silence for ever", [silence] * 6, f"no answer from {{host}} (timed out), 6 times; {AGAIN}",
        requests=6, waits=ALL_WAITS,
    ),
    Scenario(
        "silence in the middle for ever", [stall_after(9000), *[stall_of_a_range] * 5],
        f"{{host}}: no data for 0.3 seconds, 6 times; {AGAIN}", requests=6, waits=ALL_WAITS, kept=9000,
    ),
    Scenario(
        "a byte now and then for ever", [trickle] * 6,
        f"{{host}}: slower than 1,024 bytes a second, 6 times; {AGAIN}", requests=6, waits=ALL_WAITS, kept=-1,
    ),
    # what a busy or broken server answers
    Scenario("500", [answer(500)], requests=2, waits=[1]),
    Scenario("502, 504, 408", [answer(502), answer(504), answer(408)], requests=4, waits=[1, 2, 4]),
    Scenario("500 in the middle", [drop_after(9000), answer(500)], requests=3, waits=[1, 2]),
    Scenario(
        "500 for ever", [answer(500)] * 6, f"{{host}}: the server failed (500), 6 times; {AGAIN}",
        requests=6, waits=ALL_WAITS,
    ),
    Scenario("503", [answer(503)], requests=2, waits=[1]),
    Scenario("429 for 7 s", [answer(429, Retry_After="7")], requests=2, waits=[7]),
    Scenario("503 until a date", [answer(503, Retry_After=in_the_future(-100))], requests=2, waits=[0]),
    Scenario("503 until some time", [answer(503, Retry_After="soon")], requests=2, waits=[1]),
    Scenario(
        "429 for 601 s", [answer(429, Retry_After="601")],
        "{url} asks to wait 601 seconds (429); run the same command again after that time",
    ),
    Scenario(
        "429 for 400 s, twice", [answer(429, Retry_After="400")] * 2,
        "{host}: the server is busy (429), for more than 600 seconds; run the same command again later",
        requests=2, waits=[400],
    ),
    # answers that waiting does not change
    Scenario("404", [answer(404)], "{url} does not exist (404); check language, wiki and date"),
    Scenario("410", [answer(410)], "{url} does not exist (410); check language, wiki and date"),
    Scenario(
        "403", [answer(403)],
        "{url} refuses programs that do not identify their user (403); "
        "set corpus.source.contact or CHARLM_CONTACT to your e-mail address or home page",
    ),
    Scenario("401", [answer(401)], "{url}: unexpected status 401; " + LATER),
    Scenario("204", [answer(204)], "{url}: unexpected status 204; " + LATER),
    Scenario("416 to no range", [answer(416)], "{url}: unexpected status 416; " + LATER),
    Scenario("206 to no range", [answer(206)], "{url}: unexpected status 206; " + LATER),
    Scenario(
        "a login page", [answer(200, HTML, Content_Type="text/html")],
        LOGIN,
    ),
    Scenario(
        "a login page that does not say so, size unknown", [answer(200, HTML)],
        LOGIN, size=False, hashes=NO_HASH,
    ),
    Scenario(
        "a login page by redirect", [redirect("/login"), answer(200, HTML, Content_Type="text/html")],
        LOGIN, requests=2,
    ),
    Scenario(
        "a login page in the middle", [drop_after(90_000), answer(200, HTML, Content_Type="text/html")],
        LOGIN,
        requests=2, waits=[1], kept=90_000,
    ),
    Scenario(
        "a login page of unknown length in the middle", [drop_after(90_000), chunked(HTML)],
        LOGIN,
        requests=2, waits=[1], twice=len(HTML), kept=90_000,
    ),
    Scenario(
        "gzip", [answer(200, b"\x1f\x8b" + bytes(SIZE - 2), Content_Encoding="gzip")],
        LOGIN,
    ),
    # redirects
    Scenario("five redirects", [redirect(PATH)] * 5, requests=6),
    Scenario("six redirects", [redirect(PATH)] * 6, "{url}: more than 5 redirects; " + OTHER_MIRROR, requests=6),
    Scenario(
        "a redirect to nowhere", [answer(302)] * 6, "{url}: more than 5 redirects; " + OTHER_MIRROR, requests=6
    ),
    Scenario("a redirect in the middle", [drop_after(9000), redirect(PATH)], requests=3, waits=[1]),
    Scenario(
        "a redirect to another protocol", [redirect("ftp://127.0.0.1/file.bz2")],
        "{url}: No connection adapters were found for 'ftp://127.0.0.1/file.bz2'; "
        "check corpus.source.mirrors and CHARLM_MIRROR",
    ),
]  # fmt: skip
