"""Where the server listens, and whom it lets in there.

ServerOptions ──checked──> AccessRules          ServerOptions ──bind──> socket ──url_of──> http://127.0.0.1:8000
"""

import errno
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.errors import OptionError
from charlm.serving.access import LOOPBACK_NAMES, AccessRules, urlsplit_host

_LOOPBACK_ADDRESSES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the server is reached, by whom, and how it answers many.

    Raises:
        OptionError: others than this machine could reach it without a key, or a value has a wrong form.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free one."""
    api_key: str | None = None
    allowed_origins: Sequence[str] = ()
    opens_browser: bool = False
    is_deterministic: bool = False
    """Whether a text is the same, bit for bit, whoever else asks."""

    def __post_init__(self) -> None:
        if not self._is_local and self.api_key is None:
            raise OptionError(
                "{host} {value} can be reached from other machines, and there is no key",
                "add {api_key} with a secret, or leave {host} out",
                value=self.host,
            )
        if self.api_key is not None and not re.fullmatch(r"[!-~]+", self.api_key):
            raise OptionError("{api_key} has a character that headers cannot have", "use ASCII, without blanks")
        for origin in self.allowed_origins:
            if urlsplit_host(origin) is None:
                raise OptionError(
                    "{allow_origin} {value} is no origin", "give one such as https://example.org", value=origin
                )

    @property
    def _is_local(self) -> bool:
        return self.host in _LOOPBACK_ADDRESSES

    @property
    def access_rules(self) -> AccessRules:
        names = LOOPBACK_NAMES if self._is_local else None
        return AccessRules(
            host_names=names, api_key=self.api_key, allowed_origins=tuple(map(_as_browsers_send, self.allowed_origins))
        )


def _as_browsers_send(origin: str) -> str:
    """An origin in lower case, without the port that its scheme implies."""
    origin = origin.lower()
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


def bind(options: ServerOptions) -> socket.socket:
    """Return a socket of the server's address, which does not listen yet.

    Raises:
        OptionError: the port is in use or needs rights, or the address is not one of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise _no_address(options) from error
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else the port stays taken for a minute
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _bind_error(options, error) from error
    return bound


def _bind_error(options: ServerOptions, error: OSError) -> OptionError:
    if error.errno == errno.EADDRINUSE:
        what, cure = "{port} {value} is in use", "choose another {port}, or {port} 0 for any free one"
        return OptionError(what, cure, value=options.port)
    if error.errno == errno.EACCES:
        return OptionError("{port} {value} needs the rights of root", "choose 1024 or above", value=options.port)
    return _no_address(options)


def _no_address(options: ServerOptions) -> OptionError:
    what = "{host} {value} is no address of this machine"
    return OptionError(what, "leave {host} out, or give one such as 0.0.0.0", value=options.host)


def url_of(bound: socket.socket, host: str) -> str:
    """The URL of a socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}"
