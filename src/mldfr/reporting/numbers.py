"""The numbers of an evaluation: those that matter most, the paper's beside them, and every metric."""

from collections.abc import Mapping, Sequence

from mldfr.evaluation.bootstrap import Interval
from mldfr.report.blocks import Block, Cell, Column, Headlines, Section, Table, Words
from mldfr.report.charts import Intervals, Mark, Reading
from mldfr.reporting.paper import V2, V2_FIXED, PaperData, PaperRow, paper_data
from mldfr.reporting.stored import Stored
from mldfr.reporting.words import PROTOCOLS, metric_name

HEADLINES: Mapping[str, str] = {
    "paper.corloc": "Given the class, the largest region's box has an IoU over 0.5. Protocol paper",
    "paper.voc_corloc": "Mean over the classes of the share whose highest-scoring box hits. Protocol paper",
    "authors.corloc": "Given the class, as the published code draws and averages. Protocol authors",
    "wsolevaluation.max_box_acc_v2": "Mean over IoU 0.3, 0.5, 0.7, each at its best threshold. Protocol wsolevaluation",
    "wsolevaluation.max_box_acc": "Largest contour, IoU 0.5, best threshold. Protocol wsolevaluation",
    "wsolevaluation.px_ap": "Area under the precision-recall curve of pixels. Protocol wsolevaluation",
    "paper.cls_loc_top1_error": "Class and box not both right; lower is better. Protocol paper",
    "classification.cls_top1_error": "The most probable class is not the label; lower is better. Scale 1",
    "classification.cls_map": "Mean average precision of ranking pictures by class. Scale 1",
    "paper.voc_map_11_point_iou_50": "Detection by the boxes of predicted classes, IoU 0.5. Protocol paper",
}
"""In the order in which they are shown."""
MOST_HEADLINES = 5
COMPARED = ("paper.corloc", "authors.corloc", "wsolevaluation.max_box_acc")
"""What goes by the name of CorLoc under each protocol."""
COMPARED_V2 = ("paper.max_box_acc_v2_at_threshold", V2_FIXED, V2)
"""What goes by the name of MaxBoxAccV2."""


class Numbers:
    """An evaluation's numbers with their intervals, each of which is drawn once.

    Args:
        stored: The evaluation.
    """

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.paper = paper_data(stored.setting.data, stored.setting.split)
        architecture = stored.setting.architecture or {}
        self.rows = self.paper.of_backbone(architecture.get("backbone")) if self.paper else ()
        self._intervals: dict[str, Interval | None] = {}

    def interval(self, metric: str) -> Interval | None:
        """A metric's interval in percent, where it has one."""
        if metric not in self._intervals:
            self._intervals[metric] = self.stored.interval(metric)
        return self._intervals[metric]

    def reading(self, metric: str, note: str, *, name: str | None = None) -> Reading:
        """A metric, with the number of the paper's method where there is one."""
        found = self.interval(metric)
        return Reading(
            name=name or metric_name(metric.partition(".")[2]),
            note=note,
            value=self.stored.value(metric),
            low=None if found is None else found.low,
            high=None if found is None else found.high,
            of=self.stored.of(metric),
            marks=self._marks(metric),
        )

    def _marks(self, metric: str) -> Sequence[Mark]:
        asked = V2 if metric == V2_FIXED else metric
        return [
            Mark(row.values[asked], f"the paper's {row.name}") for row in self.rows if row.whole and asked in row.values
        ]

    def section(self) -> Section:
        """The numbers that matter most, and the paper's."""
        blocks: list[Block] = [Headlines([self.reading(each, HEADLINES[each]) for each in self._headlines()])]
        for title, metrics in (
            ("One set of maps, three kinds of CorLoc", COMPARED),
            ("What is called MaxBoxAccV2", COMPARED_V2),
        ):
            there = [metric for metric in metrics if self.stored.value(metric) is not None]
            if len(there) > 1:
                blocks.append(Intervals(title, [self._compared(metric) for metric in there]))
        if self.paper is None:
            blocks.append(Words("The paper has no numbers for this set of pictures.", quiet=True))
        else:
            blocks += self._beside(self.paper)
        lead = (
            "Intervals (95 %) say how much other pictures of the same kind would change: bootstrap over the pictures, "
            "10,000 draws. They know nothing of another run of the training. MaxBoxAcc keeps its best thresholds."
        )
        return Section("numbers", "Numbers", lead, blocks)

    def _headlines(self) -> list[str]:
        """The most important metrics that there are, each kind of CorLoc but once."""
        known = [metric for metric in HEADLINES if self.stored.value(metric) is not None]
        if not self.stored.setting.multi_label and "paper.voc_corloc" in known:
            known.remove("paper.voc_corloc")
        if {"paper.corloc", "authors.corloc"} <= set(known):
            known.remove("authors.corloc")
        return known[:MOST_HEADLINES]

    def _compared(self, metric: str) -> Reading:
        group, _, name = metric.partition(".")
        return self.reading(metric, f"{metric_name(name)}, {self.stored.of(metric)}", name=group)

    def _beside(self, paper: PaperData) -> list[Block]:
        """A table of this evaluation and the paper's rows, and what sets them apart."""
        metrics = [metric for metric in self._shared() if self.stored.value(metric) is not None]
        if not metrics:
            return []
        columns = [Column("Network")] + [
            Column(metric_name(each.partition(".")[2]), each.partition(".")[0], decimals=2) for each in metrics
        ]
        own: list[Cell] = ["This evaluation", *(self.stored.value(each) for each in metrics)]
        rows = [own] + [_paper_row(row, metrics) for row in self.rows]
        foot = (
            f"The paper's networks were {paper.setting}; here {self._measured(paper)}. The paper's rows show where the "
            "field was; under such different settings they do not say which network is better. Errors: lower is better."
        )
        if V2 in metrics:
            foot += " The paper's MaxBoxAccV2 was most likely computed at a fixed threshold (protocol authors)."
        return [Table(f"Beside the paper, {paper.name}", columns, rows, foot=foot)]

    def _shared(self) -> list[str]:
        return list(dict.fromkeys(metric for row in self.rows for metric in row.values))

    def _measured(self, paper: PaperData) -> str:
        images = self.stored.counts.get("images", len(self.stored.images))
        classes = len(set(self.stored.labels()))
        share = f"{images:,} of its {paper.images:,}" if images < paper.images else f"{images:,}"
        return f"{share} pictures, of {classes} classes, were measured"

    def every(self) -> Section:
        """A table of all metrics of each group."""
        blocks: list[Block] = []
        for group, found in self.stored.metrics.items():
            rows = [self._row(group, name) for name in found]
            columns = [
                Column("Metric"),
                Column("%", decimals=2),
                Column("from", "95 %", "lower end of the interval", 2),
                Column("to", "95 %", "upper end of the interval", 2),
                Column("of", hint="the denominator"),
            ]
            blocks.append(Table(PROTOCOLS.get(group, group), columns, rows))
        lead = "All that was measured, with its denominators. Averages of precision have no interval."
        return Section("metrics", "Every metric", lead, blocks)

    def _row(self, group: str, name: str) -> list[Cell]:
        metric = f"{group}.{name}"
        found = self.interval(metric)
        ends: list[Cell] = [None, None] if found is None else [found.low, found.high]
        return [metric_name(name), self.stored.value(metric), *ends, self.stored.of(metric)]


def _paper_row(row: PaperRow, metrics: Sequence[str]) -> list[Cell]:
    return [f"The paper: {row.name}", *(row.values.get(metric) for metric in metrics)]
