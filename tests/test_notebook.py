"""The notebook is executed as it stands, and keeps no outputs."""

from pathlib import Path

import pytest

from helpers import small_sides

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOK = Path(__file__).parents[1] / "examples" / "labels_to_boxes.ipynb"
SMALL = f"""
import pkgutil

for name, value in {small_sides()}.items():
    place, _, attribute = name.rpartition(".")
    setattr(pkgutil.resolve_name(place), attribute, value)
"""
"""What the kernel runs before the cells that are shown, so that they take seconds."""


def test_it_goes_from_labels_to_boxes_and_measures_them(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    written = nbformat.read(NOTEBOOK, as_version=4)
    written.cells.insert(0, nbformat.v4.new_code_cell(SMALL))
    done = nbclient.NotebookClient(written, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert not any(output.output_type == "error" for output in shown)
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
    assert (tmp_path / "boxes" / "annotations.json").is_file()
    assert len(list((tmp_path / "boxes" / "yolo").rglob("*.txt"))) > 3
    said = "".join(output.get("text", "") for output in shown)
    assert "% of the boxes overlap the true one" in said


def test_it_is_kept_without_outputs():
    written = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(written)
    assert all(not cell.outputs and cell.execution_count is None for cell in written.cells if cell.cell_type == "code")
