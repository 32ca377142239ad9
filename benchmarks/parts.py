"""A plot of what each part of a map adds: docs/results-maps.jsonl to docs/parts.svg.

    python benchmarks/parts.py [LINES] [SVG]

Each line has a set, a part (what was changed in the first one of its set, or another map), and in percent `corloc`
and `corloc_iou_70`, with the command that measured it.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
INK, LIGHT = "#1f6f8b", "#c9572c"
TITLES = {"cub": "CUB, test, 585 pictures", "pets": "pets, 150 pictures"}


def plot(lines: list[dict[str, object]], target: Path) -> None:
    """Draw a panel for each set, a row for each part, in the order of the lines."""
    sets = list(dict.fromkeys(str(line["set"]) for line in lines))
    rows = [[line for line in lines if line["set"] == each] for each in sets]
    plt.rcParams.update({"font.family": "sans-serif", "svg.hashsalt": "mldfr", "svg.fonttype": "none", "font.size": 9})
    figure, panels = plt.subplots(1, len(sets), figsize=(9.5, 0.27 * max(map(len, rows)) + 1.1), squeeze=False)
    for panel, each, name in zip(panels[0], rows, sets, strict=True):
        places = range(len(each), 0, -1)
        for key, colour, label in (("corloc", INK, "IoU > 0.5"), ("corloc_iou_70", LIGHT, "IoU > 0.7")):
            values = [float(str(line[key])) for line in each]
            panel.axvline(values[0], color=colour, linewidth=0.8, linestyle=":")
            panel.plot(values, places, "o", color=colour, markersize=5, label=label)
        panel.set_yticks(list(places), [str(line["part"]) for line in each])
        panel.set_xlim(0, 102)
        panel.set_title(TITLES.get(name, name), fontsize=9, loc="left")
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(length=0)
        panel.set_xlabel("right boxes, %")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=2, frameon=False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    given = [Path(each) for each in sys.argv[1:]]
    source, target = (*given, *(DOCS / "results-maps.jsonl", DOCS / "parts.svg")[len(given) :])
    plot([json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()], target)
