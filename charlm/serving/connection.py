"""A connection of the server, which does not wait for ever for a client that says nothing, or takes nothing."""

import asyncio
from typing import ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from charlm.serving.limits import LIMITS

_NUM_SPARE = 64  # connections that are still told that there are too many


class Connection(H11Protocol):
    """uvicorn's connection, with a time for each head of a request to arrive and for each answer to be taken, and a
    bound on open connections.

    uvicorn itself answers requests beyond `limit_concurrency` with 503, but keeps silent connections, and those whose
    client does not read.
    """

    head_seconds: ClassVar[float] = LIMITS.head_seconds
    write_seconds: ClassVar[float] = LIMITS.write_seconds
    max_open: ClassVar[int] = LIMITS.connections + _NUM_SPARE
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_open:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # writing is paused as long as anything is left to send
        self._restart_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._restart_head_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().resume_writing()

    def _restart_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(self.head_seconds, self._close_if_silent)

    def _close_if_silent(self) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None until the first head is complete
        is_waiting = cycle is None or cycle.response_complete
        if is_waiting and not self.transport.is_closing():
            self.transport.close()
