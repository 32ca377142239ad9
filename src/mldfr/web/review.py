"""The app of an annotated folder: its pictures in the order of review, and what is corrected, on the disk at once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from io import BytesIO
from logging import getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi import Path as Place
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from PIL import Image
from starlette.background import BackgroundTask

from mldfr.annotation.corrections import CorrectedMeanwhileError
from mldfr.annotation.doubt_words import DOUBT, SCORE
from mldfr.annotation.reviewing import AnnotationsChangedError, Review, first
from mldfr.core.errors import DataError
from mldfr.core.files import WriteError
from mldfr.core.text import escaped
from mldfr.exports import AnnotatedImage, ExportError, ObjectBox
from mldfr.images import ImageError, read_image
from mldfr.images.formats import signed_formats
from mldfr.web.errors import WebError, validated
from mldfr.web.exporting import packed, titles
from mldfr.web.frame import COMMON, UPLOAD, Responses, asked, body_of, errors, framed
from mldfr.web.model_threads import Workers
from mldfr.web.pictures import working_size
from mldfr.web.review_schemas import (
    PictureAnswer,
    ReviewAnswer,
    ReviewedBox,
    ReviewedLabel,
    ReviewEntry,
    ReviewExportRequest,
    ReviewList,
    SavedAnswer,
    SaveRequest,
)
from mldfr.web.schemas import MAX_BOXES, AnnotatedBox
from mldfr.web.settings import Settings

SHOWN = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
"""What browsers show as it is, by its first bytes; anything else is decoded here."""
LOGGER = getLogger("uvicorn.error")
MAX_ENTRIES = 200
PICTURES = "/api/review/pictures/{rank}"

Rank = Annotated[int, Place(ge=0, description="In the order of review.")]


def create_review_app(review: Review, settings: Settings) -> FastAPI:
    """The server of one annotated folder.

    Args:
        review: The folder, open.
        settings: Limits, and the names that the server answers to.
    """
    decoders = Workers(1, seconds=settings.answer_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        decoders.close()
        try:
            await run_in_threadpool(review.write_pages)
        except WriteError as error:  # the corrections are on the disk already
            LOGGER.warning("mldfr: the pages have not the last corrections: %s", error)

    routers = [_questions(review, settings), _pictures(review, decoders), _changes(review)]
    return framed(
        routers, settings, page="review.html", described=[SaveRequest, ReviewExportRequest], lifespan=lifespan
    )


def _questions(review: Review, settings: Settings) -> APIRouter:
    router = APIRouter()

    @router.get("/api/review", summary="The folder", responses=errors(*COMMON))
    def about() -> ReviewAnswer:
        return ReviewAnswer(
            name=settings.model_name,
            identity=review.identity,
            classes=list(review.classes),
            total=len(review),
            checked=review.checked,
            formats=titles(),
            max_boxes=MAX_BOXES,
            score=SCORE,
            doubt=DOUBT,
        )

    @router.get("/api/review/pictures", summary="Some pictures, by rank", responses=errors(409, 422, *COMMON))
    def some(
        start: Annotated[int, Query(ge=0, description="From this rank on.")] = 0,
        end: Annotated[int | None, Query(ge=0, description="The last ones before this rank instead.")] = None,
        count: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 50,
        unchecked: Annotated[bool, Query(description="Only those that nobody has checked.")] = False,
    ) -> ReviewList:
        ranks = first(review.ranks(start=start, end=end, unchecked=unchecked), count)
        with _told():
            return ReviewList(
                total=len(review), checked=review.checked, entries=[_entry(review, rank) for rank in ranks]
            )

    @router.get(PICTURES, summary="A picture and its boxes", responses=errors(404, 409, 422, *COMMON))
    def one(rank: Rank) -> PictureAnswer:
        _check(review, rank)
        with _told():
            return _picture(review, rank)

    return router


def _pictures(review: Review, decoders: Workers) -> APIRouter:
    router = APIRouter()
    types: Responses = {200: {"content": {name: {} for name in SHOWN.values()}, "description": "The picture."}}

    @router.get(
        f"{PICTURES}/file",
        summary="What a picture looks like",
        response_class=Response,
        responses=types | errors(404, 409, 422, *COMMON),
    )
    async def file(rank: Rank, request: Request) -> Response:
        """The file itself where browsers show its type; else, such as of a TIFF, a JPEG of at most a megapixel."""
        _check(review, rank)
        found, media_type = await run_in_threadpool(_file, review, rank)
        if media_type:
            return FileResponse(found, media_type=media_type)
        content = await decoders.run(request, partial(_as_jpeg, found))
        return Response(content, media_type="image/jpeg")

    return router


def _changes(review: Review) -> APIRouter:
    router = APIRouter()

    @router.post(
        PICTURES,
        summary="Correct a picture",
        responses=errors(*UPLOAD, 404, 409, 507),
        openapi_extra=asked(SaveRequest),
    )
    async def save(rank: Rank, request: Request) -> SavedAnswer:
        """Take what a person made of a picture. It is on the disk when this is answered."""
        _check(review, rank)
        revision = await run_in_threadpool(_save, review, rank, await body_of(request))
        return SavedAnswer(total=len(review), checked=review.checked, revision=revision)

    files = {"application/json": {}, "application/zip": {"schema": {"type": "string", "format": "binary"}}}
    described: Responses = {200: {"content": files, "description": "The file; several files are one zip."}}

    @router.post(
        "/api/review/export",
        summary="An annotation file of all pictures",
        response_class=Response,
        responses=described | errors(*UPLOAD, 409, 507),
        openapi_extra=asked(ReviewExportRequest),
    )
    async def export(request: Request) -> Response:
        """Write corrected boxes, and found ones where nobody has corrected; checked pictures are marked."""
        wanted = validated(ReviewExportRequest, await body_of(request))
        _check_identity(review, wanted.identity)
        return await run_in_threadpool(_export, review, wanted)

    return router


def _check(review: Review, rank: int) -> None:
    if rank >= len(review):
        raise WebError(404, "no_such_picture", f"There are {len(review):,} pictures, numbered from 0.")


def _check_identity(review: Review, identity: str) -> None:
    """A page may be older than the server that answers at its address."""
    if identity != review.identity:
        raise WebError(409, "another_folder", "Another folder is served here now. Load the page again.")


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong in the folder, as the client is told."""
    try:
        yield
    except AnnotationsChangedError as error:
        raise WebError(409, "annotations_changed", escaped(str(error))) from error
    except CorrectedMeanwhileError as error:
        raise WebError(409, "corrected_meanwhile", f"{escaped(str(error))}.") from error
    except WriteError as error:
        raise WebError(507, "cannot_be_written", escaped(str(error))) from error
    except (ExportError, DataError) as error:
        raise WebError(422, "invalid", escaped(str(error))) from error


def _entry(review: Review, rank: int) -> ReviewEntry:
    return ReviewEntry(
        rank=rank, name=review.row(rank)["name"], doubt=review.doubt(rank), checked=review.is_checked(rank)
    )


def _picture(review: Review, rank: int) -> PictureAnswer:
    picture = review.picture(rank)
    labels = {label["class"]: None if picture.row["asked"] else label["probability"] for label in picture.row["labels"]}
    return PictureAnswer(
        **_entry(review, rank).model_dump(),
        height=picture.found.height,
        width=picture.found.width,
        why=picture.why,
        labels=[ReviewedLabel(class_index=index, probability=value) for index, value in labels.items()],
        found=_boxes(picture.found),
        now=_boxes(picture.now) if picture.corrected else None,
        revision=picture.revision,
    )


def _boxes(image: AnnotatedImage) -> list[ReviewedBox]:
    return [ReviewedBox(class_index=box.class_index, xyxy=box.xyxy, score=box.score) for box in image.boxes]


def _file(review: Review, rank: int) -> tuple[Path, str]:
    """A picture's file, and its type if browsers show it. Only what is a picture by its first bytes is given away."""
    with _told():
        file = review.file(rank)
    shown = escaped(str(file))
    try:
        if not file.is_file():
            raise WebError(404, "picture_gone", f"The picture is not there any more: {shown}.")
        with file.open("rb") as content:
            known = signed_formats(content.read(16))
    except OSError as error:
        raise WebError(404, "picture_gone", f"The picture cannot be read: {shown} ({error.strerror}).") from error
    return file, next((SHOWN[name] for name in known if name in SHOWN), "")


def _as_jpeg(file: Path) -> bytes:
    """A picture that annotating could read, in the size in which the other page looks at pictures."""
    try:
        picture = Image.fromarray(read_image(file))
    except ImageError as error:
        raise WebError(422, "bad_picture", f"The picture cannot be shown: {escaped(error.reason)}.") from error
    height, width = working_size(picture.height, picture.width)
    content = BytesIO()
    picture.resize((width, height), Image.Resampling.BOX).save(content, "JPEG", quality=90)
    return content.getvalue()


def _save(review: Review, rank: int, body: bytes) -> str:
    wanted = validated(SaveRequest, body)
    _check_identity(review, wanted.identity)
    with _told():
        if (name := review.row(rank)["name"]) != wanted.name:
            raise WebError(409, "another_picture", f"This is {name} now, not {wanted.name}. Load the page again.")
        boxes = None if wanted.boxes is None else [_box(each, len(review.classes)) for each in wanted.boxes]
        return review.save(rank, boxes, checked=wanted.checked, revision=wanted.revision)


def _box(box: AnnotatedBox, count: int) -> ObjectBox:
    if box.class_index >= count:
        raise ExportError(f"class_index: expected a class from 0 to {count - 1}; got {box.class_index}")
    return ObjectBox(box.class_index, box.xyxy, box.score)


def _export(review: Review, wanted: ReviewExportRequest) -> Response:
    folder = TemporaryDirectory(prefix="mldfr-export-")
    try:
        with _told():
            review.write(wanted.format, Path(folder.name), checked=wanted.only_checked)
        file, media_type = packed(Path(folder.name), wanted.format)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(file, media_type=media_type, filename=file.name, background=BackgroundTask(folder.cleanup))
