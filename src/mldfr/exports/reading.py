"""Steps that the formats share, most of them in reading."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from xml.etree import ElementTree

from pydantic import BaseModel, ValidationError

from mldfr.core.files import FULL
from mldfr.core.validation_errors import MOST, explain
from mldfr.exports.base import ExportError

M = TypeVar("M", bound=BaseModel)


@contextmanager
def about(place: object) -> Iterator[None]:
    """Errors as one kind, and with the place where they happened.

    Raises:
        ExportError: Instead of any error of values, files, tables, JSON and XML.
        OSError: A full disk, which is about no picture.
    """
    try:
        yield
    except ValidationError as error:
        raise ExportError(f"{place}: {explain(error, most=MOST)}") from error
    except (ValueError, OSError, csv.Error, ElementTree.ParseError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise ExportError(f"{place}: {reason}") from error


@contextmanager
def writing_about(picture: str) -> Iterator[None]:
    """The same for writing, where any other error of values is a bug of ours and passes.

    Raises:
        ExportError: Instead of what the system says of a file, or of a name that its encoding does not hold.
        OSError: A full disk, which is about no picture.
    """
    try:
        yield
    except (ExportError, OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise ExportError(f"{picture}: {error.strerror if isinstance(error, OSError) else error}") from error


def parse_json(content: bytes, model: type[M], place: object) -> M:
    """JSON in the shape of a model, with or without the mark that Windows' tools begin files with.

    Raises:
        ExportError: It has another shape; the message says where, what was expected and what stands there.
    """
    with about(place):
        return model.model_validate_json(content.removeprefix(codecs.BOM_UTF8))


def number_of(name: str, classes: Sequence[str]) -> int:
    """The index of a class name.

    Raises:
        ExportError: No class has it.
    """
    try:
        return classes.index(name)
    except ValueError as error:
        raise ExportError(f"expected one of {len(classes)} classes; got {name!r}") from error
