"""Threads for the model: as many as it can look at pictures at the same time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Request

from mldfr.web.errors import WebError

R = TypeVar("R")


class Workers:
    """Threads that do one thing after the other each.

    How many things can wait is bounded by `RequestLimits`, through which every upload comes.

    Args:
        count: How many threads there are.
        seconds: How long a caller waits before it is told that there will be no answer.
    """

    def __init__(self, count: int, *, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._pool = self._threads()

    async def run(self, request: Request, job: Callable[[], R]) -> R:
        """Wait for a thread to do a job; one whose client has gone before it began is never done.

        Raises:
            WebError: 503 when it took too long; the thread goes on if it has begun, but nobody waits for it.
        """
        answer = asyncio.wrap_future(self._pool.submit(job))
        gone: asyncio.Future[None] = asyncio.ensure_future(_gone(request))
        try:
            waiting: set[asyncio.Future[Any]] = {answer, gone}
            await asyncio.wait(waiting, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if gone.done():
                raise WebError(499, "client_gone", "The client has gone.")
            message = f"The model did not answer within {self._seconds:g} seconds. Try again later."
            raise WebError(503, "too_slow", message, headers={"Retry-After": "10"})
        finally:
            gone.cancel()
            answer.cancel()

    def close(self) -> None:
        """Let nothing that waits begin; an app that is started again has new threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._threads()

    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._count, thread_name_prefix="mldfr-model")


async def _gone(request: Request) -> None:
    """Wait until the client hangs up; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
