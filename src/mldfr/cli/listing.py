"""`mldfr list`: the names that the other verbs take."""

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What can be listed."""

    backbones = "backbones"
    recalibrations = "recalibrations"
    normalizers = "normalizers"
    box_rules = "box-rules"
    models = "models"
    recipes = "recipes"
    data = "data"
    criteria = "criteria"
    protocols = "protocols"


def list_names(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """Print the names that exist, one a line.

    `recalibrations` prints two columns: the name and where it stands, behind poolings or behind convolutions.
    """
    for line in _lines(kind):
        typer.echo(line)


def _lines(kind: Kind) -> list[str]:
    if kind is Kind.backbones:
        from mldfr.backbones import BACKBONES

        return list(BACKBONES)
    if kind is Kind.recalibrations:
        from mldfr.recalibration import CONVOLUTION, POOLING

        return [f"{name}\tpooling" for name in POOLING] + [f"{name}\tconvolution" for name in CONVOLUTION]
    if kind is Kind.normalizers:
        from mldfr.score_maps import NORMALIZERS

        return list(NORMALIZERS)
    if kind is Kind.box_rules:
        from mldfr.boxes import BOX_RULES

        return list(BOX_RULES)
    if kind is Kind.recipes:
        from mldfr.training.recipe import names

        return names()
    if kind is Kind.protocols:
        from mldfr.evaluation.protocols import PROTOCOLS

        return list(PROTOCOLS)
    if kind is Kind.data:
        from mldfr.data import READERS

        return list(READERS)
    if kind is Kind.criteria:
        from mldfr.selection import CRITERIA

        return list(CRITERIA)
    from mldfr.models import MODELS

    return list(MODELS)
