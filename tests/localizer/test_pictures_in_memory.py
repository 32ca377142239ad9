"""Whatever a picture is in memory, it is the same picture: what a notebook may hold."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_dtype

import mldfr
from helpers import small_network
from mldfr.core.errors import InputError
from mldfr.images import ImageError
from mldfr.localizer.sources import NetworkSource


@pytest.fixture(scope="module")
def small_localizer():
    torch.manual_seed(0)
    return mldfr.Localizer(NetworkSource(small_network("mobilenet_v2")))


@pytest.fixture(scope="module")
def photo_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    held = BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return held.getvalue()


def pixels_of(localizer, image):
    return localizer.locate(image, scales=(1,)).pixels


FORMS = {
    "bytes": lambda png: png,
    "a file in memory": BytesIO,
    "a Pillow image": lambda png: Image.open(BytesIO(png)),
    "an array": lambda png: np.asarray(Image.open(BytesIO(png))),
    "an opaque array": lambda png: np.asarray(Image.open(BytesIO(png)).convert("RGBA")),
    "a tensor of bytes": lambda png: pil_to_tensor(Image.open(BytesIO(png))),
    "a tensor from 0 to 1": lambda png: to_dtype(pil_to_tensor(Image.open(BytesIO(png))), torch.float32, scale=True),
    "a tensor with alpha": lambda png: pil_to_tensor(Image.open(BytesIO(png)).convert("RGBA")),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_in_any_form_is_that_picture(small_localizer, photo_bytes, form, tmp_path):
    (tmp_path / "a.png").write_bytes(photo_bytes)
    expected = pixels_of(small_localizer, tmp_path / "a.png")
    np.testing.assert_array_equal(pixels_of(small_localizer, FORMS[form](photo_bytes)), expected)


def test_an_open_file_has_its_name(small_localizer, photo_bytes, tmp_path):
    (tmp_path / "a.png").write_bytes(photo_bytes)
    with (tmp_path / "a.png").open("rb") as file:
        assert small_localizer.locate(file, scales=(1,)).image == str(tmp_path / "a.png")


def test_grey_and_transparent_arrays_are_what_pillow_makes_of_them(small_localizer):
    grey = np.random.default_rng(1).integers(0, 256, (64, 70), dtype=np.uint8)
    np.testing.assert_array_equal(pixels_of(small_localizer, grey), np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(pixels_of(small_localizer, grey[..., None]), np.stack([grey] * 3, axis=2))
    row = grey[:1, :20]
    np.testing.assert_array_equal(pixels_of(small_localizer, row), np.stack([row] * 3, axis=2))
    np.testing.assert_array_equal(pixels_of(small_localizer, row.T[..., None]), np.stack([row.T] * 3, axis=2))
    clear = np.zeros((64, 70, 4), np.uint8)
    assert (pixels_of(small_localizer, clear) == 255).all()


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (torch.zeros(64, 64, 3), r"an image tensor is \(3, H, W\).*got \(64, 64, 3\)"),
        (torch.full((3, 64, 64), 2.5), "has bytes, or floating-point numbers from 0 to 1; got 2.5 to 2.5"),
        (torch.full((3, 64, 64), float("nan")), "from 0 to 1; got nan to nan"),
    ],
)
def test_tensors_that_are_no_pictures_are_refused(small_localizer, image, says):
    with pytest.raises(InputError, match=says):
        small_localizer.locate(image)


def test_bytes_of_something_else_are_no_picture(small_localizer):
    with pytest.raises(ImageError, match="not a picture"):
        small_localizer.locate(b"not a picture at all")
    with pytest.raises(TypeError, match=r"an image is a path, bytes, an open file.*got int"):
        small_localizer.locate(3)


def test_results_are_tables_of_pandas(small_localizer, photo_bytes, tmp_path):
    pandas = pytest.importorskip("pandas")
    (tmp_path / "a.png").write_bytes(photo_bytes)
    located = small_localizer.locate(tmp_path / "a.png", classes=2, scales=(1,))
    table = located.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    boxes = [(label, box) for label in located.labels for box in label.boxes]
    assert table["class"].tolist() == [label.class_name for label, _ in boxes]
    np.testing.assert_allclose(table[["x0", "y0", "x1", "y1"]], [box.xyxy for _, box in boxes])
    small_localizer.save(tmp_path / "m.safetensors")
    many = mldfr.locate(tmp_path / "a.png", tmp_path / "out", model=tmp_path / "m.safetensors", scales=(1,), classes=2)
    np.testing.assert_allclose(many.to_pandas()["score"], table["score"], atol=1e-6)


def test_a_model_says_in_a_line_what_it_is(small_localizer):
    said = repr(small_localizer)
    assert said.startswith("Localizer(mobilenet_v2, ")
    assert len(said) < 120


def test_tab_completes_what_is_not_imported_yet():
    assert set(mldfr.__all__) <= set(dir(mldfr))
