"""Films and zips from the command to annotation files."""

from zipfile import ZipFile

import numpy as np
import pytest
from annotating import annotate, coco, run


@pytest.fixture
def film(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "films" / "film.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        rng = np.random.default_rng(0)
        for pixels in rng.integers(0, 256, (11, 80, 96, 3), dtype=np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_frames_of_a_film_are_annotated_and_can_be_opened(model, film, tmp_path):
    names = [f"film.mp4/{second:09.2f}s.jpg" for second in (0, 1, 2)]
    for number, data in enumerate((film, film.parent)):  # itself, and the folder that it is in
        out = tmp_path / str(number)
        annotate(model, data, out, "--every", "1s", formats="coco,yolo")
        assert [image["file_name"] for image in coco(out)["images"]] == names
        assert all((out / "frames" / name).is_file() for name in names)
        assert len(list((out / "yolo/images").iterdir())) == 3
    assert "3 of 3 pictures are already annotated" in annotate(model, film, out, "--every", "1s", formats="csv").output
    assert "--every is for films" in annotate(model, tmp_path / "0", tmp_path / "no", "--every", "1", code=2).output
    assert "there are none" in annotate(model, out / "yolo", tmp_path / "no", "--every", "1", code=2).output


def test_locate_looks_at_frames_and_pictures(model, film, pictures, tmp_path):
    arguments = ("locate", film.parent, pictures / "cat", "--model", model, "--scales", "1", "--device", "cpu")
    result = run(*arguments, "--every", "1s", "--out", tmp_path / "out")
    assert "located 5 of 5 pictures" in result.output
    assert "a film; --every 1s takes a frame each second" in run(*arguments, "--out", tmp_path / "without").output


def test_a_zip_is_annotated_as_its_folder(model, pictures, tmp_path):
    with ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for path in pictures.rglob("*.*"):
            archive.write(path, path.relative_to(pictures.parent).as_posix())
    for name, data in (("zip", f"folder:{tmp_path / 'pictures.zip'}"), ("folder", f"folder:{pictures}")):
        annotate(model, data, tmp_path / name)
    assert coco(tmp_path / "zip") == coco(tmp_path / "folder")
    annotate(model, tmp_path / "pictures.zip", tmp_path / "plain")
    assert coco(tmp_path / "plain")["images"] == coco(tmp_path / "folder")["images"]
