"""Wrong usage: said in one line, exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from mldfr.core.text import one_line


@contextmanager
def usage_errors(kind: type[ValueError] = ValueError) -> Iterator[None]:
    """Turn a ValueError inside the block, which is about an argument, or a kind of it, into exit code 2."""
    try:
        yield
    except kind as error:
        from pydantic import ValidationError

        from mldfr.networks.card import explain

        message = explain(error) if isinstance(error, ValidationError) else str(error)
        typer.echo(one_line(f"mldfr: {message}"), err=True)
        raise typer.Exit(2) from error


def scale_factors(text: str) -> list[float]:
    """The value of --scales.

    Raises:
        ValueError: No numbers with commas between them.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--scales takes numbers with commas between them, such as 1,1.5,2; got {text!r}") from error
