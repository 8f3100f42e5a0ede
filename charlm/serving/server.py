"""The life of the server and its end.

bound socket, models ──> listen ──on_ready(URL)──> answer ──SIGINT, SIGTERM──> end all texts, close ──> StoppedError
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

import torch
import uvicorn

from charlm.errors import StoppedError
from charlm.printable import one_line
from charlm.serving.address import ServerOptions, url_of
from charlm.serving.application import build_application
from charlm.serving.connection import Connection
from charlm.serving.engine import BatchEngine, Engine
from charlm.serving.limits import LIMITS
from charlm.serving.served_models import ServedModels

_GRACE_SECONDS = 5


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
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))  # a step would wait for the thread that answers
    engine = BatchEngine(LIMITS, is_deterministic=options.is_deterministic)
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
