"""An attempt that a network may spoil -> its result, after as many tries as make sense; every wait is told.

attempt ─ no answer, broken off, 5xx ─> tell, wait 1, 2, 4, 8, 16 s ─> attempt ─ ... ─> NetworkError
   └─ what no waiting mends (404, a wrong certificate) is an error at once
"""

import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import requests
import urllib3

from charlm.errors import NetworkError

T = TypeVar("T")

MAX_WAIT = 600.0
"""Seconds that a server may ask us to wait, all in all."""
CONNECTION_ERRORS = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
"""What a connection that fails raises, before or after the headers."""
_MIN_PROGRESS_BYTES = 1 << 20
"""Bytes after which earlier failures are forgotten: a line that drops every gigabyte is slow, not dead."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on when a server fails."""

    delays: tuple[float, ...] = (1, 2, 4, 8, 16)
    """Seconds to wait before each new attempt."""
    stall_timeout: float = 60
    """Seconds without data until a connection counts as broken."""
    sleep: Callable[[float], None] = field(default=time.sleep)
    notify: Callable[[str], None] = field(default=logging.getLogger(__name__).warning)
    """Gets a line before each wait, and where a mirror is given up; stderr, unless logging is set up otherwise."""


class NotFoundError(NetworkError):
    """The server answered, and has no such file."""


class RetryableError(Exception):
    """What went wrong this time, and how long the server asks to wait."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def retry(
    url: str,
    attempt: Callable[[], T],
    retry_policy: RetryPolicy,
    *,
    progress: Callable[[], int] = lambda: 0,
    cure: str = "check the network and run the same command again",
) -> T:
    """Run `attempt` until it succeeds, or has failed once more than there are delays without lasting progress.

    Args:
        progress: the most bytes there have ever been.
    """
    failures, best_progress, requested_wait = 0, progress(), 0.0
    server = host(url)
    while True:
        wait: float | None = None
        try:
            return attempt()
        except RetryableError as error:
            what, wait = f"{server}: {error}", error.wait
        except CONNECTION_ERRORS as error:
            innermost = _innermost(error)
            if isinstance(innermost, ssl.SSLCertVerificationError):
                why = innermost.verify_message
                raise NetworkError(
                    f"{server}: no trust in the server's certificate ({why})", "check the clock and the proxy"
                ) from error
            what = f"no answer from {server} ({_in_short(innermost)})"
        except (requests.exceptions.RequestException, ValueError) as error:
            why = _in_short(_innermost(error))
            raise NetworkError(f"{url}: {why}", "check corpus.source.mirrors and CHARLM_MIRROR") from error
        if progress() - best_progress >= _MIN_PROGRESS_BYTES:
            failures, best_progress, requested_wait = 0, progress(), 0.0
        if failures == len(retry_policy.delays):
            raise NetworkError(f"{what}, {failures + 1} times", cure)
        requested_wait += wait or 0
        if requested_wait > MAX_WAIT:
            raise NetworkError(f"{what}, for more than {MAX_WAIT:,.0f} seconds", "run it again later")
        wait = retry_policy.delays[failures] if wait is None else wait
        failures += 1
        retry_policy.notify(f"{what}; trying again in {wait:,.3g} s, {failures} of {len(retry_policy.delays)}")
        retry_policy.sleep(wait)


def try_mirrors(urls: Sequence[str], fetch: Callable[[str], T], retry_policy: RetryPolicy) -> T:
    """What the first of `urls` gives that gives anything.

    Raises:
        NotFoundError: every server answered that there is no such thing.
        NetworkError: otherwise, where none gave it.
    """
    failure: NetworkError | None = None
    for number, url in enumerate(urls, start=1):
        try:
            return fetch(url)
        except NetworkError as error:
            failure = failure if isinstance(error, NotFoundError) and failure else error
            if number < len(urls):
                retry_policy.notify(f"{error.what}; going on with {host(urls[number])}")
    raise failure or NetworkError("there is no mirror to ask", "set corpus.source.mirrors")


def host(url: str) -> str:
    """Whom a URL asks, without name and password; also of one that is damaged."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url


def _innermost(error: BaseException) -> BaseException:
    """The reason at the end of a chain of wrapped exceptions."""
    while isinstance(cause := error.__cause__ or error.__context__, BaseException):
        error = cause
    return error


def _in_short(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]
