"""What all schemas of files share, and how a file is held to its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mldfr.core.errors import DataError
from mldfr.core.json_files import read_json
from mldfr.core.validation_errors import MOST, explain

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Artifact(BaseModel):
    """Frozen; a key that this version does not know is passed over, as a later one may have written it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> dict[str, Any]:
        """Plain values of JSON in the schema's order; what nobody said is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


A = TypeVar("A", bound=BaseModel)


def as_artifact(model: type[A], content: Mapping[str, Any], place: object) -> A:
    """Values of JSON by their schema.

    Args:
        model: The schema.
        content: The values.
        place: Where they stand, for the message.

    Raises:
        DataError: They are something else; the message names place, key and what was expected.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{place}: damaged, {explain(error, most=MOST)}") from error


def read_artifact(file: Path, model: type[A]) -> A:
    """A file of JSON by its schema.

    Raises:
        DataError: It cannot be read, or is something else; the message names file, key and what was expected.
    """
    return as_artifact(model, read_json(file), file)
