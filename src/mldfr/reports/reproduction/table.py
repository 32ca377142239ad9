"""A table as data: what the paper prints, and how each row is had here. One YAML file in `tables/` each.

The files hold the paper's numbers and nothing else does; what reports show beside an evaluation comes from here too.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from mldfr.boxes.drawing import THRESHOLD
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.core.errors import SettingError
from mldfr.core.registry import near
from mldfr.core.validation_errors import explain
from mldfr.core.yaml_text import from_yaml
from mldfr.networks.card import BackboneName, MapName, MethodName, Scale, Strict

Cell = Literal["plain", "S", "B", "B+S"]
"""The letters of Table IX: self-attention behind downsamplings, BatchNorm behind convolutions."""
ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv")


class Look(Strict):
    """From a trained network to boxes; what is None is as the table has it.

    Examples:
        >>> Look(scales=(1, 1.5), normalizer="min_max").over(Look(normalizer="max", map="cam")).name
        '1+1.5 min_max'
    """

    scales: tuple[Scale, ...] | None = None
    normalizer: Annotated[str, AfterValidator(NORMALIZERS.check)] | None = None
    map: MapName | None = None
    threshold: float | None = None

    def over(self, below: "Look") -> "Look":
        """This, and what the other has where this says nothing."""
        return Look(**{**below.said, **self.said})

    @property
    def said(self) -> dict[str, Any]:
        """What it says, as keywords of `evaluate`."""
        return self.model_dump(exclude_none=True)

    @property
    def name(self) -> str:
        """What tells it from others."""
        scales = "+".join(f"{scale:g}" for scale in self.scales or ())
        parts = [scales, self.normalizer, None if self.map == PLAIN.map else self.map]
        parts += [None if self.threshold in (None, PLAIN.threshold) else f"over {self.threshold}"]
        return " ".join(filter(None, parts))


PLAIN = Look(scales=(1.0, 1.5, 2.0), normalizer="min_max", map="cam", threshold=THRESHOLD)
"""As the paper has it (Section IV-B, Threshold)."""


class Column(Strict):
    """A number of each row.

    Examples:
        >>> Column(name="CorLoc", metric="paper.corloc").protocol
        'paper'
    """

    name: str
    metric: str
    """Protocol and name, as in `metrics.json`; `parameters` and `multiply_adds` in a table of complexity."""
    look: Look = Look()
    """Over that of the row."""

    @property
    def protocol(self) -> str:
        """The protocol that measures it."""
        return self.metric.partition(".")[0]


class Row(Strict):
    """A row: the paper's numbers, and how ours is had.

    Examples:
        >>> Row(name="VGG16+S", backbone="vgg16", cell="S").settings_of()["model.convolution"]
        'none'
    """

    name: str
    paper: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    """By data set: the numbers in the order of the columns; None where the paper has none."""
    backbone: BackboneName | None = None
    cell: Cell = "B+S"
    method: MethodName | None = None
    """A peer's; None for the paper's own networks, which are trained as plain CAM."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of the method."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keys of the recipe, such as `training.batch_size`."""
    look: Look = Look()
    """Over that of the table."""
    cannot: str = ""
    """Why there is none of ours."""
    note: str = ""
    """What ours does otherwise than the row's own paper."""
    footnote: str = ""
    """What is to be known of the paper's numbers."""

    @model_validator(mode="after")
    def _had_or_not(self) -> Self:
        if (self.backbone is None) != bool(self.cannot):
            raise ValueError(f"{self.name}: either a backbone, or why it cannot be had")
        return self

    def settings_of(self) -> dict[str, Any]:
        """What the recipe is told."""
        told: dict[str, Any] = {"model.backbone": self.backbone, **CELLS[self.cell]}
        if self.method is not None:
            last = "wsolevaluation" if self.backbone in WSOL_TRUNKS else "dilate"
            told |= {"model.last_downsampling": last, "method": self.method}
        if self.options:
            told["method_options"] = self.options
        return {**told, **self.settings}


CELLS: Mapping[Cell, Mapping[str, Any]] = {
    "plain": {"model.recalibration": "none", "model.convolution": "none"},
    "S": {"model.recalibration": "self_attention", "model.convolution": "none"},
    "B": {"model.recalibration": "none", "model.convolution": "batch_norm"},
    "B+S": {"model.recalibration": "self_attention", "model.convolution": "batch_norm"},
}
WSOL_TRUNKS = ("vgg16", "inception_v3", "resnet50")
"""Peers keep all pretrained weights of their trunk, whose last stride is taken out: on these as wsolevaluation has it,
on others dilated."""


class Question(Strict):
    """What two rows, or two columns of every row, are compared for; answered by pairs of pictures.

    Examples:
        >>> Question(ask="Do three scales gain?", column="three", over="one").row
        ''
    """

    ask: str
    row: str = ""
    column: str = ""
    over: str
    """The other row, or column."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.row) == bool(self.column):
            raise ValueError(f"{self.ask}: names either a row or a column")
        return self


class Table(Strict):
    """A table of the paper's, or one of our own.

    Examples:
        >>> table = load_table("table-viii")
        >>> table.row("VGG16+F+M").paper["cub"]
        (19.3, 4.19, 75.04)
        >>> table.row("VGG19")
        Traceback (most recent call last):
        ...
        mldfr.core.errors.SettingError: no row 'VGG19'; there are: GoogLeNet, ...
    """

    title: str
    measures: str
    """What its numbers are, in a sentence or two."""
    kind: Literal["training", "complexity"] = "training"
    recipe: str = "_paper"
    """What all rows are trained by, but for their settings."""
    settings: dict[str, Any] = Field(default_factory=dict)
    look: Look = Look()
    """Over `PLAIN`."""
    split: str | None = None
    """Which split is measured; None for that of the data set."""
    sets: tuple[str, ...] = ()
    """The paper's data sets, in its order."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = Field(min_length=1)
    questions: tuple[Question, ...] = ()
    pictures: int = 0
    """So many pictures are shown with the maps of all rows (Figure 9)."""
    notes: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, values: Any) -> Any:
        """`groups` to `rows`: a group has a `prefix` for names, rows, and what all of them share."""
        if not isinstance(values, dict) or "groups" not in values:
            return values
        rows = []
        for group in values["groups"]:
            shared = {key: value for key, value in group.items() if key not in ("prefix", "rows")}
            for row in group["rows"]:
                settings = {**shared.get("settings", {}), **row.get("settings", {})}
                name = group.get("prefix", "") + row["name"]
                rows.append({**shared, **row, "name": name, **({"settings": settings} if settings else {})})
        return {**{key: value for key, value in values.items() if key != "groups"}, "rows": rows}

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        names = [row.name for row in self.rows]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"rows need names that differ; twice: {', '.join(sorted(twice))}")
        for row in self.rows:
            if unknown := row.paper.keys() - set(self.sets or ("",)):
                raise ValueError(f"{row.name}: numbers of {min(unknown)!r}, which is not among the sets")
            if wrong := [key for key, values in row.paper.items() if len(values) != len(self.columns)]:
                raise ValueError(f"{row.name}, {wrong[0]}: expected {len(self.columns)} numbers, one for each column")
        known = {*names, *(column.name for column in self.columns)}
        if missing := [
            name for ask in self.questions for name in (ask.row or ask.column, ask.over) if name not in known
        ]:
            raise ValueError(f"a question is about {missing[0]!r}, which is neither a row nor a column")
        return self

    def row(self, name: str) -> Row:
        """The row of a name.

        Raises:
            SettingError: There is none.
        """
        found = [row for row in self.rows if row.name == name]
        if not found:
            raise SettingError(f"no row {name!r}; there are: {', '.join(row.name for row in self.rows)}")
        return found[0]

    def matching(self, patterns: Sequence[str]) -> tuple[Row, ...]:
        """The rows whose names match a shell pattern, whatever the case of letters; all without one.

        Raises:
            SettingError: A pattern that no row matches.
        """
        for pattern in patterns:
            if not any(_matches(row, [pattern]) for row in self.rows):
                names = "; ".join(row.name for row in self.rows)
                raise SettingError(f"--rows {pattern!r} matches no row; there are: {names}")
        return tuple(row for row in self.rows if not patterns or _matches(row, patterns))

    def look_of(self, row: Row, column: Column) -> Look:
        """How a row's network is looked at for a column."""
        return column.look.over(row.look).over(self.look).over(PLAIN)


def _matches(row: Row, patterns: Sequence[str]) -> bool:
    return any(fnmatch(row.name.casefold(), pattern.casefold()) for pattern in patterns)


def footnotes(table: Table, rows: Iterable[Row]) -> list[str]:
    """What is to be known of a table and of some of its rows.

    Examples:
        >>> table = load_table("table-iv")
        >>> footnotes(table, table.matching(["VGG16-ADL"]))
        ["VGG16-ADL: A fault of the paper: 52.36 is ADL's accuracy, printed as an error. ..."]
    """
    return [*table.notes, *(f"{row.name}: {row.footnote}" for row in rows if row.footnote)]


def names() -> list[str]:
    """The tables in the package, in the paper's order, and then our own.

    Examples:
        >>> names()[:3]
        ['table-i', 'table-ii', 'table-iii']
    """
    found = [file.name.removesuffix(".yaml") for file in package().iterdir() if file.name.endswith(".yaml")]
    return sorted((name for name in found if not name.startswith("_")), key=_order)


def load_table(name_or_file: str | Path) -> Table:
    """Read a table.

    Args:
        name_or_file: A name of `names()`, or a YAML file.

    Raises:
        SettingError: No such table, or one that does not hold together.

    Examples:
        >>> load_table("table-ix").title
        'Effect of different FR modules'
        >>> load_table("table-iix")
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: no table or table file 'table-iix' (did you mean 'table-ix'?); known: ...
    """
    source = str(name_or_file)
    inside = package() / f"{source}.yaml"
    file = inside if "/" not in source and inside.is_file() else Path(source)
    if not file.is_file():
        raise SettingError(f"no table or table file {source!r}{near(source, names())}; known: {', '.join(names())}")
    try:
        return Table.model_validate(from_yaml(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise SettingError(f"table {source}: {explain(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError) as error:
        raise SettingError(f"table {source}: not a table ({' '.join(str(error).split())})") from error


def _order(name: str) -> tuple[int, str]:
    number = name.removeprefix("table-")
    return (ROMAN.index(number) if number in ROMAN else len(ROMAN), name)


def package() -> Traversable:
    """The folder of the tables."""
    return files("mldfr.reports.reproduction") / "tables"
