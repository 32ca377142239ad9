"""From a network to a file that has been seen to compute the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from mldfr.core.errors import SettingError
from mldfr.core.files import replacing
from mldfr.core.text import escaped
from mldfr.core.types import UInt8Array
from mldfr.deployment import DEPLOYMENT_FORMATS
from mldfr.deployment.base import DeploymentError, DeploymentFormat, GraphActivator, metadata
from mldfr.deployment.graph import PyramidGraph, trace
from mldfr.deployment.quantization import split
from mldfr.images import read_image
from mldfr.localizer.closer_looks import scales_of_windows
from mldfr.localizer.mscam import Activation, mscam
from mldfr.maps import DEFAULT
from mldfr.networks.network import LocalizationNetwork

TOLERANCES = {"f32": 1e-4, "int8": 0.5}
"""How far a value may be off, in parts of the largest value of its kind in both classes (or of 1), by precision.

That of int8 finds what is broken; how good the rest is, the numbers say.
"""


@dataclass(frozen=True)
class Agreement:
    """How a file compares with the network it was made from.

    Attributes:
        pictures: On how many pictures they were compared.
        difference: The largest absolute difference between two values of the score maps.
        largest: The largest absolute value of the score maps.

    Examples:
        >>> agreement = Agreement(pictures=2, difference=2e-6, largest=4.0)
        >>> agreement.difference <= TOLERANCES["f32"] * agreement.largest
        True
    """

    pictures: int
    difference: float
    largest: float


def export(
    network: LocalizationNetwork,
    path: str | Path,
    *,
    format: str = "onnx",
    scales: Sequence[float] | None = None,
    map_name: str | None = None,
    precision: str = "f32",
    calibration: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Agreement:
    """Write a network and its pyramid into one file, which has its name only when it computes what the network does.

    Its inputs, outputs and metadata are described in the file itself (see `mldfr.deployment.description`): in the
    description of an ONNX model, or the extra file `mldfr_description` of a `torch.export` program.

    Args:
        network: The network, on the CPU.
        path: The file; its name ends as the format's names do.
        format: A name of `mldfr list deployment-formats`.
        scales: Factors of the pyramid; what the model's card says when left out.
        map_name: What is summed over it, of `mldfr list maps`; likewise.
        precision: `f32`, or `int8` for convolutions in 8 bits, which are only near those of the network.
        calibration: Pictures like those to come, of which int8 takes some dozens: most to see how large values are, the
            rest to compare on. In f32, which needs none, two built-in pictures are compared.
        say: Told of each step before it begins; each takes some of the minutes.

    Returns:
        How file and network agree.

    Raises:
        SettingError: An unknown format or precision, a scale or a suffix that cannot be had, too few pictures.
        ImageError: A picture cannot be read.
        DeploymentError: A package is missing, the weights are too large for the format, or the file computes something
            else.
        WriteError: The file cannot be written.

    Examples:
        >>> import mldfr
        >>> network = mldfr.Localizer.create("vgg16", num_classes=2, recalibration="none").network.eval()
        >>> agreement = export(network, "small.pt2", format="torch-export", scales=(1,))
        >>> agreement.pictures, agreement.difference < 1e-4 * agreement.largest
        (2, True)
    """
    chosen, path = DEPLOYMENT_FORMATS[format], Path(path)
    if path.suffix != chosen.suffix:
        raise SettingError(f"files of the format {format} end in {chosen.suffix}; got {path}")
    if escaped(str(path)) != str(path):
        raise SettingError(f"{path}: expected a path in UTF-8, without which the file cannot be read again")
    if path.is_dir():
        raise SettingError(f"{path} is a folder, not a file")
    chosen.check(network)
    scales = tuple(scales or network.card.localization.scales)
    if network.card.localization.closer and scales_of_windows(scales) != scales:
        got = ", ".join(f"{scale:g}" for scale in scales)
        raise DeploymentError(f"the model looks closer, for which a file needs scales that begin at 1; got {got}")
    map_name = map_name or network.card.localization.map
    texts = metadata(network, scales, map_name=map_name, precision=precision)
    calibrated, compared = _pictures(chosen, format, precision, calibration)
    graph = PyramidGraph(network, scales, map_name, in_place=chosen.in_place)
    with replacing(path) as temporary:  # a place that cannot be written to shows before minutes are spent
        say(f"1 of 3: the network is followed through {len(scales)} scales")
        program = trace(graph)
        say(f"2 of 3: {format} is written{f', and calibrated on {len(calibrated)} pictures' if calibrated else ''}")
        if calibrated:
            assert chosen.quantize is not None
            with TemporaryDirectory() as folder:
                whole = Path(folder, f"f32{path.suffix}")
                chosen.write(program, whole, texts)
                chosen.quantize(whole, temporary, calibrated)
        else:
            chosen.write(program, temporary, texts)
        say(f"3 of 3: file and network look at {len(compared)} pictures, to be compared")
        return compare(
            network, chosen.open(temporary), scales=scales, map_name=map_name, precision=precision, images=compared
        )


def _pictures(
    chosen: DeploymentFormat, format: str, precision: str, given: Sequence[Path]
) -> tuple[list[Path], list[UInt8Array]]:
    """The pictures to calibrate on, and those to compare on."""
    if precision == "f32":
        if given:
            raise SettingError("pictures to calibrate on are for the precision int8")
        return [], pictures()
    if chosen.quantize is None:
        raise SettingError(f"{precision} cannot be had in the format {format}; onnx has it")
    calibrated, compared = split(given)
    return calibrated, [read_image(path) for path in compared]


def compare(
    network: LocalizationNetwork,
    activate: GraphActivator,
    *,
    scales: Sequence[float],
    map_name: str = DEFAULT,
    precision: str = "f32",
    images: Sequence[UInt8Array] | None = None,
) -> Agreement:
    """Let a file and its network look at pictures, the built-in ones if none are given, at two classes.

    These are class 0 and that which the file takes for the most probable.

    Raises:
        DeploymentError: They do not agree as well as the precision can.
    """
    images, tolerance = pictures() if images is None else images, TOLERANCES[precision]
    difference = largest = 0.0
    for pixels in images:
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        (ranked,), (given,) = activate([pixels], [1]), activate([pixels], [[0]])
        references = mscam(network, [image] * 2, scales=scales, classes=[ranked.classes, [0]], map_name=map_name)
        kinds = list(zip(*map(_parts, references), strict=True))
        for found, expected in zip((ranked, given), references, strict=True):
            for one, other, kind in zip(_parts(found), _parts(expected), kinds, strict=True):
                _check(one, other, tolerance * max(1.0, *(float(part.abs().max()) for part in kind)))
            difference = max(difference, float((found.score_maps - expected.score_maps).abs().max()))
            largest = max(largest, float(expected.score_maps.abs().max()))
        best = references[0].logits.max()
        if float(best - references[0].logits[ranked.classes[0]]) > tolerance * max(1.0, float(best.abs())):
            raise DeploymentError(f"the exported graph takes class {ranked.classes[0]} for the most probable one")
    return Agreement(len(images), difference, largest)


def pictures() -> list[UInt8Array]:
    """Two pictures of different shapes, with smooth parts, edges and noise."""
    return [_picture(150, 97), _picture(211, 320)]


def _picture(height: int, width: int) -> UInt8Array:
    noise = np.random.default_rng(height)
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    waves = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(5 * (x + y))], axis=-1)
    disc = ((x - 0.4) ** 2 + (y - 0.6) ** 2 < 0.05)[..., None] * [90, -60, 30]
    pixels = 127 + 80 * waves + disc + noise.normal(0, 10, (height, width, 3))
    bounded: UInt8Array = np.clip(pixels, 0, 255).astype(np.uint8)
    return bounded


def _parts(activation: Activation) -> list[torch.Tensor]:
    """Logits, summed maps, and the maps of each scale."""
    return [activation.logits, activation.score_maps, *(maps for _, maps in sorted(activation.scale_maps.items()))]


def _check(found: torch.Tensor, expected: torch.Tensor, allowed: float) -> None:
    difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
    if not difference <= allowed:  # a NaN is no agreement either
        raise DeploymentError(f"the exported graph differs from the network by {difference:.2g}; nothing was written")
