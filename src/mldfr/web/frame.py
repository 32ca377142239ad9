"""What all apps of the server share: limits and headers before them, errors in one shape, the files of their pages."""

import mimetypes
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from mldfr.web.errors import WebError, add_error_handlers
from mldfr.web.limits import HeadAsGet, RequestLimits, Safeguard, SameOrigin
from mldfr.web.schemas import ErrorAnswer, Health
from mldfr.web.settings import Settings

STATIC = Path(__file__).parent / "static"

Responses = dict[int | str, dict[str, Any]]

ERRORS = {
    400: "The request cannot be read.",
    403: "It comes from another website's page.",
    404: "There is none of this name.",
    408: "It arrived too slowly.",
    409: "What is there has changed meanwhile.",
    413: "It is too large.",
    415: "It is not a picture of a known type.",
    421: "The Host header names another server.",
    422: "A value is out of its range, or the picture cannot be used.",
    429: "Too many requests at once; `Retry-After` says when to come again.",
    500: "The server failed.",
    503: "Too many connections, or the model did not answer in time; `Retry-After` says when to come again.",
    507: "It cannot be written to the disk.",
}
COMMON = (400, 421, 500, 503)
UPLOAD = (403, 408, 413, 422, 429, *COMMON)


def framed(
    routers: Iterable[APIRouter],
    settings: Settings,
    *,
    page: str,
    described: Iterable[type[BaseModel]],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """An app of these routers, with a page at `/`.

    Args:
        routers: Its questions.
        settings: Limits, and the names that the server answers to.
        page: The page's file in `static`.
        described: Shapes of bodies that routes read by themselves, for OpenAPI.
        lifespan: What is done at its beginning and end.
    """
    app = FastAPI(
        title="mldfr",
        version=version("mldfr"),
        description="Pictures in; classes, score maps and boxes out. Errors have one shape, see `ErrorAnswer`.",
        # The usual pages of documentation load scripts from elsewhere; /openapi.json stays.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    add_error_handlers(app)
    for router in (*routers, _page(page)):
        app.include_router(router)
    # Some systems call scripts plain text, and with nosniff a browser would not run them then.
    mimetypes.add_type("text/javascript", ".js")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(RequestLimits, settings=settings)
    app.add_middleware(SameOrigin, settings=settings)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Safeguard)  # added last: the outermost
    for model in described:
        _describe(app, model)
    return app


def _describe(app: FastAPI, model: type[BaseModel]) -> None:
    """Add the shape of a body that a route reads by itself to OpenAPI, which the app makes once."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    app.openapi()["components"]["schemas"] |= {**schema.pop("$defs", {}), model.__name__: schema}


def errors(*statuses: int) -> Responses:
    """What OpenAPI says of these answers."""
    return {status: {"model": ErrorAnswer, "description": ERRORS[status]} for status in statuses}


async def body_of(request: Request) -> bytes:
    """All that a client sends."""
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise WebError(499, "client_gone", "The client has gone.") from error


def asked(model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a route that reads a body of this shape by itself."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    return {"requestBody": {"required": True, "content": content}}


def _page(page: str) -> APIRouter:
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(STATIC / page)

    @router.get("/healthz", summary="Is the server there?", responses=errors(*COMMON))
    async def health() -> Health:
        return Health(status="ok")

    return router
