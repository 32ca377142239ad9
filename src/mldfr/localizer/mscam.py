"""Multi-scale class activation mapping, MsCAM (paper, Section III-C and Fig. 6)."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from mldfr.core.errors import InputError, SettingError
from mldfr.core.parallel import spread
from mldfr.localizer.modes import evaluating
from mldfr.maps import DEFAULT
from mldfr.maps.base import LAST, map_of_stages
from mldfr.maps.gradients import GradientMap
from mldfr.networks.backbones import MIN_INPUT_SIZE
from mldfr.networks.card import Preprocessing
from mldfr.networks.network import LocalizationNetwork

Classes = int | Literal["all"] | Sequence[Sequence[int]] | Callable[[int, Tensor], Sequence[int]]
"""Which classes to map: the k most probable of each image, all, those listed for each image, or a function that is
given the image's index and logits (K,)."""


@dataclass(frozen=True, eq=False)
class Activation:
    """What the pyramid has to say about one image.

    Attributes:
        logits: (K,), of the scale-1 pass, or the mean over the pyramid (see `Card.classified_at`).
        classes: k class indices.
        score_maps: (k, H, W), the sum over the scales at image resolution, any range.
        scale_maps: What was summed, before it was resized: (k, h, w) for each scale.

    Examples:
        >>> Activation(torch.zeros(3), (2,), torch.zeros(1, 64, 96), {1.0: torch.zeros(1, 14, 21)}).classes
        (2,)
    """

    logits: Tensor
    classes: tuple[int, ...]
    score_maps: Tensor
    scale_maps: Mapping[float, Tensor]


def mscam(
    network: LocalizationNetwork,
    images: Sequence[Tensor],
    *,
    scales: Sequence[float] = (1.0, 1.5, 2.0),
    classes: Classes = 1,
    map_name: str = DEFAULT,
) -> list[Activation]:
    """Map classes at several scales and sum the maps at image resolution.

    The short side of an image becomes `scale * input_size`, its shape is kept; the maps of the classes asked for,
    and no others, are resized to the image (bilinear, half-pixel centres) and added. Images whose scaled sizes agree
    run through the network together, on an NVIDIA GPU in half precision. Logits come from the scale-1 pass, which is
    run for them alone if 1 is not among the scales, or are the mean over the scales where the model's card says so
    (`classified_at`). The network is left in the mode, train or eval, it was in.

    Args:
        network: The network.
        images: uint8 (3, H, W) each, of any shapes.
        scales: Factors of the pyramid.
        classes: A number k for the k most probable classes of each image, "all", a list for each image, or a function
            that lists them when it is given the image's index and logits.
        map_name: What is summed, of `mldfr list maps`. One that tells no classes apart is the same for each.

    Returns:
        One activation per image, on the network's device.

    Raises:
        ValueError: A scale at which the short side has under 64 pixels, classes that do not exist, or a map that the
            network does not have.

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=3).eval()
        >>> (activation,) = mscam(network, [torch.zeros(3, 64, 96, dtype=torch.uint8)], scales=(1, 1.5), classes="all")
        >>> tuple(activation.score_maps.shape), sorted(activation.scale_maps)
        ((3, 64, 96), [1.0, 1.5])
    """
    sums: dict[int, Tensor] = {}
    parts: list[dict[float, Tensor]] = [{} for _ in images]
    logits, given = _start(network, images, scales, classes)
    for scale, index, (maps,) in _passes(network, images, scales, classes, logits, given, [map_name]):
        whole = upsampled(list(scales).count(scale) * maps, images[index].shape[-2:])
        sums[index] = sums[index].add_(whole) if index in sums else whole
        parts[index][scale] = maps
    return [
        Activation(
            logits[i],
            tuple(given[i]),
            _for_each(given[i], sums[i]),
            {scale: _for_each(given[i], maps) for scale, maps in parts[i].items()},
        )
        for i in range(len(images))
    ]


def scale_maps_by_name(
    network: LocalizationNetwork,
    image: Tensor,
    *,
    scales: Sequence[float],
    classes: Sequence[int] | int,
    map_names: Sequence[str],
    size: Sequence[int],
) -> dict[str, dict[float, Tensor]]:
    """What `mscam` would sum, one by one, of several kinds of maps; the network is run once at each scale.

    Takes and raises what `mscam` does, of one image, uint8 (3, H, W); besides the size (H, W) of the maps.

    Returns:
        By name and scale (k, H, W), or (1, H, W) where one map stands for all classes.

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=3).eval()
        >>> image, both = torch.zeros(3, 64, 96, dtype=torch.uint8), ["cam", "feature_norm"]
        >>> maps = scale_maps_by_name(network, image, scales=[1], classes=[2, 0], map_names=both, size=(32, 48))
        >>> {name: tuple(of_scales[1].shape) for name, of_scales in maps.items()}
        {'cam': (2, 32, 48), 'feature_norm': (1, 32, 48)}
    """
    asked: Classes = classes if isinstance(classes, int) else [classes]
    logits, given = _start(network, [image], scales, asked)
    found: dict[str, dict[float, Tensor]] = {name: {} for name in map_names}
    for scale, _, of_names in _passes(network, [image], scales, asked, logits, given, map_names):
        for name, maps in zip(map_names, of_names, strict=True):
            found[name][scale] = upsampled(maps, size)
    return found


def scaled_features(network: LocalizationNetwork, image: Tensor, scale: float) -> Tensor:
    """The features (C, h, w) of one image, uint8 (3, H, W), at one scale."""
    (features,) = stage_features(network, image, scale)
    return features


def stage_features(
    network: LocalizationNetwork, image: Tensor, scale: float, earlier: Sequence[int] = ()
) -> Sequence[Tensor]:
    """Features (C, h, w) of one image, uint8 (3, H, W), at one scale, of the `earlier` stages and the last."""
    ((_, stages),) = _features(network, [image.to(network.device)], scale, earlier)
    return stages


def short_side(preprocessing: Preprocessing, scale: float) -> int:
    """Pixels of the short side at a scale.

    Raises:
        ValueError: They are fewer than the network can take.
    """
    pixels = int(scale * preprocessing.input_size)
    if pixels < MIN_INPUT_SIZE:
        raise SettingError(
            f"at scale {scale:g} the short side has {pixels} pixels; at least {MIN_INPUT_SIZE} are needed"
        )
    return pixels


def scaled_size(height: int, width: int, pixels: int) -> tuple[int, int]:
    """The size (H, W) at which the short side has so many pixels and the shape is kept."""
    if height <= width:
        return pixels, max(pixels, int(pixels * width / height))
    return max(pixels, int(pixels * height / width)), pixels


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture (3, H, W) uint8 at another size (H, W), bilinear and antialiased."""
    made: Tensor = transforms.resize(image, list(size), antialias=True)
    return made


def upsampled(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (k, h, w) at the size (H, W) of the picture: (k, H, W)."""
    return F.interpolate(maps[None], size=tuple(size), mode="bilinear", align_corners=False)[0]


def _start(
    network: LocalizationNetwork, images: Sequence[Tensor], scales: Sequence[float], classes: Classes
) -> tuple[list[Tensor], list[Sequence[int]]]:
    """Room for the logits of each image, and the classes given for it."""
    if not scales:
        raise SettingError("the pyramid needs at least one scale")
    given = _check_classes(classes, len(images), network.card.architecture.num_classes)
    return [torch.zeros((), device=network.device)] * len(images), given


def _passes(
    network: LocalizationNetwork,
    images: Sequence[Tensor],
    scales: Sequence[float],
    classes: Classes,
    logits: list[Tensor],
    given: list[Sequence[int]],
    map_names: Sequence[str],
) -> Iterator[tuple[float, int, list[Tensor]]]:
    """For each of the scales and image, by name, the maps (k, h, w) of its classes, or one (1, h, w) for all alike.

    Fills in logits, and classes that they tell: no map is made before all passes are done that say them.
    """
    device, kinds = network.device, [network.activation_map(name) for name in map_names]
    # A map of gradients needs the pass no further than its stage, from where it goes on by itself.
    alone = kinds[0] if len(kinds) == 1 and isinstance(kinds[0], GradientMap) else None
    stages = [] if alone else sorted({stage for kind in kinds for stage in kind.earlier})
    images = [image.to(device) for image in images]
    telling = network.card.classifying(scales)
    order = sorted({*telling, *scales}, key=lambda scale: scale not in telling)  # what is added first is not to change

    def run(scale: float) -> list[tuple[int, Sequence[Tensor]]]:
        with inference_precision(device):  # which holds for one thread
            return _features(network, images, scale, stages, alone.stage if alone else LAST)

    with torch.inference_mode(), evaluating(network), inference_precision(device):
        found = spread(run, order) if device.type == "cpu" else map(run, order)
        waiting, untold = [], set(telling)
        for scale, of_images in zip(order, found, strict=True):
            untold.discard(scale)
            for index, (*earlier, features) in of_images:
                begun = alone.begun(features, network.logits_behind) if alone else None
                if scale in telling:
                    scores = begun.logits.detach() if begun else network.logits(features[None])[0]
                    logits[index] = logits[index] + scores.float() / len(telling)
                if scale in scales:
                    waiting.append((scale, index, begun, (*earlier, features)))
            if untold:
                continue
            for index, of_image in enumerate(logits):
                given[index] = given[index] or _by_logits(index, of_image, classes)
            for scale_of, index, begun, behind in waiting:
                if alone and begun:
                    yield scale_of, index, [begun.maps(given[index], alone.formula)]
                    continue
                at = {n: x.float() for n, x in zip((*stages, LAST), behind, strict=True)}
                own = at, given[index], network.head, network.logits_behind
                with torch.autocast(device.type, enabled=False):  # half precision has no room for sums of squares
                    maps = [map_of_stages(kind, *own) for kind in kinds]
                yield scale_of, index, maps
            waiting.clear()


def _for_each(classes: Sequence[int], maps: Tensor) -> Tensor:
    """Maps (k, ...) of k classes, where one (1, ...) may stand for them all; it is not copied."""
    return maps.expand(len(classes), *maps.shape[1:])


def inference_precision(device: torch.device) -> torch.autocast:
    """In which precision a network is run for its maps: half on an NVIDIA GPU, all 32 bits elsewhere."""
    return torch.autocast(device.type, dtype=torch.float16, enabled=device.type == "cuda")


def _check_classes(classes: Classes, count: int, num_classes: int) -> list[Sequence[int]]:
    """The classes given for each image; empty where the logits will tell."""
    if callable(classes):
        return [()] * count
    if isinstance(classes, int):
        if not 1 <= classes <= num_classes:
            raise InputError(f"the {classes} most probable of {num_classes} classes cannot be had")
        return [()] * count
    if isinstance(classes, str):
        return [range(num_classes)] * count
    if len(classes) != count:
        raise InputError(f"{len(classes)} lists of classes for {count} images")
    for chosen in classes:
        if not chosen or not all(0 <= index < num_classes for index in chosen):
            raise InputError(f"classes must be from 0 to {num_classes - 1} and at least one; got {list(chosen)}")
    return list(classes)


def _by_logits(index: int, logits: Tensor, classes: Classes) -> Sequence[int]:
    if callable(classes):
        return classes(index, logits)
    assert isinstance(classes, int)
    return logits.topk(classes).indices.tolist()


@torch.inference_mode()
def _features(
    network: LocalizationNetwork, images: Sequence[Tensor], scale: float, earlier: Sequence[int] = (), last: int = LAST
) -> list[tuple[int, Sequence[Tensor]]]:
    """The features (C, h, w) of every image at one scale, behind those of earlier stages, with the image's index."""
    pixels = short_side(network.card.preprocessing, scale)
    batches: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        batches[scaled_size(image.shape[1], image.shape[2], pixels)].append(index)
    found: list[tuple[int, Sequence[Tensor]]] = []
    for size, members in batches.items():
        batch = torch.stack([resized(images[index], size) for index in members])
        stages = network.features_of_stages(normalize(network, batch), earlier, last)
        found += zip(members, zip(*stages, strict=True), strict=True)
    return found


def normalize(network: LocalizationNetwork, images: Tensor) -> Tensor:
    """uint8 images (B, 3, H, W) to the network's input: float32, normalised, channels last."""
    mean, std = channel_statistics(network.card.preprocessing)
    return standardize(images, mean.to(images.device), std.to(images.device))


def channel_statistics(preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the channels, (3, 1, 1) each, on the 0-255 scale."""
    mean, std = (torch.tensor(values)[:, None, None] * 255 for values in (preprocessing.mean, preprocessing.std))
    return mean, std


def standardize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 images (B, 3, H, W) to float32, normalised, channels last."""
    return ((images.float() - mean) / std).contiguous(memory_format=torch.channels_last)
