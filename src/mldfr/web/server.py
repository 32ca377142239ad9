"""The server's connections: one over which no whole request comes is closed, so that idle ones cannot use them up."""

import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 100


class Connection(H11Protocol):
    """A connection that is given up when the head of a request takes too long; uvicorn's own would wait for ever."""

    head_seconds = 20.0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def handle_events(self) -> None:
        """Take what has come; a request that has begun is watched by `RequestLimits`."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._wait_for_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._watch = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._watch is not None:
            self._watch.cancel()


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server that keeps connections in bounds and says nothing of itself."""
    config = uvicorn.Config(
        app,
        http=Connection,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
