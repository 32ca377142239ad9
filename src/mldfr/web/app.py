"""The app: a page, and the few questions that it asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import APIRouter, FastAPI, File, Form, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from mldfr.core.parallel import at_once
from mldfr.localizer.localizer import Localizer
from mldfr.web.errors import WebError, validated
from mldfr.web.exporting import Download, export
from mldfr.web.frame import COMMON, UPLOAD, Responses, asked, body_of, errors, framed
from mldfr.web.locating import check_model, locate, model_answer, wanted_classes, wanted_map
from mldfr.web.model_threads import Workers
from mldfr.web.redrawing import redraw
from mldfr.web.redrawing_schemas import DrawAnswer, DrawRequest
from mldfr.web.samples import samples
from mldfr.web.schemas import MAX_CLASSES, ExportRequest, LocateAnswer, ModelAnswer, SampleAnswer
from mldfr.web.settings import Settings


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

    routers = [_questions(localizer, settings, workers), _downloads()]
    return framed(routers, settings, page="index.html", described=[ExportRequest, DrawRequest], lifespan=lifespan)


def _questions(localizer: Localizer, settings: Settings, workers: Workers) -> APIRouter:
    """What needs the model."""
    router = APIRouter()
    answer = model_answer(localizer, settings)

    @router.get("/api/model", summary="The model and its settings", responses=errors(*COMMON))
    async def model() -> ModelAnswer:
        return answer

    @router.post("/api/locate", summary="Classes, score maps and boxes", responses=errors(*UPLOAD, 409, 415))
    async def locate_picture(
        request: Request,
        picture: Annotated[UploadFile, File(description="AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF or WebP.")],
        classes: Annotated[
            list[str] | None, Form(max_length=MAX_CLASSES, description="Names from `/api/model`; `top_k` is ignored.")
        ] = None,
        top_k: Annotated[int, Form(ge=1, le=MAX_CLASSES, description="How many of the most probable classes.")] = 5,
        map: Annotated[str | None, Form(description="One of `/api/model`; the model's own when left out.")] = None,
        fingerprint: Annotated[
            str | None, Form(description="That of `/api/model`; another model than that one does not answer.")
        ] = None,
    ) -> LocateAnswer:
        """Say what is in a picture, and where, at the model's own settings, but for the map where one is named.

        With the maps a client asks `/api/boxes` for boxes at any other setting. The picture is forgotten when the
        answer is sent.
        """
        check_model(answer, fingerprint)
        wanted = wanted_classes(answer.classes, classes or [], top_k)
        named = wanted_map(answer, map)
        content = await picture.read()
        return await workers.run(request, partial(locate, localizer, content, wanted, named, settings.max_pixels))

    return router


def _downloads() -> APIRouter:
    """What needs no model."""
    router = APIRouter()
    files = {"application/json": {}, "application/zip": {"schema": {"type": "string", "format": "binary"}}}
    described: Responses = {200: {"content": files, "description": "The file; several files are one zip."}}

    @router.post(
        "/api/export",
        summary="An annotation file",
        response_class=Response,
        responses=described | errors(*UPLOAD),
        openapi_extra=asked(ExportRequest),
    )
    async def export_annotations(request: Request) -> Response:
        """Write pictures' boxes in a format that annotation tools and trainers read."""
        download = await run_in_threadpool(_download, await body_of(request))
        headers = {"Content-Disposition": f'attachment; filename="{download.name}"'}
        return Response(download.content, media_type=download.media_type, headers=headers)

    @router.post(
        "/api/boxes",
        summary="Boxes at other settings",
        responses=errors(*UPLOAD),
        openapi_extra=asked(DrawRequest),
    )
    async def draw_again(request: Request) -> DrawAnswer:
        """Draw boxes and a heat map from the maps that `/api/locate` gave; they come with the request."""
        return await run_in_threadpool(_redrawn, await body_of(request))

    @router.get("/api/samples", summary="Pictures to try", responses=errors(*COMMON))
    async def sample_list() -> list[SampleAnswer]:
        return [SampleAnswer(name=s.name, title=s.title, credit=s.credit) for s in samples().values()]

    images: Responses = {
        200: {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The picture."},
    }

    @router.get(
        "/api/samples/{name}",
        summary="A picture to try",
        response_class=Response,
        responses=images | errors(404, 422, *COMMON),
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
