"""`mldfr list`: the names that the other verbs take."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from typing import Annotated, Any

import typer

from mldfr.core.registry import PluginError, Registry


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


def list_names(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    long: Annotated[bool, typer.Option("--long", "-l", help="Say in a line what each is.")] = False,
) -> None:
    """Print the names that exist, one a line, and with `--long` what each is behind a tab.

    `backbones` leaves out `timm:NAME`, which any network of timm may be; `metrics` has those beside the protocols'
    own. `recalibrations` prints two columns: the name and where it stands, behind poolings or behind convolutions;
    `annotation-formats` the name and whether it holds annotations or score maps.
    """
    for column, (names, about) in _groups(kind).items():
        for name in names:
            typer.echo("\t".join(filter(None, (name, column, about(name) if long else ""))))


def _groups(kind: Kind) -> Mapping[str, tuple[Sequence[str], Callable[[str], str]]]:
    """What stands behind names, "" where nothing does, to these names and to what says in a line what each is."""
    if kind is Kind.recalibrations:
        from mldfr.networks.recalibration import CONVOLUTION, POOLING

        return {"pooling": _of_registry(POOLING), "convolution": _of_registry(CONVOLUTION)}
    if kind is Kind.annotation_formats:
        from mldfr.exports import FORMATS, MAP_FORMATS

        return {"annotations": _of_registry(FORMATS), "score maps": _of_registry(MAP_FORMATS)}
    if kind is Kind.recipes:
        from mldfr.training import recipe

        return {"": (recipe.names(), recipe.about)}
    if kind is Kind.tables:
        from mldfr.reports.reproduction import table

        return {"": (table.names(), lambda name: table.load_table(name).title)}
    module, _, registry = REGISTRIES[kind].partition(":")
    return {"": _of_registry(getattr(import_module(module), registry))}


def _of_registry(registry: Registry[Any]) -> tuple[Sequence[str], Callable[[str], str]]:
    return registry.names(), lambda name: _about(registry, name)


def _about(registry: Registry[Any], name: str) -> str:
    """What an entry says of itself, or else the first line of its documentation; or why there is none."""
    try:
        entry = registry[name]
    except PluginError as error:
        return str(error)
    said = getattr(entry, "about", None)
    return said if isinstance(said, str) else (inspect.getdoc(entry) or "").partition("\n")[0]
