"""Wrong usage: said in one line, exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a ValueError inside the block, which is about an argument, into exit code 2."""
    try:
        yield
    except ValueError as error:
        from pydantic import ValidationError

        from mldfr.config import explain

        message = explain(error) if isinstance(error, ValidationError) else str(error)
        typer.echo(f"mldfr: {message}", err=True)
        raise typer.Exit(2) from error
