"""Pictures to try: drawn animals, and photographs in the public domain where scikit-image is installed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image

from mldfr.data.synthetic.creatures import draw

CREATURES = (3, 8, 21)
"""Numbers of drawn pictures, chosen for their looks."""
PHOTOGRAPHS = {
    "chelsea.png": ("A cat", "Stefan van der Walt, CC0"),
    "coffee.png": ("A cup of coffee", "Rachel Michetti, CC0"),
    "rocket.jpg": ("A rocket", "SpaceX, public domain"),
    "astronaut.png": ("An astronaut", "NASA, public domain"),
}
"""Files in scikit-image's folder `data`, whose documentation says how they may be used."""
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class Sample:
    """A picture and where it is from.

    Attributes:
        name: Its file name.
        title: What is in it.
        credit: Whose it is.
        content: Gives its bytes.
    """

    name: str
    title: str
    credit: str
    content: Callable[[], bytes]

    @property
    def media_type(self) -> str:
        """Of its bytes."""
        return MEDIA_TYPES[Path(self.name).suffix]


@cache
def samples() -> dict[str, Sample]:
    """All there are, by name; photographs first."""
    drawn = [
        Sample(f"creature-{number}.png", "Drawn animals", "drawn by mldfr", partial(_creature, index))
        for number, index in enumerate(CREATURES, start=1)
    ]
    return {sample.name: sample for sample in [*_photographs(), *drawn]}


def _photographs() -> list[Sample]:
    package = find_spec("skimage")
    if package is None or package.origin is None:
        return []
    folder = Path(package.origin).parent / "data"
    files = [(folder / name, *about) for name, about in PHOTOGRAPHS.items()]
    return [Sample(path.name, title, credit, path.read_bytes) for path, title, credit in files if path.is_file()]


@cache
def _creature(index: int) -> bytes:
    file = BytesIO()
    Image.fromarray(draw(index, classes=8, size=448).pixels).save(file, "PNG")
    return file.getvalue()
