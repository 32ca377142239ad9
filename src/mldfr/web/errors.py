"""What goes wrong, said as JSON and without traces."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from mldfr.core.validation_errors import MOST, explain
from mldfr.web.schemas import ErrorAnswer, ErrorText

LONGEST = 300
"""Of a message, in characters: what came may be quoted in it, and may be megabytes."""
MOST_ERRORS = 100
"""In one body that are looked at: lists end at their first error, but there may be a million unknown keys."""

M = TypeVar("M", bound=BaseModel)


class WebError(HTTPException):
    """An error that the client is told: status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def error_response(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The one shape of all errors."""
    short = message if len(message) <= LONGEST else f"{message[: LONGEST - 2]} …"
    answer = ErrorAnswer(error=ErrorText(code=code, message=short))
    return JSONResponse(answer.model_dump(), status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of an app have this shape."""

    @app.exception_handler(AnyHTTPException)
    async def http_error(request: Request, error: AnyHTTPException) -> JSONResponse:
        code = error.code if isinstance(error, WebError) else _code(error.status_code)
        return error_response(error.status_code, code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(422, "invalid", _explain(error))


def validated(model: type[M], body: bytes) -> M:
    """A body of JSON as a model.

    Raises:
        RequestValidationError: It is no JSON, or not of this shape.
        WebError: 422 where so much is wrong that the list of it would take seconds.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            raise WebError(422, "invalid", f"{error.error_count():,} keys or values are wrong.") from error
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(details) from error


def _code(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_")


def _explain(error: RequestValidationError) -> str:
    """The first errors in a line, without what came."""
    faults: list[Any] = [
        {"loc": [part for part in fault["loc"] if part not in ("body", "query", "path")], "msg": fault["msg"]}
        for fault in error.errors()[:MOST]
    ]
    return explain(faults)
