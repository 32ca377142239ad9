"""What stands before the app: who may ask, how much may come and how fast, and headers that bind the browser."""

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mldfr.web.errors import WebError, error_response
from mldfr.web.settings import Settings, is_address

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
SAFE_METHODS = ("GET", "HEAD")

log = logging.getLogger("mldfr.web")


class Safeguard:
    """The outermost layer: security headers on every answer, and no traces where the code fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except WebError as error:
            response = error_response(error.status_code, error.code, error.detail, headers=error.headers)
            await response(scope, receive, send_with_headers)
        except Exception:
            log.exception("a request failed: %s %s", scope["method"], scope["path"])
            if not started:
                response = error_response(500, "internal_error", "The server failed; its log says why.")
                await response(scope, receive, send_with_headers)


def _add_headers(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    # Files of the page are asked for again and answered with 304; pictures and boxes are never kept.
    headers["Cache-Control"] = "no-cache" if path == "/" or path.startswith("/static/") else "no-store"


class HeadAsGet:
    """HEAD is answered as GET is, without the body; FastAPI's routes would refuse it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


class SameOrigin:
    """Only this server's own page, and programs that are no browsers, may ask.

    The Host header must be a name of this server: otherwise a website could give its own name this address (DNS
    rebinding) and read the answers. What changes nothing on the server but takes its time, every request that is not
    GET, must not come from another website's page.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            self._check(scope["method"], Headers(scope=scope))
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        name = _host_name(host)
        if not (name in self._settings.host_names or (self._settings.any_address and is_address(name))):
            raise WebError(421, "unknown_host", "This server does not answer to that name; see --allow-host.")
        if method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if (origin is not None and _place(origin) != host.lower()) or headers.get("sec-fetch-site", "none") not in (
            "same-origin",
            "none",
        ):
            raise WebError(403, "cross_origin", "Requests from the pages of other websites are refused.")


def _place(origin: str) -> str:
    """Host and port of an Origin header; the empty text for one that cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """The name in a Host header, without the port; the empty text for one that cannot be read."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


class RequestLimits:
    """How many uploads at once, how large, and how slow: checked before and while a body arrives."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        upload = _Upload(receive, self._settings)
        if self._in_progress >= self._settings.max_requests:
            await upload.discard()
            raise WebError(429, "busy", "Too many pictures are waiting. Try again.", headers={"Retry-After": "1"})
        self._in_progress += 1
        try:
            await upload.check_announced(Headers(scope=scope).get("content-length"))
            await self._app(scope, upload.receive, send)
        finally:
            self._in_progress -= 1


class _Upload:
    """The body of one request as it arrives."""

    def __init__(self, receive: Receive, settings: Settings) -> None:
        self._receive = receive
        self._settings = settings
        self._deadline = monotonic() + settings.upload_seconds
        self._seen = 0
        self._whole = False

    async def check_announced(self, length: str | None) -> None:
        """Refuse what says itself that it is too large."""
        if length is not None and length.isdecimal() and int(length) > self._settings.max_bytes:
            await self.discard()
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part of the body, or that the client has gone.

        Raises:
            WebError: 413 as soon as too much has come, 408 when it comes too slowly.
        """
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._deadline - monotonic())
        except TimeoutError as error:
            seconds = f"{self._settings.upload_seconds:g} seconds"
            raise WebError(408, "slow_upload", f"The request did not arrive within {seconds}.") from error
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._seen > self._settings.max_bytes:
            await self.discard()
            raise self._too_large()
        return message

    async def discard(self) -> None:
        """Take the rest off the line, up to a limit: a client that is still sending would not read an answer."""
        left = self._settings.max_bytes
        with suppress(TimeoutError):
            while not self._whole and left >= 0:
                message = await asyncio.wait_for(self._receive(), self._deadline - monotonic())
                left -= len(message.get("body", b""))
                self._whole = not message.get("more_body", False)

    def _too_large(self) -> WebError:
        return WebError(413, "too_large", f"A request may have at most {self._settings.max_bytes:,} bytes.")
