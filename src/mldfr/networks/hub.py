"""Models on the hub of Hugging Face, by its own library `huggingface_hub`, which timm brings along."""

import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mldfr.core.errors import DataError, InputError
from mldfr.networks.model_file import MODEL_FILE
from mldfr.networks.weights import WeightsError

if TYPE_CHECKING:
    from mldfr.networks.card import Card
    from mldfr.networks.network import LocalizationNetwork

PREFIX = "hf-hub:"
README = "README.md"
FEW = 40
"""So many class names are told in the text."""


def from_hub(name: str) -> Callable[[], "LocalizationNetwork"]:
    """What loads the model `hf-hub:OWNER/NAME`, or `hf-hub:OWNER/NAME@REVISION`, and downloads it once.

    Raises:
        InputError: No such form.
    """
    if not (found := re.fullmatch(rf"{PREFIX}([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)):
        raise InputError(f"{name}: a model of the hub is written {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION")
    return partial(_load, name, *found.groups())


def _load(name: str, repo_id: str, revision: str | None) -> "LocalizationNetwork":
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from mldfr.networks.network import LocalizationNetwork

    try:
        path = hf_hub_download(repo_id, MODEL_FILE, revision=revision, library_name="mldfr")
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{name}: has no {MODEL_FILE} that can be had here ({reason})") from error
    return LocalizationNetwork.load(path)


def push_to_hub(
    model: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str = "Upload a localizer",
) -> str:
    """Put a saved model on the hub, with a page that its card fills.

    Args:
        model: A model file, or a run folder.
        repo_id: `OWNER/NAME`; it is made if it is not there.
        private: Whether others see it; None as the owner has it.
        token: Of the owner; that of `hf auth login` or `HF_TOKEN` when left out.
        message: Of the commit.

    Returns:
        Its address; `mldfr.load("hf-hub:OWNER/NAME")` opens it.

    Raises:
        WeightsError: No readable model.
        DataError: The hub does not take it; the message says why.

    Examples:
        `push_to_hub("runs/mine", "me/wrens")` puts a run's model there; the model is opened first:

        >>> push_to_hub("gone.safetensors", "me/wrens")
        Traceback (most recent call last):
        mldfr.networks.weights.WeightsError: gone.safetensors: no such model file
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    from mldfr.networks.network import LocalizationNetwork

    network = LocalizationNetwork.load(model)
    api = HfApi(token=token, library_name="mldfr")
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / MODEL_FILE)
        (Path(folder) / README).write_text(model_page(network.card, repo_id), encoding="utf-8")
        try:
            made = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=message)
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"{repo_id}: the hub did not take it ({reason})") from error
    return str(made)


def model_page(card: "Card", repo_id: str) -> str:
    """The text of a model's page: what it is, what it names, and how it is used.

    Examples:
        >>> import mldfr
        >>> card = mldfr.Localizer.create("mobilenet_v2", class_names=["cat", "dog"], recalibration="none").card
        >>> print(model_page(card, "me/pets").splitlines()[9])
        # me/pets
    """
    from huggingface_hub import ModelCard, ModelCardData

    tags = [
        "weakly-supervised-object-localization",
        "class-activation-map",
        card.architecture.backbone.replace(":", "-"),
    ]
    data = ModelCardData(library_name="mldfr", pipeline_tag="object-detection", tags=tags)
    names = ", ".join(card.class_names[:FEW])
    more = f" and {len(card.class_names) - FEW:,} more" if len(card.class_names) > FEW else ""
    used, network = card.localization, card.architecture
    scales = ", ".join(f"{scale:g}" for scale in used.scales)
    return str(
        ModelCard(
            f"---\n{data.to_yaml()}\n---\n\n# {repo_id}\n\n"
            f"Says what is in a picture and where, learned from image labels alone: {len(card.class_names):,} classes "
            f"({names}{more}).\n\n"
            f"```python\nimport mldfr\n\nresult = mldfr.load({PREFIX + repo_id!r}).locate('photo.jpg')\n"
            "result.labels[0].boxes\n```\n\n"
            "| | |\n|---|---|\n"
            f"| network | {network.backbone}, recalibration {network.recalibration}, method {card.method} |\n"
            f"| input | short side {card.preprocessing.input_size} at scale 1 |\n"
            f"| boxes | map {used.map}, scales {scales}, normalizer {used.normalizer}, threshold {used.threshold}, "
            f"refine {used.refine} |\n"
            f"| several classes in a picture | {'yes' if card.multi_label else 'no'} |\n"
        )
    )
