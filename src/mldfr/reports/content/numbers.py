"""The numbers of an evaluation: those that matter most, the paper's beside them, and every metric."""

from collections.abc import Mapping, Sequence

from mldfr.evaluation.statistics.intervals import Spread
from mldfr.reports.content.display_names import counted, group_name, group_title, metric_name
from mldfr.reports.content.metrics_file import Stored
from mldfr.reports.content.paper import MAIN, NAMES, V2, PaperData, PaperRow, backbone_name, paper_data
from mldfr.reports.page.blocks import Block, Cell, Column, Headlines, Section, Table, Words
from mldfr.reports.page.charts import Intervals, Mark, Reading

HEADLINES: Mapping[str, str] = {
    "paper.corloc": "The largest region's box has an IoU over 0.5. Protocol paper",
    "as_used.corloc": "The largest region's box as the model draws it in use has an IoU over 0.5. Protocol as_used",
    "paper.voc_corloc": "Mean over the classes of the share whose highest-scoring box hits. Protocol paper",
    "authors.corloc": "The box as the published code draws it; mean over the classes. Protocol authors",
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
COMPARED = ("paper.corloc", "authors.corloc", "wsolevaluation.max_box_acc", "as_used.corloc")
"""What goes by the name of CorLoc under each protocol."""
COMPARED_V2 = (
    "paper.max_box_acc_v2_at_threshold",
    V2,
    "wsolevaluation.max_box_acc_v2",
    "as_used.max_box_acc_v2_at_threshold",
)
"""What goes by the name of MaxBoxAccV2."""


class Numbers:
    """An evaluation's numbers with their intervals, each of which is drawn once.

    Args:
        stored: The evaluation.
    """

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        setting = stored.setting
        self.paper = None if setting.class_agnostic else paper_data(setting.data, setting.split)
        self.backbone: str | None = (setting.architecture or {}).get("backbone")
        self.rows = self.paper.of_backbone(self.backbone) if self.paper else ()
        self._spreads: dict[str, Spread] = {}

    def spread(self, metric: str) -> Spread:
        """A metric's interval, or why it has none."""
        if metric not in self._spreads:
            self._spreads[metric] = self.stored.spread(metric)
        return self._spreads[metric]

    def reading(self, metric: str, note: str, *, name: str | None = None) -> Reading:
        """A metric, with the number of the paper's method where there is one."""
        found = self.spread(metric)
        return Reading(
            name=name or metric_name(metric.partition(".")[2]),
            note=note,
            value=self.stored.value(metric),
            low=found.low,
            high=found.high,
            reason=found.reason,
            of=self.stored.of(metric),
            marks=self._marks(metric),
        )

    def _marks(self, metric: str) -> Sequence[Mark]:
        return [
            Mark(value, f"the paper's {row.name}")
            for row in self.rows
            if row.whole and (value := row.value(metric)) is not None
        ]

    def section(self) -> Section:
        """The numbers that matter most, and the paper's."""
        blocks: list[Block] = [self.headlines()]
        for title, metrics in (
            ("CorLoc of the same maps by each protocol", COMPARED),
            ("What is called MaxBoxAccV2", COMPARED_V2),
        ):
            there = [metric for metric in metrics if self.stored.value(metric) is not None]
            if len(there) > 1:
                blocks.append(Intervals(title, [self._compared(metric) for metric in there]))
        if self.paper is None:
            blocks.append(Words("The paper has no numbers for what was evaluated.", quiet=True))
        else:
            blocks += self._beside(self.paper)
        lead = (
            "Intervals (95 %) say how much other pictures of the same kind would change: bootstrap over the pictures, "
            "10,000 draws. They know nothing of another run of the training. MaxBoxAcc keeps its best thresholds."
        )
        return Section("numbers", "Numbers", lead, blocks)

    def headlines(self) -> Headlines:
        """The most important numbers, large."""
        names = {"as_used.corloc": "CorLoc as used"}
        return Headlines([self.reading(each, HEADLINES[each], name=names.get(each)) for each in self.most_important()])

    def most_important(self) -> list[str]:
        """The most important metrics that there are, each kind of CorLoc but once."""
        known = [metric for metric in HEADLINES if self.stored.value(metric) is not None]
        if not self.stored.setting.multi_label and "paper.voc_corloc" in known:
            known.remove("paper.voc_corloc")
        if "paper.corloc" in known and self.stored.value("as_used.corloc") == self.stored.value("paper.corloc"):
            known = [metric for metric in known if metric != "as_used.corloc"]
        if {"paper.corloc", "authors.corloc"} <= set(known):
            known.remove("authors.corloc")
        return known[:MOST_HEADLINES]

    def _compared(self, metric: str) -> Reading:
        group, _, name = metric.partition(".")
        return self.reading(
            metric, f"{metric_name(name)}, {self.stored.of(metric)}", name=group_name(group).capitalize()
        )

    def _beside(self, paper: PaperData) -> list[Block]:
        """A table of this evaluation and the paper's rows, and what sets them apart."""
        metrics = self._shared()
        if not metrics:
            return []
        columns = [Column("Network")] + [
            Column(metric_name(each.partition(".")[2]), group_name(each.partition(".")[0]), decimals=2)
            for each in metrics
        ]
        own: list[Cell] = ["This evaluation", *(self.stored.value(each) for each in metrics)]
        rows = [own] + [_paper_row(row, metrics) for row in self.rows]
        foot = (
            f"{self._stand_in(paper)}The paper's networks were {paper.setting}; here {self._measured(paper)}. "
            "The paper's rows show where the field was; under such different settings they do not say which network is "
            "better. Errors: lower is better."
        )
        if V2 in metrics:
            foot += (
                " The paper's MaxBoxAccV2 was most likely computed at a fixed threshold, so it stands beside that of "
                "protocol authors."
            )
        return [Table(f"Beside the paper, {paper.name}", columns, rows, foot=foot, pinned=1)]

    def _shared(self) -> list[str]:
        """What the paper has too: the text's metrics, and the published code's where those were not measured."""
        found = []
        for metric in dict.fromkeys(metric for row in self.rows for metric in row.values):
            either = metric, metric.replace("paper.", "authors.")
            found += [each for each in either if self.stored.value(each) is not None][:1]
        return found

    def _stand_in(self, paper: PaperData) -> str:
        """That the rows are of another network, where they are."""
        if any(row.backbone == self.backbone for row in self.rows):
            return ""
        why = "Which network made these maps is not known"
        if self.backbone is not None:
            why = f"The paper has no {backbone_name(self.backbone)} on {paper.name}"
        return f"{why}: the rows of {NAMES[MAIN]}, the paper's main network, stand in. "

    def _measured(self, paper: PaperData) -> str:
        images = self.stored.counts.get("images", len(self.stored.images))
        classes = counted(len(set(self.stored.labels())), "classes")
        share = f"{images:,} of its {paper.images:,}" if images < paper.images else f"{images:,}"
        return f"{share} pictures, of {classes}, were measured"

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
                Column("no interval", hint="why there is none"),
            ]
            blocks.append(Table(group_title(group), columns, rows))
        return Section("metrics", "Every metric", "All that was measured, with its denominators.", blocks)

    def _row(self, group: str, name: str) -> list[Cell]:
        metric = f"{group}.{name}"
        found = self.spread(metric)
        of = self.stored.of(metric)
        return [metric_name(name), self.stored.value(metric), found.low, found.high, of, found.reason]


def _paper_row(row: PaperRow, metrics: Sequence[str]) -> list[Cell]:
    return [f"The paper: {row.name}", *(row.value(metric) for metric in metrics)]
