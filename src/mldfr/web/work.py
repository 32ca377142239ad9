"""One thread for the model: PyTorch uses all cores for one picture, so more threads would only wait for each other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Request

from mldfr.web.errors import WebError

R = TypeVar("R")


class Worker:
    """A thread that does one thing after the other.

    How many things can wait is bounded by `RequestLimits`, through which every upload comes.

    Args:
        seconds: How long a caller waits before it is told that there will be no answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pool = _thread()

    async def run(self, request: Request, job: Callable[[], R]) -> R:
        """Wait for the thread to do a job; one whose client has gone before it began is never done.

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
        """Let nothing that waits begin; an app that is started again has a new thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = _thread()


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="mldfr-model")


async def _gone(request: Request) -> None:
    """Wait until the client hangs up; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
