"""One line for each request on stderr: what was asked, how it was answered, and how long it took; no text of anybody.

12:00:01 POST /v1/completions 200 0.35 s lstm-ltg 12+34 tokens
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charlm.formatting import shorten
from charlm.printable import one_line

CLIENT_GONE = 499
"""Not a status of HTTP, but what servers log where a client did not wait."""
_MAX_PATH = 100  # characters
_KEY = "notes"


@dataclass
class RequestNotes:
    """What a request's line says beside its status."""

    about: str = ""
    """The model and the numbers of tokens."""
    error: str = ""
    status: int = CLIENT_GONE


def notes_of(scope: Scope) -> RequestNotes:
    """The notes of a request, which whoever answers it may fill in."""
    return scope.setdefault("state", {}).setdefault(_KEY, RequestNotes())


class RequestLog:
    """Writes the lines."""

    def __init__(self, app: ASGIApp, write_line: Callable[[str], None]) -> None:
        self._app = app
        self._write_line = write_line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes, began = notes_of(scope), time.monotonic()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                notes.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:  # noqa: BLE001 - the client was told already; the next request is another one
            notes.error = notes.error or _describe(error)
        finally:
            seconds = time.monotonic() - began
            self._write_line(_line(scope, notes, seconds))


def _line(scope: Scope, notes: RequestNotes, seconds: float) -> str:
    path = shorten(one_line(scope["path"]), _MAX_PATH)
    parts = [time.strftime("%H:%M:%S"), scope["method"], path, str(notes.status), f"{seconds:.2f} s"]
    return " ".join(filter(None, [*parts, notes.about, one_line(notes.error)]))


def _describe(error: BaseException) -> str:
    """The kind of an error, and the line of code that raised it."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        where = f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"({type(error).__name__}: {error}{where})"
