"""Localize objects in the photographs of scikit-image, at one scale and at three, and write a page that shows them.

Run it with `make demo`. The network was trained on ImageNet's image labels and has never been shown a box.
"""

import argparse
import json
from importlib.resources import files
from pathlib import Path

from PIL import Image

import mldfr
from mldfr.files import replacing
from mldfr.images import read_image
from mldfr.report.gallery import Panel, Row, write_gallery

# What to look for: None is what the network finds most probable by itself.
PHOTOGRAPHS = {
    "chelsea.png": ("Cat", None),
    "coffee.png": ("Coffee", None),
    "rocket.jpg": ("Rocket, asked for ImageNet's nearest class", ["missile"]),
    "motorcycle_left.png": ("Motorcycle", None),
    "camera.png": ("Camera on a tripod", None),
}
PYRAMIDS = {"one scale": (1.0,), "three scales (MsCAM)": (1.0, 1.5, 2.0)}


def main() -> None:
    """Write overlays, predictions and the page into the folder that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    out = parser.parse_args().out

    localizer = mldfr.load("imagenet")
    rows, lines = [], []
    for name, (title, classes) in PHOTOGRAPHS.items():
        path = Path(str(files("skimage") / "data" / name))
        panels = [Panel("photograph", Image.fromarray(read_image(path)), "")]
        for pyramid, scales in PYRAMIDS.items():
            located = localizer.locate(path, scales=scales, classes=classes or 1)
            overlay = located.draw()
            target = out / "overlays" / f"{path.stem}-{len(scales)}.jpg"
            with replacing(target) as temporary:
                overlay.save(temporary, quality=90)
            label = located.labels[0]
            count = f"{len(label.boxes)} box" + ("es" if len(label.boxes) != 1 else "")
            panels.append(Panel(pyramid, overlay, f"{label.class_name} {label.probability:.0%}, {count}"))
            lines.append({"scales": scales, **located.to_json(), "image": name})
        rows.append(Row(title, panels))
        print(f"{name}: {rows[-1].panels[-1].caption}")

    with replacing(out / "predictions.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write_gallery(
        out / "index.html",
        title="Where things are, from image labels alone",
        introduction="EfficientNet-Lite0 learned ImageNet's classes from labels and was never shown a box. The heat is "
        "the activation of the named class; a box goes round each region hotter than a fifth of the way from the "
        "coldest to the hottest point. First one scale of the photograph, then the sum of three.",
        rows=rows,
    )
    print(f"\nOpen {out / 'index.html'} in a browser; overlays and predictions.jsonl are beside it.")


if __name__ == "__main__":
    main()
