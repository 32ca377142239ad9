"""What several tests of web need."""

import json
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from mldfr.localizer.localizer import Localizer
from mldfr.localizer.sources import NetworkSource
from mldfr.networks.card import Localization
from mldfr.networks.network import LocalizationNetwork
from mldfr.web.app import create_app
from mldfr.web.settings import Settings

CLASSES = ("cat", "dog", "crane", "crane")


ORIGIN = "http://localhost"


def tiny(kind=NetworkSource):
    """A small network with random weights and few scales: an answer takes milliseconds."""
    torch.manual_seed(0)
    network = LocalizationNetwork.create("mobilenet_v2", class_names=CLASSES, recalibration="none")
    preprocessing = network.card.preprocessing.model_copy(update={"input_size": 64})
    localization = Localization(scales=(1.0, 1.5))
    network.card = network.card.model_copy(update={"localization": localization, "preprocessing": preprocessing})
    return Localizer(kind(network))


def app_of(locator, **limits):
    return create_app(locator, Settings(model_name="tiny", **limits))


def png(height=40, width=60, mode="RGB"):
    content = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(content, "PNG")
    return content.getvalue()


def ask(client, content, **fields):
    return client.post("/api/locate", files={"picture": ("../../etc/passwd", content)}, data=fields)


def error_of(response):
    (error,) = response.json().values()
    assert set(error) == {"code", "message"}
    assert "Traceback" not in response.text
    return response.status_code, error["code"]


def exported(client, format_name="coco", name="a.png", **changes):
    picture = {"name": name, "height": 40, "width": 60, "boxes": [{"class_index": 1, "xyxy": [1, 2, 30.5, 40]}]}
    body = {"format": format_name, "classes": ["cat", "dog"], "pictures": [picture | changes]}
    return client.post("/api/export", content=json.dumps(body), headers={"Content-Type": "application/json"})
