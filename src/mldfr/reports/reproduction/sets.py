"""The data sets that the paper measured on."""

from pathlib import Path

import yaml

from mldfr.networks.card import Strict
from mldfr.reports.reproduction.table import package

SETS = "_sets.yaml"


class PaperSet(Strict):
    """A data set of the paper's.

    Examples:
        >>> paper_sets()["cub"].pictures
        5794
    """

    name: str
    kind: str
    """Of `KIND:PATH`."""
    split: str
    """Which it was measured on."""
    folders: tuple[str, ...] = ()
    """Names of wsolevaluation's metadata of it, in lower case."""
    setting: str
    """What the paper trained on and measured."""
    pictures: int
    """How many it was measured on."""
    classes: int


def paper_sets() -> dict[str, PaperSet]:
    """The paper's data sets by the names that tables use."""
    values = yaml.safe_load((package() / SETS).read_text(encoding="utf-8"))
    return {name: PaperSet.model_validate(facts) for name, facts in values.items()}


def paper_set(source: str, split: str) -> str | None:
    """Which of the paper's sets a split of `KIND:PATH` is; None where the paper did not measure on that.

    Examples:
        >>> paper_set("cub:CUB_200_2011", "test"), paper_set("wsol:metadata/ILSVRC/test", "test")
        ('cub', 'ilsvrc')
        >>> paper_set("cub:CUB_200_2011", "train")
    """
    kind, _, path = source.partition(":")
    sets = paper_sets()
    if kind != "wsol":
        return next((name for name, each in sets.items() if (each.kind, each.split) == (kind, split)), None)
    folders = {folder: name for name, each in sets.items() for folder in each.folders}
    nearest = next((part for part in reversed(Path(path.lower()).parts) if part in folders), None)
    return folders[nearest] if nearest and split == "test" else None
