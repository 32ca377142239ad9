"""The server's connections: one whose client does nothing is closed, so that idle ones cannot use them up."""

import asyncio
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from starlette.formparsers import MultiPartParser
from uvicorn.protocols.http.h11_impl import H11Protocol

from mldfr.web.errors import error_response
from mldfr.web.limits import HEADERS, Safeguard
from mldfr.web.settings import Settings

CONNECTIONS = 100


CLOSE = {"Connection": "close"}
FULL = Safeguard(
    error_response(
        503, "too_many_connections", "Too many connections. Try again later.", headers={**CLOSE, "Retry-After": "1"}
    )
)
"""The app of connections beyond the limit."""


class Connection(H11Protocol):
    """A connection that is given up when its client is too slow; uvicorn's own would wait for ever.

    It is slow where the head of a request does not come, or where nothing of an answer is taken. The body of a request
    is watched by `RequestLimits`.
    """

    patience = 20.0
    """Seconds."""
    _watch: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def handle_events(self) -> None:
        """Take what has come, if there are not too many connections."""
        full = max(len(self.connections), len(self.tasks)) >= CONNECTIONS
        self.app = FULL if full else self.config.loaded_app
        super().handle_events()
        self._stop_waiting_at_work()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what was written."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._stop_waiting_at_work()

    def on_response_complete(self) -> None:
        """Wait for the client to take the answer, and for its next request."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the shape of all errors."""
        response = error_response(400, "bad_request", msg, headers={**HEADERS, **CLOSE})
        head = h11.Response(status_code=response.status_code, headers=response.raw_headers)
        for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait(self) -> None:
        self._stop_waiting()
        self._unsent = self.transport.get_write_buffer_size()
        self._watch = self.loop.call_later(self.patience, self._give_up)

    def _stop_waiting(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    def _stop_waiting_at_work(self) -> None:
        """Let the app take its time, unless the client must take something first."""
        at_work = self.cycle is not None and not self.cycle.response_complete
        if at_work and not self.flow.write_paused:
            self._stop_waiting()

    def _give_up(self) -> None:
        """End the connection; `close` would wait for the client to take what was written."""
        if 0 < self.transport.get_write_buffer_size() < self._unsent:
            self._wait()  # slow, but it takes its answer
        else:
            self.transport.abort()


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server that keeps connections in bounds and says nothing of itself."""
    # A picture within the limits stays in memory: the parser would write anything over a megabyte to a temporary file.
    MultiPartParser.spool_max_size = Settings.model_fields["max_bytes"].default
    config = uvicorn.Config(
        app,
        http=Connection,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
