"""Repeat what a network may interrupt: when to try again, how long to wait, when to give up.

attempt ─ no answer, connection lost, 5xx ─> notify, wait 1, 2, 4, 8, 16 s ─> attempt ─ ... ─> NetworkError
   └─ an error that waiting does not solve (404, an invalid certificate) is raised at once
"""

import errno
import logging
import socket
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
"""Seconds that a server may ask us to wait in total."""
CONNECTION_ERRORS = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
"""The exceptions of a connection that fails, before or after the headers."""
_OFFLINE_ERRNOS = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
_MAX_FAILURES_OFFLINE = 1
_MIN_PROGRESS_BYTES = 1 << 20
"""Bytes of progress after which earlier failures no longer count: a connection may break after every gigabyte."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try again when a server fails."""

    delays: tuple[float, ...] = (1, 2, 4, 8, 16)
    """Seconds to wait before each new attempt; as many attempts as delays."""
    stall_timeout: float = 60
    """Seconds without data after which a connection counts as broken."""
    sleep: Callable[[float], None] = field(default=time.sleep)
    notify: Callable[[str], None] = field(default=logging.getLogger(__name__).warning)
    """Called with a line before each wait, and before the next mirror is tried. By default the line is logged."""


class NotFoundError(NetworkError):
    """The server answered that the file does not exist."""


class OtherVersionError(NetworkError):
    """The server has a file of another size than the expected one."""


class RetryableError(Exception):
    """A failure that a new attempt may solve; `wait` is the number of seconds that the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def retry(
    url: str,
    attempt: Callable[[], T],
    retry_policy: RetryPolicy,
    *,
    progress: Callable[[], int] = lambda: 0,
    gives_up_offline: bool = False,
    cure: str = "check the network and run the same command again",
) -> T:
    """Run `attempt` until it succeeds, or until it fails once more than there are delays without progress in between.

    Args:
        progress: returns the largest number of bytes received so far.
        gives_up_offline: whether to try only once more where this machine has no network or the name has no address.

    Raises:
        NetworkError: the last failure, with `cure`; or a failure that waiting does not solve.
    """
    failures, best_progress, requested_wait = 0, progress(), 0.0
    server = host(url)
    while True:
        wait: float | None = None
        max_failures = len(retry_policy.delays)
        try:
            return attempt()
        except RetryableError as error:
            what, wait = f"{server}: {error}", error.wait
        except CONNECTION_ERRORS as error:
            innermost = _innermost(error)
            if isinstance(innermost, ssl.SSLCertVerificationError):
                why = innermost.verify_message
                raise NetworkError(
                    f"{server}: the certificate of the server is not trusted ({why})", "check the clock and the proxy"
                ) from error
            what = f"no answer from {server} ({_in_short(innermost)})"
            if gives_up_offline and _is_offline(innermost):
                max_failures = min(max_failures, _MAX_FAILURES_OFFLINE)
        except (requests.exceptions.RequestException, ValueError) as error:
            why = _in_short(_innermost(error))
            raise NetworkError(f"{url}: {why}", "check corpus.source.mirrors and CHARLM_MIRROR") from error
        except OSError as error:  # requests finds no certificates where REQUESTS_CA_BUNDLE says that they are
            cure = "check the settings of the network, such as REQUESTS_CA_BUNDLE and HTTPS_PROXY"
            raise NetworkError(f"{server}: {_in_short(error)}", cure) from error
        if progress() - best_progress >= _MIN_PROGRESS_BYTES:
            failures, best_progress, requested_wait = 0, progress(), 0.0
        if failures >= max_failures:
            raise NetworkError(f"{what}, {failures + 1} times", cure)
        requested_wait += wait or 0
        if requested_wait > MAX_WAIT:
            raise NetworkError(f"{what}, for more than {MAX_WAIT:,.0f} seconds", "run the same command again later")
        wait = retry_policy.delays[failures] if wait is None else wait
        failures += 1
        retry_policy.notify(f"{what}; trying again in {wait:,.3g} s, {failures} of {max_failures}")
        retry_policy.sleep(wait)


def try_mirrors(urls: Sequence[str], fetch: Callable[[str], T], retry_policy: RetryPolicy) -> T:
    """Return the result of `fetch` for the first URL with which it succeeds.

    Raises:
        NotFoundError: every server answered that the file does not exist.
        NetworkError: `fetch` failed with every URL, for another reason.
    """
    failure: NetworkError | None = None
    for number, url in enumerate(urls, start=1):
        try:
            return fetch(url)
        except NetworkError as error:
            failure = failure if isinstance(error, NotFoundError) and failure else error
            if number < len(urls):
                retry_policy.notify(f"{error.what}; trying {host(urls[number])} next")
    raise failure or NetworkError("no mirror is set", "set corpus.source.mirrors or CHARLM_MIRROR")


def host(url: str) -> str:
    """Return the host and port of a URL, without name and password; a URL without a host is returned unchanged."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url


def _is_offline(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) or getattr(error, "errno", None) in _OFFLINE_ERRNOS


def _innermost(error: BaseException) -> BaseException:
    """Return the exception at the end of a chain of wrapped exceptions."""
    while isinstance(cause := error.__cause__ or error.__context__, BaseException):
        error = cause
    return error


def _in_short(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]
