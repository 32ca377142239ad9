"""From a table to the networks that are trained for it, each once however many rows and columns look at it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mldfr.core.errors import SettingError
from mldfr.core.yaml_text import as_told
from mldfr.reports.reproduction.sets import paper_set
from mldfr.reports.reproduction.table import Look, Row, Table, load_table
from mldfr.training.recipe import WITHOUT_EFFECT, Recipe, load_recipe

SPLITS = ("test", "val", "validation")
"""What is measured on where neither table nor data set says it, the first that the data has."""


@dataclass(frozen=True)
class Wishes:
    """What a user asks for besides the table.

    Attributes:
        rows: Shell patterns of the names of rows; none for all.
        epochs: In place of the recipe's.
        seeds: How often each network is trained.
        settings: Of the recipe, as `a.b=c`, over those of table and row.
        weights: What networks start from, by backbone; "" is for all others.

    Examples:
        >>> Wishes(epochs=1).told(Row(name="VGG16", backbone="vgg16"), seed=2)
        ['training.epochs=1', 'training.seed=2']
    """

    rows: tuple[str, ...] = ()
    epochs: int | None = None
    seeds: int = 3
    settings: tuple[str, ...] = ()
    weights: Mapping[str, str] | None = None

    def told(self, row: Row, *, seed: int) -> list[str]:
        """What the recipe of a row is told last."""
        epochs = [] if self.epochs is None else [f"training.epochs={self.epochs}"]
        chosen = self.weights or {}
        start = chosen.get(row.backbone or "", chosen.get(""))
        weights = [] if start is None else as_told({"model.weights": start})
        return [*epochs, *weights, *self.settings, f"training.seed={seed}"]


@dataclass(frozen=True)
class TrainingRun:
    """A network that is trained, and what is measured of it.

    Attributes:
        key: Its name, and that of its folder: the same for all rows that have the same network.
        recipe: By which it is trained.
        settings: What makes that of the table's recipe, as `train` takes it.
        looks: How it is looked at, by name.
    """

    key: str
    recipe: Recipe
    settings: tuple[str, ...]
    looks: Mapping[str, Look]

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.recipe.training.seed


@dataclass(frozen=True)
class Grid:
    """All that a table wants trained and measured on a data set.

    Attributes:
        name: The table's.
        table: It.
        data: `KIND:PATH`.
        split: Which is measured.
        wishes: What the user asks for.
    """

    name: str
    table: Table
    data: str
    split: str
    wishes: Wishes

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows that are asked for."""
        return self.table.matching(self.wishes.rows)

    @property
    def set_name(self) -> str | None:
        """Which of the paper's data sets is measured; None for another."""
        return paper_set(self.data, self.split)

    @cached_property
    def runs(self) -> tuple[TrainingRun, ...]:
        """The networks, one seed after the other, so that a part of the work has all rows."""
        found: dict[str, TrainingRun] = {}
        for seed in range(self.wishes.seeds):
            for row in self.rows:
                if not row.cannot:
                    run = self.run_of(row, seed)
                    before = found.get(run.key)
                    looks = {**(before.looks if before else {}), **run.looks}
                    found[run.key] = TrainingRun(run.key, run.recipe, run.settings, looks)
        return tuple(found.values())

    def run_of(self, row: Row, seed: int) -> TrainingRun:
        """The network of a row.

        Raises:
            RecipeError: Settings that the recipe does not have.
        """
        settings = (*self._own(row), *self.wishes.told(row, seed=seed))
        recipe = load_recipe(self.table.recipe, settings)
        looks = [self.table.look_of(row, column) for column in self.table.columns]
        return TrainingRun(key_of(recipe), recipe, settings, {look.name: look for look in looks})

    @cached_property
    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the networks of each row of the table that can be had, by the row's name."""
        seeds = range(self.wishes.seeds)
        return {
            row.name: tuple(self.run_of(row, seed).key for seed in seeds) for row in self.table.rows if not row.cannot
        }

    def planned(self, row: Row) -> Recipe:
        """The recipe of a row as the table has it, whatever a user wishes."""
        return load_recipe(self.table.recipe, self._own(row))

    def _own(self, row: Row) -> tuple[str, ...]:
        """What table and row tell the recipe."""
        return tuple(as_told({**self.table.settings, **row.settings_of()}))

    @property
    def protocols(self) -> tuple[str, ...]:
        """By which its columns are measured."""
        from mldfr.evaluation.protocols import PROTOCOLS

        return tuple(name for name in PROTOCOLS if any(each.protocol == name for each in self.table.columns)) or (
            "paper",
        )


def make_grid(table: str | Path, data: str, splits: Sequence[str], wishes: Wishes) -> Grid:
    """The grid of a table on a data set; every recipe is read, so that what is wrong is said before any work.

    Args:
        table: A name of `mldfr list tables`, or a file.
        data: `KIND:PATH`.
        splits: Those that the data has.
        wishes: What the user asks for.

    Raises:
        MldfrError: No such table or row, settings that do not exist, or a split that the data does not have.

    Examples:
        >>> grid = make_grid("table-viii", "cub:CUB_200_2011", ["train", "test"], Wishes(rows=("VGG16*",), seeds=1))
        >>> len(grid.rows), len(grid.runs), grid.split, grid.set_name  # with and without MsCAM is one training
        (4, 2, 'test', 'cub')
    """
    chosen = load_table(table)
    if chosen.kind == "complexity":
        raise SettingError(f"{table}: is counted and not trained; it takes neither --data nor --dry-run")
    usual = (chosen.split,) if chosen.split else SPLITS
    split = next((name for name in usual if name in splits), None)
    if split is None:
        raise SettingError(f"{data}: expected a split {' or '.join(usual)} to measure on; it has {', '.join(splits)}")
    grid = Grid(Path(table).stem, chosen, data, split, wishes)
    if not grid.runs:
        reasons = "; ".join(f"{row.name}: {row.cannot}" for row in grid.rows)
        raise SettingError(f"{grid.name}: there is nothing to train ({reasons})")
    return grid


def key_of(recipe: Recipe) -> str:
    """The name of a network that is trained by a recipe, the same wherever its weights lie.

    Examples:
        >>> key_of(load_recipe("finetune")) == key_of(load_recipe("finetune", ["data.workers=2"]))
        True
    """
    # Without what is as ever, so that a key that a later version adds changes no name.
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    for path in (*WITHOUT_EFFECT, "training.seed"):
        part, _, key = path.partition(".")
        values.get(part, {}).pop(key, None)
    values = {part: value for part, value in values.items() if value and part != "localization"}
    if weights := recipe.model.weights:
        values["model"]["weights"] = Path(weights).name
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
    backbone = recipe.model.backbone.replace(":", "-")
    return f"{backbone}-{recipe.method}-{digest}-{recipe.training.seed}"
