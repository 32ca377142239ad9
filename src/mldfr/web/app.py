"""The app: a page, and the few questions that it asks."""

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, File, Form, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from mldfr.core.parallel import at_once
from mldfr.localizer.localizer import Localizer
from mldfr.web.errors import WebError, add_error_handlers, validated
from mldfr.web.exporting import Download, export
from mldfr.web.limits import HeadAsGet, RequestLimits, Safeguard, SameOrigin
from mldfr.web.locating import locate, model_answer, wanted_classes, wanted_map
from mldfr.web.model_threads import Workers
from mldfr.web.redrawing import redraw
from mldfr.web.samples import samples
from mldfr.web.schemas import (
    MAX_CLASSES,
    DrawAnswer,
    DrawRequest,
    ErrorAnswer,
    ExportRequest,
    Health,
    LocateAnswer,
    ModelAnswer,
    SampleAnswer,
)
from mldfr.web.settings import Settings

STATIC = Path(__file__).parent / "static"

Responses = dict[int | str, dict[str, Any]]

ERRORS = {
    400: "The request cannot be read.",
    403: "It comes from another website's page.",
    404: "There is none of this name.",
    408: "It arrived too slowly.",
    413: "It is too large.",
    415: "It is not a picture of a known type.",
    421: "The Host header names another server.",
    422: "A value is out of its range, or the picture cannot be used.",
    429: "Too many requests at once; `Retry-After` says when to come again.",
    500: "The server failed.",
    503: "Too many connections, or the model did not answer in time; `Retry-After` says when to come again.",
}
COMMON = (400, 421, 500, 503)
UPLOAD = (403, 408, 413, 422, 429, *COMMON)


def create_app(localizer: Localizer, settings: Settings) -> FastAPI:
    """The server of one model; nothing of a request is kept once it is answered.

    Args:
        localizer: The model, ready to be handed pictures.
        settings: Limits, and the names that the server answers to.
    """
    workers = Workers(at_once() if localizer.source.on_cores else 1, seconds=settings.answer_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        workers.close()

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
    app.include_router(_questions(localizer, settings, workers))
    app.include_router(_downloads())
    app.include_router(_page())
    # Some systems call scripts plain text, and with nosniff a browser would not run them then.
    mimetypes.add_type("text/javascript", ".js")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(RequestLimits, settings=settings)
    app.add_middleware(SameOrigin, settings=settings)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Safeguard)  # added last: the outermost
    _describe(app, ExportRequest)
    _describe(app, DrawRequest)
    return app


def _describe(app: FastAPI, model: type[BaseModel]) -> None:
    """Add the shape of a body that a route reads by itself to OpenAPI, which the app makes once."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    app.openapi()["components"]["schemas"] |= {**schema.pop("$defs"), model.__name__: schema}


def _errors(*statuses: int) -> Responses:
    return {status: {"model": ErrorAnswer, "description": ERRORS[status]} for status in statuses}


def _questions(localizer: Localizer, settings: Settings, workers: Workers) -> APIRouter:
    """What needs the model."""
    router = APIRouter()
    answer = model_answer(localizer, settings)

    @router.get("/api/model", summary="The model and its settings", responses=_errors(*COMMON))
    async def model() -> ModelAnswer:
        return answer

    @router.post("/api/locate", summary="Classes, score maps and boxes", responses=_errors(*UPLOAD, 415))
    async def locate_picture(
        request: Request,
        picture: Annotated[UploadFile, File(description="AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF or WebP.")],
        classes: Annotated[
            list[str] | None, Form(max_length=MAX_CLASSES, description="Names from `/api/model`; `top_k` is ignored.")
        ] = None,
        top_k: Annotated[int, Form(ge=1, le=MAX_CLASSES, description="How many of the most probable classes.")] = 5,
        map: Annotated[str | None, Form(description="One of `/api/model`; the model's own when left out.")] = None,
    ) -> LocateAnswer:
        """Say what is in a picture, and where, at the model's own settings, but for the map where one is named.

        With the maps a client asks `/api/boxes` for boxes at any other setting. The picture is forgotten when the
        answer is sent.
        """
        wanted = wanted_classes(answer.classes, classes or [], top_k)
        named = wanted_map(answer, map)
        content = await picture.read()
        return await workers.run(request, partial(locate, localizer, content, wanted, named, settings.max_pixels))

    return router


async def _body(request: Request) -> bytes:
    """All that a client sends."""
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise WebError(499, "client_gone", "The client has gone.") from error


def _downloads() -> APIRouter:
    """What needs no model."""
    router = APIRouter()
    files = {"application/json": {}, "application/zip": {"schema": {"type": "string", "format": "binary"}}}
    described: Responses = {200: {"content": files, "description": "The file; several files are one zip."}}
    asked = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ExportRequest.__name__}"}}}

    @router.post(
        "/api/export",
        summary="An annotation file",
        response_class=Response,
        responses=described | _errors(*UPLOAD),
        openapi_extra={"requestBody": {"required": True, "content": asked}},
    )
    async def export_annotations(request: Request) -> Response:
        """Write pictures' boxes in a format that annotation tools and trainers read."""
        download = await run_in_threadpool(_download, await _body(request))
        headers = {"Content-Disposition": f'attachment; filename="{download.name}"'}
        return Response(download.content, media_type=download.media_type, headers=headers)

    drawing = {"application/json": {"schema": {"$ref": f"#/components/schemas/{DrawRequest.__name__}"}}}

    @router.post(
        "/api/boxes",
        summary="Boxes at other settings",
        responses=_errors(*UPLOAD),
        openapi_extra={"requestBody": {"required": True, "content": drawing}},
    )
    async def draw_again(request: Request) -> DrawAnswer:
        """Draw boxes and a heat map from the maps that `/api/locate` gave; they come with the request."""
        return await run_in_threadpool(_redrawn, await _body(request))

    @router.get("/api/samples", summary="Pictures to try", responses=_errors(*COMMON))
    async def sample_list() -> list[SampleAnswer]:
        return [SampleAnswer(name=s.name, title=s.title, credit=s.credit) for s in samples().values()]

    images: Responses = {
        200: {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The picture."},
    }

    @router.get(
        "/api/samples/{name}",
        summary="A picture to try",
        response_class=Response,
        responses=images | _errors(404, 422, *COMMON),
    )
    async def sample(name: str) -> Response:
        found = samples().get(name)
        if found is None:
            raise WebError(404, "no_such_sample", "There is no sample of this name.")
        return Response(await run_in_threadpool(found.content), media_type=found.media_type)

    return router


def _download(body: bytes) -> Download:
    """Read and write in one thread: FastAPI would read megabytes of JSON while all other clients wait."""
    return export(validated(ExportRequest, body))


def _redrawn(body: bytes) -> DrawAnswer:
    return redraw(validated(DrawRequest, body))


def _page() -> APIRouter:
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @router.get("/healthz", summary="Is the server there?", responses=_errors(*COMMON))
    async def health() -> Health:
        return Health(status="ok")

    return router
