"""What was evaluated, in words: names, the result in a sentence, and all that the numbers depend on."""

from collections.abc import Sequence
from pathlib import Path

from mldfr.network import MODEL_FILE
from mldfr.report.blocks import Block, Facts, Section, Words
from mldfr.reporting.numbers import COMPARED, Numbers
from mldfr.reporting.paper import backbone_name, paper_data
from mldfr.reporting.stored import Stored
from mldfr.reporting.words import scales_name

SHOWN = 10
"""So many pictures that failed, and problems of the data, are told."""


def model_name(stored: Stored) -> str:
    """The name of the model, of its run, or of the folder of maps."""
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
    """The most important number, in a sentence."""
    stored = numbers.stored
    known = [metric for metric in COMPARED if stored.value(metric) is not None]
    if not known:
        return f"{stored.counts.get('images', len(stored.images)):,} pictures were evaluated."
    reading = numbers.reading(known[0], "")
    sure = "" if reading.low is None else f" (95 %: {reading.low:.1f} to {reading.high:.1f})"
    taught = " The network was trained with image labels alone." if stored.setting.model else ""
    return (
        f"Told the class, the box hits an object in {reading.value:.1f} % of {len(stored.cases):,} cases{sure}: "
        f"{reading.name}, protocol {known[0].partition('.')[0]}.{taught}"
    )


def facts(stored: Stored) -> dict[str, str]:
    """The most important facts."""
    setting, counts = stored.setting, stored.counts
    architecture = setting.architecture or {}
    return {
        "Network": backbone_name(str(architecture.get("backbone", "not known"))),
        "Recalibration": str(architecture.get("recalibration", "not known")).replace("_", " "),
        "Pyramid": scales_name(setting.scales),
        "Threshold": f"{setting.threshold:g}, {setting.normalizer or 'as each protocol'}",
        "Pictures": f"{counts.get('images', len(stored.images)):,}, split {setting.split}",
        "Annotated objects": f"{counts.get('objects', 0):,}",
    }


def section(stored: Stored, recipe: Sequence[Block]) -> Section:
    """All that the numbers depend on, and the recipe of the training where it is known."""
    setting = stored.setting
    told = {
        "Data": f"{setting.data}, split {setting.split}",
        "Model": setting.model or "none, stored maps",
        "Score maps": setting.score_maps or "made by the model",
        "Scales": scales_name(setting.scales),
        "Normaliser": setting.normalizer or "the protocols' own",
        "Threshold": f"{setting.threshold:g}",
        "Labels": "several for each picture" if setting.multi_label else "one for each picture",
        "Class-agnostic": "yes" if setting.class_agnostic else "no",
        "Fingerprint": setting.sha256 or "none",
    }
    counted = {name.replace("_", " ").capitalize(): f"{count:,}" for name, count in stored.counts.items() if count}
    network = {name.replace("_", " ").capitalize(): str(value) for name, value in (setting.architecture or {}).items()}
    blocks: list[Block] = [*recipe, Facts("Evaluation", told), Facts("Counts", counted)]
    blocks += [Facts("Network", network)] if network else []
    blocks.append(Facts("Software", setting.versions))
    blocks += [Words(f"Could not be read: {reason}", quiet=True) for reason in list(stored.failed.values())[:SHOWN]]
    blocks += [Words(f"Problem of the data: {problem}", quiet=True) for problem in stored.problems[:SHOWN]]
    return Section("setup", "Setup", "", blocks)
