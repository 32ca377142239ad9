"""One picture that shows what a data set looks like."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mldfr.core.types import Sample
from mldfr.images import ImageError, read_image

WIDTH, HEIGHT, GAP = 248, 200, 18
"""Of a thumbnail at most, and the space round it; pixels."""
LINE, LINES = 21, 2
"""Height of a line of a caption, and how many lines there are at most."""
TEXT = 15
RADIUS = 6

PAPER, INK, FAINT = "#f7f6f2", "#22262b", "#8b8f94"
COLORS = ("#ffb000", "#00b8d9", "#f0529c", "#58b947", "#9b7bff", "#ff6b35")
"""One per class of an image, for its boxes and the dot before its name."""

T = TypeVar("T")


class _Word(NamedTuple):
    text: str
    color: str | None
    width: float


def contact_sheet(
    samples: Sequence[Sample], classes: Sequence[str], *, count: int = 24, columns: int = 6
) -> Image.Image:
    """Thumbnails with the names of their classes and the boxes the set has.

    The images are spread over the classes, and over the images of a class; the same set gives the same sheet. Boxes of
    classes that are not among an image's labels are grey.

    Args:
        samples: Of which some are shown.
        classes: Their names.
        count: How many images to show at most.
        columns: How many stand side by side.

    Raises:
        ValueError: There are no samples.
    """
    unique = {sample.path: sample for sample in samples}  # trainval names those of train and val again
    chosen = choose(list(unique.values()), count)
    if not chosen:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    cell = HEIGHT + 8 + LINE * max(len(_lines(sample, classes)) for sample in chosen)
    size = (columns * (WIDTH + GAP) + GAP, rows * (cell + GAP) + GAP)  # (W, H) for Pillow
    sheet = Image.new("RGB", size, PAPER)
    for index, sample in enumerate(chosen):
        row, column = divmod(index, columns)
        left, top = GAP + column * (WIDTH + GAP), GAP + row * (cell + GAP)
        thumbnail = _thumbnail(sample)
        corner = (left + (WIDTH - thumbnail.width) // 2, top + HEIGHT - thumbnail.height)
        sheet.paste(thumbnail, corner, _rounded(thumbnail.size))
        _caption(ImageDraw.Draw(sheet), (left, top + HEIGHT + 8), sample, classes)
    return sheet


def choose(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples: as many of each class as possible, evenly spaced, in the order of the classes.

    A sample with several labels stands for the one that fewest samples have.
    """
    frequency: dict[int, int] = defaultdict(int)
    for sample in samples:
        for label in sample.labels:
            frequency[label] += 1
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[min(sample.labels, key=frequency.__getitem__, default=-1)].append(sample)
    members = spaced([groups[label] for label in sorted(groups)], count)
    taken = [0] * len(members)
    while sum(taken) < min(count, sum(map(len, members))):
        for index, group in enumerate(members):
            if taken[index] < len(group) and sum(taken) < count:
                taken[index] += 1
    return [sample for group, wanted in zip(members, taken, strict=True) for sample in spaced(group, wanted)]


def spaced(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, as far apart as they can be.

    Examples:
        >>> spaced("abcdefg", 3)
        ['b', 'd', 'f']
    """
    if len(items) <= count:
        return list(items)
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]


def _thumbnail(sample: Sample) -> Image.Image:
    """The picture, made to fit, with its boxes; a grey field that says why where it cannot be read."""
    try:
        photo = Image.fromarray(read_image(sample.path))
    except ImageError as error:
        field = Image.new("RGB", (WIDTH, HEIGHT), "#dedcd6")
        middle = (WIDTH / 2, HEIGHT / 2)
        text = _shortened(error.reason, WIDTH - 20)
        ImageDraw.Draw(field).text(middle, text, fill=INK, font=_font(), anchor="mm")
        return field
    factor = min(WIDTH / photo.width, HEIGHT / photo.height)
    size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
    thumbnail = photo.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(thumbnail)
    scale = np.array([size[0] / photo.width, size[1] / photo.height] * 2)
    colors = _colors(sample)
    for item in sorted(sample.objects, key=lambda item: item.label in colors):  # grey ones lie below
        x0, y0, x1, y1 = (np.array(item.xyxy) * scale).round().tolist()
        if x0 < x1 and y0 < y1:
            corners = (max(0, x0), max(0, y0), min(size[0], x1) - 1, min(size[1], y1) - 1)
            _frame(pen, corners, colors.get(item.label, FAINT), 1 if item.difficult else 2)
    return thumbnail


def _frame(pen: ImageDraw.ImageDraw, corners: tuple[float, float, float, float], color: str, width: int) -> None:
    """A coloured rectangle between two dark lines, to be seen on any photo."""
    x0, y0, x1, y1 = corners
    for inset, outline, line in ((0, "#000000", width + 2), (1, color, width)):
        if min(x1 - x0, y1 - y0) >= 2 * inset:
            pen.rectangle((x0 + inset, y0 + inset, x1 - inset, y1 - inset), outline=outline, width=line)


def _colors(sample: Sample) -> dict[int, str]:
    return {label: COLORS[index % len(COLORS)] for index, label in enumerate(sample.labels)}


def _rounded(size: tuple[int, int]) -> Image.Image:
    """A mask with soft round corners."""
    mask = Image.new("L", (size[0] * 4, size[1] * 4))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] * 4 - 1, size[1] * 4 - 1), RADIUS * 4, fill=255)
    return mask.resize(size, Image.Resampling.BOX)


def _caption(pen: ImageDraw.ImageDraw, corner: tuple[int, int], sample: Sample, classes: Sequence[str]) -> None:
    """The names of the classes under a thumbnail, in the middle; what does not fit becomes a number."""
    left, top = corner
    for number, line in enumerate(_lines(sample, classes)):
        x = left + (WIDTH - sum(word.width for word in line)) / 2
        y = top + number * LINE + LINE / 2
        for word in line:
            if word.color:
                pen.ellipse((x + 5, y - 4, x + 13, y + 4), fill=word.color, outline="#00000055")
            pen.text(
                (x + (18 if word.color else 5), y),
                word.text,
                fill=INK if word.color else FAINT,
                font=_font(),
                anchor="lm",
            )
            x += word.width


def _lines(sample: Sample, classes: Sequence[str]) -> list[list[_Word]]:
    colors = _colors(sample)
    words = [_word(classes[label], colors[label]) for label in sample.labels] or [_word("no label", None)]
    lines: list[list[_Word]] = [[]]
    for index, word in enumerate(words):
        left = len(words) - index
        room = WIDTH - sum(other.width for other in lines[-1])
        if len(lines) == LINES and left > 1:
            room -= _word(f"+{left}", None).width
        if word.width > room and lines[-1]:
            if len(lines) == LINES:
                lines[-1].append(_word(f"+{left}", None))
                break
            lines.append([])
        lines[-1].append(word)
    return lines


def _word(text: str, color: str | None) -> _Word:
    space = 23 if color else 10  # the dot and the air round it
    text = _shortened(text, WIDTH - space)
    return _Word(text, color, _font().getlength(text) + space)


def _shortened(text: str, width: float) -> str:
    text = " ".join(text.split())
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT)
