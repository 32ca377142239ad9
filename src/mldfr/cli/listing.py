"""`mldfr list`: the names that the other verbs take."""

from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    backbones = "backbones"
    recalibrations = "recalibrations"
    maps = "maps"
    normalizers = "normalizers"
    thresholds = "thresholds"
    box_rules = "box-rules"
    instances = "instances"
    refinements = "refinements"
    models = "models"
    recipes = "recipes"
    loggers = "loggers"
    tables = "tables"
    data = "data"
    criteria = "criteria"
    metrics = "metrics"
    protocols = "protocols"
    deployment_formats = "deployment-formats"
    runtimes = "runtimes"
    annotation_formats = "annotation-formats"


REGISTRIES = {
    Kind.methods: "mldfr.methods:METHODS",
    Kind.backbones: "mldfr.networks.backbones:BACKBONES",
    Kind.maps: "mldfr.maps:MAPS",
    Kind.normalizers: "mldfr.boxes.normalizers:NORMALIZERS",
    Kind.thresholds: "mldfr.boxes.thresholds:THRESHOLDS",
    Kind.box_rules: "mldfr.boxes.rules:BOX_RULES",
    Kind.instances: "mldfr.boxes.instances:INSTANCES",
    Kind.refinements: "mldfr.boxes.refinement:REFINEMENTS",
    Kind.models: "mldfr.networks.zoo:MODELS",
    Kind.loggers: "mldfr.training.loggers:LOGGERS",
    Kind.data: "mldfr.data:READERS",
    Kind.criteria: "mldfr.evaluation.selection:CRITERIA",
    Kind.metrics: "mldfr.evaluation.metrics:SET_METRICS",
    Kind.protocols: "mldfr.evaluation.protocols:PROTOCOLS",
    Kind.deployment_formats: "mldfr.deployment:DEPLOYMENT_FORMATS",
    Kind.runtimes: "mldfr.deployment.runtimes:RUNTIMES",
}


def list_names(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """Print the names that exist, one a line.

    `backbones` leaves out `timm:NAME`, which any network of timm may be; `metrics` has those beside the protocols'
    own. `recalibrations` prints two columns: the name and where it stands, behind poolings or behind convolutions;
    `annotation-formats` the name and whether it holds annotations or score maps.
    """
    for line in _lines(kind):
        typer.echo(line)


def _lines(kind: Kind) -> list[str]:
    if kind is Kind.recalibrations:
        from mldfr.networks.recalibration import CONVOLUTION, POOLING

        return [f"{name}\tpooling" for name in POOLING] + [f"{name}\tconvolution" for name in CONVOLUTION]
    if kind is Kind.annotation_formats:
        from mldfr.exports import FORMATS, MAP_FORMATS

        return [f"{name}\tannotations" for name in FORMATS] + [f"{name}\tscore maps" for name in MAP_FORMATS]
    if kind is Kind.recipes:
        from mldfr.training.recipe import names

        return names()
    if kind is Kind.tables:
        from mldfr.reports.reproduction.table import names as tables

        return tables()
    module, _, registry = REGISTRIES[kind].partition(":")
    return list(getattr(import_module(module), registry))
