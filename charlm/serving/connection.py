"""A connection of the server, which does not wait for ever for a client that says nothing."""

import asyncio
from typing import ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from charlm.serving.limits import LIMITS

_NUM_SPARE = 64  # connections that are still told that there are too many


class Connection(H11Protocol):
    """uvicorn's connection, with a time for the head of the first request, and a bound on open connections.

    uvicorn itself answers requests beyond `limit_concurrency` with 503, but keeps silent connections.
    """

    head_seconds: ClassVar[float] = LIMITS.head_seconds
    max_open: ClassVar[int] = LIMITS.connections + _NUM_SPARE
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_open:
            transport.abort()
            return
        self._waiting = self.loop.call_later(self.head_seconds, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        request = cast("object | None", self.scope)  # None until the first head is complete
        if request is None and not self.transport.is_closing():
            self.transport.close()
