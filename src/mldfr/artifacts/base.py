"""What all schemas of files share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Artifact(BaseModel):
    """Frozen; a key that this version does not know is passed over, as a later one may have written it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong: its key, what was expected, and what came instead."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the line"
    return f"{where}: {first['msg']}; got {first['input']!r:.80}"
