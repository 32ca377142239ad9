"""Options that several verbs have."""

from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.networks.card import Rules

OF_MODEL = "the model's own"

Scales = Annotated[str | None, typer.Option(help="Image pyramid, such as 1,1.5,2.", show_default=OF_MODEL)]
Map = Annotated[
    str | None,
    typer.Option(
        help="What is summed over the pyramid, see `mldfr list maps`; grad_cam@stage1 is that behind a stage, "
        "score_cam@stage1:512 (or :all) of so many channels there.",
        show_default=OF_MODEL,
    ),
]
Closer = Annotated[
    int | None,
    typer.Option(min=0, max=4, help="Look again so often at the window around what was found.", show_default=OF_MODEL),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|NAME",
        help="What an activation must exceed, in [0, 1); or a name of `mldfr list thresholds`.",
        show_default=OF_MODEL,
    ),
]
Normalizer = Annotated[str | None, typer.Option(help="See `mldfr list normalizers`.", show_default=OF_MODEL)]
BoxRule = Annotated[str | None, typer.Option(help="See `mldfr list box-rules`.", show_default=OF_MODEL)]
Instances = Annotated[
    str | None,
    typer.Option(help="joined, or a way to split what touches; see `mldfr list instances`.", show_default=OF_MODEL),
]
Refine = Annotated[
    str | None,
    typer.Option(help="none, or grabcut or superpixels to fit boxes to the picture.", show_default=OF_MODEL),
]
MinRegion = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="No box for regions with fewer pixels than this share of the largest.",
        show_default=OF_MODEL,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")]
Runtime = Annotated[
    str | None,
    typer.Option(help="What runs an ONNX model, see `mldfr list runtimes`.", show_default="onnxruntime"),
]
Shard = Annotated[
    str, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts; `mldfr merge` joins them.")
]
Every = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS", help="Of films: a frame every 1s, 0.5s, 2m, written into the folder of the results."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures to look at together; for GPUs.")]


def rules_of(
    scales: str | None,
    map: str | None,
    closer: int | None,
    threshold: str | None,
    normalizer: str | None,
    box_rule: str | None,
    instances: str | None,
    refine: str | None,
    min_region: float | None,
) -> "Rules":
    """What the user said of the way from pictures to boxes, as keywords of the verbs in Python.

    Raises:
        SettingError: Scales that are no numbers.
    """
    return {
        "scales": None if scales is None else scale_factors(scales),
        "map": map,
        "closer": closer,
        "threshold": threshold,  # `BoxSettings` knows numbers from names
        "normalizer": normalizer,
        "box_rule": box_rule,
        "instances": instances,
        "refine": refine,
        "min_region": min_region,
    }


def scale_factors(text: str) -> list[float]:
    """The value of --scales.

    Raises:
        SettingError: No numbers with commas between them.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise SettingError(f"--scales takes numbers with commas between them, such as 1,1.5,2; got {text!r}") from error
