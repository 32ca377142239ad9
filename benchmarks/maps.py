"""Time of maps of the gradient family beside torch-cam and pytorch-grad-cam, on the same network and inputs.

    python benchmarks/maps.py --images PHOTOGRAPHS --weights RESNET50
    python benchmarks/maps.py --images PHOTOGRAPHS --weights RESNET50 --classes 5 --maps grad_cam layer_cam@stage2
    python benchmarks/maps.py --images PHOTOGRAPHS --weights RESNET50 --maps score_cam@stage0 --side 64 --count 1

ResNet50 (last stride taken out) at one scale, from pictures that are read and resized to maps of classes that are
given; the others are handed them normalised too. The floor is one forward pass of the peers' network as it comes.
Rounds are interleaved, and the medians over the rounds of times and of their ratios printed. torch-cam runs the network
once and its extractor for each class; pytorch-grad-cam gets the picture as often as there are classes, in one batch.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.transforms.v2 import functional as transforms

from locate import network_input, read, same_network, timed
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.mscam import mscam, scaled_size
from mldfr.maps.score_cam import ScoreCAM
from mldfr.networks.weights import read_state_dict

LAYERS = ("layer1", "layer2", "layer3", "layer4")
"""Of torchvision's ResNet50; its stages here."""
ROWS = (
    ("grad_cam", "GradCAM", "GradCAM", 3),
    ("hires_cam", None, "HiResCAM", 3),
    ("grad_cam_plus_plus", "GradCAMpp", "GradCAMPlusPlus", 3),
    ("layer_cam", "LayerCAM", "LayerCAM", 3),
    ("grad_cam@stage2", "GradCAM", "GradCAM", 2),
    ("layer_cam@stage2", "LayerCAM", "LayerCAM", 2),
    ("layer_cam@stage1", "LayerCAM", "LayerCAM", 1),
    ("score_cam@stage0", "ScoreCAM", "ScoreCAM", 0),
)
"""Maps of ours, the others' names of them, and the stage."""


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="a folder of JPEG photographs")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of ResNet50; random when left out")
    parser.add_argument("--count", type=int, default=4, help="photographs in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--classes", type=int, default=1, help="classes of a photograph")
    names = [name for name, *_ in ROWS]
    parser.add_argument("--maps", nargs="+", choices=names, default=names[:-1], metavar="NAME", help="some alone")
    parser.add_argument("--side", type=int, default=224, help="pixels of the short side")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    peer = resnet50(replace_stride_with_dilation=[False, False, True])
    if arguments.weights is not None:
        peer.load_state_dict(read_state_dict(arguments.weights), strict=False)
    localizer = same_network(peer.state_dict())
    small = localizer.card.preprocessing.model_copy(update={"input_size": arguments.side})
    localizer.card = localizer.card.model_copy(update={"preprocessing": small})
    localizer.network.to(arguments.device)
    peer.eval().to(arguments.device, memory_format=torch.channels_last)
    images = [resized_once(localizer, read(path)) for path in paths[: arguments.count]]
    classes = list(range(100, 100 + arguments.classes))
    print(f"{'':22}{'ms':>8}{'of pass':>9}{'torch-cam':>11}{'grad-cam':>10}  as often as ours")
    for row in ROWS:
        if row[0] in arguments.maps:
            compare(peer, localizer, images, classes, row, rounds=arguments.rounds)


def resized_once(localizer: Localizer, image: Tensor) -> Tensor:
    """A picture of the size that the network sees, so that nobody resizes."""
    size = scaled_size(image.shape[1], image.shape[2], localizer.card.preprocessing.input_size)
    small: Tensor = transforms.resize(image, list(size), antialias=True)
    return small


def compare(
    peer: nn.Module,
    localizer: Localizer,
    images: Sequence[Tensor],
    classes: list[int],
    row: tuple[str, str | None, str, int],
    *,
    rounds: int,
) -> None:
    """Print a line: ours, and how many times as long the others take."""
    name, torch_cam, grad_cam, stage = row
    inputs = [network_input(localizer.network, image, 1.0).to(localizer.network.device) for image in images]
    runs = {
        "floor": lambda: bare(peer, inputs),
        "mldfr": ours(localizer, images, classes, name),
        "grad-cam": lambda: run_grad_cam(peer, inputs, classes, grad_cam, LAYERS[stage]),
    }
    if torch_cam is not None:
        runs["torch-cam"] = lambda: run_torch_cam(peer, inputs, classes, torch_cam, LAYERS[stage])
    times = timed({each: synchronized(run, localizer) for each, run in runs.items()}, rounds, len(images))

    def ratio(one: str, other: str) -> str:
        if one not in times:
            return "-"
        return f"{statistics.median(a / b for a, b in zip(times[one], times[other], strict=True)):.2f}"

    own = 1000 * statistics.median(times["mldfr"])
    ratios = f"{ratio('mldfr', 'floor'):>9}{ratio('torch-cam', 'mldfr'):>11}{ratio('grad-cam', 'mldfr'):>10}"
    print(f"{name:22}{own:8.1f}{ratios}", flush=True)


def synchronized(run: Callable[[], None], localizer: Localizer) -> Callable[[], None]:
    """With what a GPU still has to do."""

    def whole() -> None:
        run()
        if localizer.network.device.type == "cuda":
            torch.cuda.synchronize()

    return whole


def bare(peer: nn.Module, inputs: Sequence[Tensor]) -> None:
    """The network's passes alone."""
    with torch.inference_mode():
        for each in inputs:
            peer(each)


def ours(localizer: Localizer, images: Sequence[Tensor], classes: list[int], name: str) -> Callable[[], None]:
    """Pictures to maps with mldfr; what a stream of pictures shares is made before."""
    network = localizer.network.fused()
    ScoreCAM.budget = 2048  # all channels, as the others

    def run() -> None:
        for image in images:
            mscam(network, [image], scales=(1.0,), classes=[classes], map_name=name)

    return run


def run_torch_cam(model: nn.Module, inputs: Sequence[Tensor], classes: list[int], method: str, layer: str) -> None:
    """One pass and an extractor."""
    from torchcam import methods

    with getattr(methods, method)(model, target_layer=layer) as extractor:
        for each in inputs:
            scores = model(each)
            more = {} if method == "ScoreCAM" else {"scores": scores, "retain_graph": True}
            for index in classes:
                extractor(index, **more)


def run_grad_cam(model: nn.Module, inputs: Sequence[Tensor], classes: list[int], method: str, layer: str) -> None:
    """A batch of the same picture for all classes."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(index) for index in classes]
    with getattr(pytorch_grad_cam, method)(model=model, target_layers=[model.get_submodule(layer)]) as extractor:
        for each in inputs:
            extractor(input_tensor=each.expand(len(classes), -1, -1, -1), targets=targets)


if __name__ == "__main__":
    main()
