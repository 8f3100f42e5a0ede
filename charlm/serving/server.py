"""The server's socket, its life and its end.

options ──check──> bind ──> load models ──> listen, print the URL ──> serve ──SIGINT, SIGTERM──> end all texts, close
"""

import asyncio
import contextlib
import errno
import os
import re
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn

from charlm.errors import OptionError, StoppedError
from charlm.printable import one_line
from charlm.serving.access import LOOPBACK_NAMES, AccessRules, urlsplit_host
from charlm.serving.application import build_application
from charlm.serving.connection import Connection
from charlm.serving.engine import Engine, RoundRobinEngine
from charlm.serving.limits import LIMITS
from charlm.serving.served_models import ServedModels

_GRACE_SECONDS = 5
_LOOPBACK_ADDRESSES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the server is reached, and by whom.

    Raises:
        OptionError: others than this machine could reach it without a key, or a value has a wrong form.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free one."""
    api_key: str | None = None
    allowed_origins: Sequence[str] = ()
    opens_browser: bool = False

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
        return AccessRules(host_names=names, api_key=self.api_key, allowed_origins=tuple(self.allowed_origins))


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


def serve(
    models: ServedModels,
    bound: socket.socket,
    options: ServerOptions,
    on_ready: Callable[[str], None],
    write_line: Callable[[str], None],
) -> None:
    """Answer requests until a signal ends the server.

    Args:
        on_ready: gets the URL once the server answers.
        write_line: gets a line for each request.

    Raises:
        StoppedError: a signal came; always.
    """
    engine = RoundRobinEngine(LIMITS)
    config = uvicorn.Config(
        build_application(models, engine, LIMITS, options.access_rules, write_line),
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=100,  # nothing: the application writes its own lines
        access_log=False,
        server_header=False,
        limit_concurrency=LIMITS.connections,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=LIMITS.connections,
    )
    url = url_of(bound, options.host)

    def announce() -> None:
        on_ready(url)
        if options.opens_browser:
            threading.Thread(target=_open_browser, args=(url, write_line), daemon=True).start()

    server = _Server(config, engine, announce, write_line)
    asyncio.run(server.serve(sockets=[bound]))
    number = server.signal_number or signal.SIGTERM
    name = signal.Signals(number).name
    raise StoppedError(number, f"the server was stopped by {name}", "run the same command to start it again")


def _open_browser(url: str, write_line: Callable[[str], None]) -> None:
    if not webbrowser.open(url):
        write_line(f"there is no browser to open; go to {url}")


class _Server(uvicorn.Server):
    """uvicorn's server, with charlm's signals: the first one ends all texts and then the server, a second one quits at
    once."""

    def __init__(
        self, config: uvicorn.Config, engine: Engine, on_ready: Callable[[], None], write_line: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._write_line = write_line
        self._engine = engine
        self._on_ready = on_ready
        self.signal_number: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._log_error)
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.close()
        await super().shutdown(sockets)

    def _log_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Write a line for what no request is to blame for, such as too many open files."""
        del loop
        self._write_line(one_line(f"{context['message']}: {context.get('exception', '')}"))

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        handled = (signal.SIGINT, signal.SIGTERM)
        before = [(number, signal.signal(number, self.handle_exit)) for number in handled]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        if self.signal_number is not None:
            os._exit(128 + sig)
        self.signal_number = sig
        self.should_exit = True
