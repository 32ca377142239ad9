"""`mldfr recipe`: what a recipe says."""

from typing import Annotated

import typer


def recipe(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="See `mldfr list recipes`.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change a value; repeatable.")
    ] = None,
) -> None:
    """Print a recipe with every key, as YAML that `mldfr train --recipe` takes."""
    from mldfr.training.recipe import load_recipe

    typer.echo(load_recipe(name, settings or ()).to_yaml(), nl=False)
