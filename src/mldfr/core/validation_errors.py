"""What a schema finds wrong with values, as text for people."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

VALUE_ERROR = "Value error, "
"""How pydantic begins the text of an error that a check of ours raised, which says itself what came."""
MOST = 3
"""So many faults of a file or line are told."""


def explain(error: ValidationError | Sequence[ErrorDetails], *, most: int | None = None) -> str:
    """The faults in one line, each as `key: what was expected; got what`.

    Args:
        error: Of a validation, or some of its faults; what came is told of those that have an `input`.
        most: So many are told, and how many more there are; None for all.

    Examples:
        >>> from pydantic import BaseModel
        >>> class Size(BaseModel):
        ...     height: int
        ...     width: int
        >>> try:
        ...     Size(height="tall")
        ... except ValidationError as error:
        ...     print(explain(error))
        ...     print(explain(error, most=1))
        height: Input should be a valid integer, unable to parse string as an integer; got 'tall'; width: Field required
        height: Input should be a valid integer, unable to parse string as an integer; got 'tall'; 1 more
    """
    faults = error.errors(include_url=False) if isinstance(error, ValidationError) else error
    told = [_told(fault) for fault in faults[:most]]
    return "; ".join([*told, f"{len(faults) - len(told)} more"] if len(told) < len(faults) else told)


def _told(fault: ErrorDetails) -> str:
    key, message = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix(VALUE_ERROR)
    # What a key is missing in is long, and told by the key.
    if message == fault["msg"] and "input" in fault and fault["type"] != "missing":
        message += f"; got {fault['input']!r:.80}"
    return f"{key}: {message}" if key else message
