"""What goes wrong, said as JSON and without traces."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from mldfr.web.schemas import ErrorAnswer, ErrorText


class WebError(HTTPException):
    """An error that the client is told: status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def error_response(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The one shape of all errors."""
    answer = ErrorAnswer(error=ErrorText(code=code, message=message))
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


def _code(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_")


def _explain(error: RequestValidationError) -> str:
    """The first errors in a line; what came is not repeated, since it may be megabytes."""
    lines = []
    for item in error.errors()[:3]:
        place = ".".join(str(part) for part in item["loc"] if part not in ("body", "query", "path"))
        message = item["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {message}" if place else message)
    return "; ".join(lines)
