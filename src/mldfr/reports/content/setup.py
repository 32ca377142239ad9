"""What was evaluated, in words: names, the result in a sentence, and all that the numbers depend on."""

from collections.abc import Sequence
from pathlib import Path

from mldfr.boxes.thresholds import threshold_text
from mldfr.evaluation.protocols import PROTOCOLS
from mldfr.networks.model_file import MODEL_FILE
from mldfr.reports.content.display_names import counted, group_name, scales_name, told
from mldfr.reports.content.metrics_file import Stored
from mldfr.reports.content.numbers import COMPARED, Numbers
from mldfr.reports.content.paper import backbone_name, paper_data
from mldfr.reports.page.blocks import Block, Facts, Section, Words

SHOWN = 10
"""So many pictures that failed, and problems of the data, are told."""


def model_name(stored: Stored) -> str:
    """The name of the model, of its run, or of the folder of maps."""
    if stored.setting.predictions is not None:
        return f"Boxes in {Path(stored.setting.predictions).name}"
    if stored.setting.model is None:
        return f"Maps in {Path(stored.setting.score_maps or '').name}"
    path = Path(stored.setting.model)
    return path.parent.name if path.name == MODEL_FILE else path.name.removesuffix(".safetensors")


def data_name(stored: Stored) -> str:
    """What the paper calls the set, or the name of its folder; that of wsol's metadata is in a folder of the split."""
    setting = stored.setting
    if known := paper_data(setting.data, setting.split):
        return known.name
    path = Path(setting.data.partition(":")[2])
    return path.parent.name if path.name == setting.split else path.name


def result(numbers: Numbers) -> str:
    """The most important number, in a sentence, and how many pictures are not in it."""
    stored = numbers.stored
    without = f" Without {_not_read(stored)}." if stored.failed else ""
    known = [metric for metric in COMPARED if stored.value(metric) is not None]
    if not known:
        return f"Evaluated: {counted(len(stored.images), 'pictures')}.{without}"
    reading, group = numbers.reading(known[0], ""), known[0].partition(".")[0]
    sure = f"no interval: {reading.reason}"
    if reading.low is not None and reading.high is not None:
        sure = f"95 %: {reading.low:.1f} to {reading.high:.1f}"
    which = "The box of the most probable class" if stored.setting.class_agnostic else "Told the class, the box"
    share = "the cases, as the mean over " if stored.is_mean_over_classes(known[0]) else ""
    best = ", at the threshold that is best for this very set" if PROTOCOLS[group].sweeps else ""
    taught = " The network was trained with image labels alone." if stored.setting.model else ""
    return (
        f"{which} hits an object in {reading.value:.1f} % of {share}{reading.of} ({sure}): {reading.name}, "
        f"{group_name(group)}{best}.{without}{taught}"
    )


def _not_read(stored: Stored) -> str:
    sizes = " or are of another size than annotated" if stored.counts.get("other_size") else ""
    return f"{len(stored.failed):,} of {counted(stored.asked, 'pictures')}, which could not be read{sizes}"


def facts(stored: Stored) -> dict[str, str]:
    """The most important facts."""
    setting, counts = stored.setting, stored.counts
    architecture = setting.architecture or {}
    failed = f" of {stored.asked:,}" if stored.failed else ""
    return {
        "Network": backbone_name(str(architecture.get("backbone", "not known"))),
        "Recalibration": str(architecture.get("recalibration", "not known")).replace("_", " "),
        "Pyramid": scales_name(setting.scales),
        "Threshold": _threshold(stored),
        "Pictures": f"{len(stored.images):,}{failed}, split {setting.split}",
        "Annotated objects": f"{counts.get('objects', 0):,}",
    }


def _threshold(stored: Stored) -> str:
    if stored.setting.threshold is None:
        return "not known, boxes as they were predicted"
    return f"{threshold_text(stored.setting.threshold)}, {stored.setting.normalizer or 'as each protocol'}"


def section(stored: Stored, recipe: Sequence[Block]) -> Section:
    """All that the numbers depend on, and the recipe of the training where it is known."""
    setting = stored.setting
    input_size = (setting.preprocessing or {}).get("input_size")
    evaluation = {
        "Data": f"{setting.data}, split {setting.split}",
        "Model": setting.model or ("none, predicted boxes" if setting.predictions else "none, stored maps"),
        "Score maps": setting.score_maps or ("none" if setting.predictions else "made by the model"),
        **({"Boxes": setting.predictions} if setting.predictions else {}),
        "Protocols": ", ".join(setting.protocols),
        "Input size": f"{input_size} pixels, the short side at scale 1" if input_size else "not known",
        "Scales": scales_name(setting.scales),
        "Normaliser": setting.normalizer or "the protocols' own",
        "Threshold": "not known" if setting.threshold is None else threshold_text(setting.threshold),
        **({"Boxes of as_used": told(setting.as_used)} if setting.as_used else {}),
        "Labels": "several for each picture" if setting.multi_label else "one for each picture",
        "Class-agnostic": told(setting.class_agnostic),
        **({"Classes": setting.class_match} if setting.class_match else {}),
        "Fingerprint": setting.sha256 or "none",
    }
    counts = {name.replace("_", " ").capitalize(): f"{count:,}" for name, count in stored.counts.items() if count}
    network = {name.replace("_", " ").capitalize(): told(value) for name, value in (setting.architecture or {}).items()}
    blocks: list[Block] = [*recipe, Facts("Evaluation", evaluation), Facts("Counts", counts)]
    blocks += [Facts("Network", network)] if network else []
    blocks.append(Facts("Software", setting.versions))
    blocks += [Words(f"Left out: {reason}", quiet=True) for reason in list(stored.failed.values())[:SHOWN]]
    blocks += [Words(f"Problem of the data: {problem}", quiet=True) for problem in stored.problems[:SHOWN]]
    return Section("setup", "Setup", "", blocks)
