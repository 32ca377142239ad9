"""What was measured, written figure by figure: a run that is cut keeps what it has, and another goes on."""

import json
from pathlib import Path
from typing import Any

from mldfr.core.json_files import append_line, cut_unfinished, read_json, read_whole_lines, write_json

FIGURES, CELLS = "figures.json", "cells.jsonl"


class Figures:
    """Figures by part and name, and a line for each trained network.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / FIGURES

    def read(self) -> dict[str, dict[str, Any]]:
        """All of them so far, by part and name."""
        return read_json(self._file) if self._file.exists() else {}

    def has(self, part: str, name: str) -> bool:
        """Whether there is a figure already, and not only word of a failure."""
        found = self.read().get(part, {}).get(name)
        return found is not None and "failed" not in found

    def add(self, part: str, name: str, values: dict[str, Any]) -> None:
        """Write a figure down, and show it."""
        figures = self.read()
        figures.setdefault(part, {})[name] = values
        write_json(self._file, figures)
        print(part, name, json.dumps(values), flush=True)

    def drop(self, part: str, name: str) -> None:
        """Forget a figure, if there is one."""
        figures = self.read()
        if figures.get(part, {}).pop(name, None) is not None:
            write_json(self._file, {key: values for key, values in figures.items() if values})

    def cells(self) -> list[dict[str, Any]]:
        """The lines of trained networks so far."""
        return read_whole_lines(self.folder / CELLS)

    def add_cell(self, line: dict[str, Any]) -> None:
        """Write the line of a trained network down, and show it."""
        cut_unfinished(self.folder / CELLS)
        append_line(self.folder / CELLS, line)
        print(json.dumps(line), flush=True)
