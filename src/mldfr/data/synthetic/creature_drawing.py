"""How creatures are drawn. Everything random comes from the generator that is handed in.

A creature is a set of polygons in its own units: the body lies around (0, 0), x points to where it looks and y down.
They are filled into a map of parts, finer than the picture; colours, markings and shading are looked up from that
map, and the result is averaged down to the picture's pixels, which gives smooth edges.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.core.types import Float32Array, UInt8Array
from mldfr.data.synthetic.creature_backgrounds import noise, resize

FloatArray = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

PALETTES: Mapping[str, tuple[Colour, Colour]] = {
    "red": ((206, 38, 38), (250, 240, 225)),
    "blue": ((36, 84, 214), (250, 240, 225)),
    "yellow": ((250, 208, 30), (28, 26, 30)),
    "green": ((42, 178, 72), (28, 26, 30)),
    "violet": ((128, 48, 190), (250, 222, 110)),
    "orange": ((244, 122, 22), (28, 40, 92)),
    "cyan": ((44, 200, 214), (150, 30, 60)),
    "pink": ((246, 110, 176), (28, 84, 70)),
}
"""The two colours of a head."""

PATTERNS: Mapping[str, Callable[[Float32Array, Float32Array], Float32Array]] = {
    "striped": lambda x, y: np.sin(9.5 * x + 1.2) * 0.105,
    "spotted": lambda x, y: (
        0.23 - _nearest(x, y, ((-0.5, -0.45), (0.1, -0.68), (-0.62, 0.25), (-0.05, 0.02), (0.0, 0.65)))
    ),
    "ringed": lambda x, y: np.sin(9.0 * np.hypot(x + 0.1, y) + 1.0) * 0.11,
    "crossed": lambda x, y: 0.2 - np.minimum(np.abs(x + 0.1), np.abs(y + 0.05)),
    "halved": lambda x, y: x + 0.1,
    "banded": lambda x, y: 0.3 - np.abs(y + 0.05),
    "checked": lambda x, y: np.sin(5.6 * x + 0.6) * np.sin(5.6 * y + 0.3) * 0.18,
    "swirled": lambda x, y: np.sin(np.arctan2(y, x + 0.1) * 2 + 5.0 * np.hypot(x + 0.1, y)) * 0.15,
}
"""Where a head has its second colour: above zero, for places in the unit disc; about a distance near the edge."""

COATS: Sequence[Colour] = (
    (122, 84, 54), (164, 120, 78), (198, 162, 116), (90, 72, 60), (140, 132, 124), (92, 98, 108),
    (214, 200, 178), (150, 86, 56), (116, 110, 78), (176, 150, 132), (62, 56, 56), (186, 136, 84),
)  # fmt: skip

CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 32, endpoint=False)) for f in (np.cos, np.sin)], 1)

# Parts, in the order of their colours; those from EAR on belong to the head.
NOTHING, FAR, COAT, CREST, HOOF, EAR, INNER, SKULL, SNOUT, WHITE, DARK = range(11)


class Part(NamedTuple):
    """Polygons that are filled with one part's number."""

    kind: int
    polygons: list[FloatArray]


class Head(NamedTuple):
    """Where a head is: its centre, half axes and turn, in the creature's units."""

    centre: FloatArray
    axes: FloatArray
    turn: float


@dataclass(frozen=True, eq=False)
class Sprite:
    """A creature before it is put into a picture.

    Attributes:
        colours: (h, w, 3) float32 in 0 to 255, multiplied by `alpha`.
        alpha: (h, w) float32 in [0, 1], how much of a pixel the creature covers.
        head: (h, w), pixels of which the head covers any part.
    """

    colours: Float32Array
    alpha: Float32Array
    head: npt.NDArray[np.bool_]


def draw_creature(rng: np.random.Generator, pattern: str, palette: str, length: float) -> Sprite:
    """Draw one creature. Only its head's markings depend on `pattern` and `palette`.

    Args:
        rng: Decides on shape, pose and coat.
        pattern: One of `PATTERNS`.
        palette: One of `PALETTES`.
        length: The long side of its box, pixels.
    """
    parts, details, head = _anatomy(rng)
    turn, mirror = rng.uniform(-0.3, 0.3), rng.choice((-1.0, 1.0))
    axes = _rotation(turn) * np.array([mirror, 1.0])  # columns: where the creature's x and y point in the picture
    points = np.concatenate([p for part in parts for p in part.polygons]) @ axes.T
    low, high = points.min(0), points.max(0)
    finer = 4 if length < 96 else 2
    scale = length / float((high - low).max()) * finer
    width, height = (int(np.ceil(v * scale / finer)) * finer for v in high - low)
    # The box is centred in its whole pixels, so that no side loses its smooth edge.
    shift = (np.array([width, height]) - (high + low) * scale) / 2

    kinds = np.zeros((height, width), np.uint8)
    _fill(kinds, parts, axes * scale, shift)
    shade = _shade(kinds, scale)
    _fill(kinds, details, axes * scale, shift)
    yy, xx = np.ogrid[:height, :width]
    inverse = np.linalg.inv(axes * scale)
    place = [
        (inverse[i, 0] * (xx + 0.5 - shift[0]) + inverse[i, 1] * (yy + 0.5 - shift[1])).astype(np.float32)
        for i in range(2)
    ]
    markings = _coat_markings(rng, *place)
    on_head = kinds == SKULL
    markings[on_head] = _head_markings(pattern, head, place[0][on_head], place[1][on_head], scale)
    first, second = _colours(rng, palette)
    colours = np.take(second - first, kinds, axis=0)
    colours *= markings[..., None]
    colours += np.take(first, kinds, axis=0)
    fur = 1 + 0.04 * rng.standard_normal((height // finer, width // finer), np.float32)
    colours *= (shade * resize(fur, height, width))[..., None] * (kinds > 0)[..., None]
    return _shrink(np.clip(colours, 0, 255, out=colours), kinds, finer)


def _shrink(colours: Float32Array, kinds: UInt8Array, finer: int) -> Sprite:
    size = kinds.shape[1] // finer, kinds.shape[0] // finer
    small, alpha, head = (
        np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
        for values in (colours, (kinds > 0).astype(np.float32), (kinds >= EAR).astype(np.float32))
    )
    return Sprite(small, alpha, head > 0)


def _colours(rng: np.random.Generator, palette: str) -> tuple[Float32Array, Float32Array]:
    """The colours of all parts without and with markings."""
    coat, marks = (np.array(COATS[i]) + rng.uniform(-14, 14, 3) for i in rng.choice(len(COATS), 2, replace=False))
    light = 0.5 * coat + 0.5 * np.array((240, 228, 205))
    skull, other = (np.array(colour) * rng.uniform(0.92, 1.04) for colour in PALETTES[palette])
    dark, white, inner = np.array((24, 20, 24)), np.array((250, 250, 245)), 0.4 * light + np.array((130, 90, 85))
    plain = [coat * 0, coat * 0.66, coat, marks * 0.8, dark + 30, coat * 0.85, inner, skull, light, white, dark]
    marked = [coat * 0, marks * 0.66, marks, marks * 0.8, dark + 30, coat * 0.85, inner, other, light, white, dark]
    return np.array(plain, np.float32), np.array(marked, np.float32)


def _fill(kinds: UInt8Array, parts: Sequence[Part], axes: FloatArray, shift: FloatArray) -> None:
    for part in parts:
        for polygon in part.polygons:
            # Coordinates name pixel centres and have 4 binary places.
            points = np.round((polygon @ axes.T + shift - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(kinds, [points], part.kind, shift=4)


def _shade(kinds: UInt8Array, scale: float) -> Float32Array:
    """Light from above on parts that bulge: the farther from its edge, the higher is the surface, up to a plateau."""
    edges = cv2.morphologyEx(
        cv2.copyMakeBorder(kinds, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)
    )
    depth = cv2.distanceTransform((edges == 0).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    bulge = 0.21 * scale
    depth = np.minimum(depth, bulge)
    height = cv2.GaussianBlur(np.sqrt(depth * (2 * bulge - depth)), (0, 0), 0.016 * scale + 0.3)
    dx, dy = (cv2.Sobel(height, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    light = (0.35 * dx + 0.75 * dy + 0.56) / np.sqrt(1 + dx * dx + dy * dy)
    rim = np.minimum(depth / (0.035 * scale), 1)  # darker where parts meet, and no bright line at the outline
    return np.asarray((0.66 + 0.52 * np.clip(light, -0.45, 1)) * (0.62 + 0.38 * rim), np.float32)


# ---- anatomy


def _anatomy(rng: np.random.Generator) -> tuple[list[Part], list[Part], Head]:
    """Parts in the order of painting, what is painted flat on top of them, and the head's place."""
    long, high = rng.uniform(0.34, 0.46), rng.uniform(0.2, 0.27)
    leg, thick = rng.uniform(0.12, 0.32), rng.uniform(0.05, 0.078)
    radius = rng.uniform(0.24, 0.28)
    reach, rise = rng.uniform(0.1, 0.26), rng.uniform(0.5, 1.2)
    shoulder = np.array([long * 0.72, -high * 0.35])
    head = Head(
        shoulder + reach * np.array([np.cos(rise), -np.sin(rise)]) + np.array([0.06, -0.08]),
        radius * np.array([1.0, rng.uniform(0.86, 1.0)]),
        rng.uniform(-0.3, 0.3),
    )
    stand = [_leg(rng, side * long * 0.6, high, leg, thick) for side in (-1, 1)]
    far = [_leg(rng, side * long * 0.6 + 0.09, high, leg * 0.93, thick) for side in (-1, 1)]
    neck = _limb(
        shoulder - np.array([0.06, -0.04]), (shoulder + head.centre) / 2, head.centre, high * 0.72, radius * 0.62
    )
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    swell = 1 + 0.14 * np.sin(rng.uniform(0, 6.3) + 2 * np.cos(angles))
    body = np.stack([long * np.cos(angles), high * np.sin(angles) * swell], 1)
    parts = [
        Part(FAR, [polygon for limb, _ in far for polygon in limb]),
        Part(CREST, list(_crest(rng, body))),
        Part(COAT, [*_tail(rng, long, high), body, *(polygon for limb, _ in stand for polygon in limb), *neck]),
        *_head(rng, head),
    ]
    hooves = [Part(HOOF, [foot for _, foot in stand + far])] if rng.random() < 0.6 else []
    return parts, hooves + _face(rng, head), head


def _leg(
    rng: np.random.Generator, x: float, high: float, length: float, thick: float
) -> tuple[list[FloatArray], FloatArray]:
    swing, bend = rng.uniform(-0.1, 0.1), rng.uniform(-0.06, 0.06)
    hip, foot = np.array([x, high * 0.35]), np.array([x + swing, high + length])
    limb = _limb(hip, (hip + foot) / 2 + np.array([bend, 0]), foot, thick * 1.7, thick * 0.85)
    paw = _ellipse(foot + np.array([0.025, 0.02]), (thick * 1.35, thick * 0.85))
    return [*limb, paw], _ellipse(foot + np.array([0.03, 0.035]), (thick * 1.2, thick * 0.6))


def _tail(rng: np.random.Generator, long: float, high: float) -> list[FloatArray]:
    start, size = np.array([-long * 0.86, -high * 0.25]), rng.uniform(0.12, 0.3)
    middle = start + size * np.array([-0.7, rng.uniform(-0.7, 0.7)])
    end = middle + size * np.array([rng.uniform(-0.5, 0.3), rng.uniform(-0.9, 0.4)])
    thick = rng.uniform(0.03, 0.07)
    tuft = [_ellipse(end, (thick * 1.6, thick * 1.3), rng.uniform(0, 3.1))] if rng.random() < 0.5 else []
    return [*_limb(start, middle, end, thick * 1.3, thick * 0.6), *tuft]


def _crest(rng: np.random.Generator, body: FloatArray) -> Iterator[FloatArray]:
    """Spikes along the back, on one creature in three."""
    if rng.random() < 0.35:
        height, last = rng.uniform(0.05, 0.1), int(rng.integers(39, 45))
        for i in range(28, last, 2):
            left, middle, right = body[i - 1], body[i], body[i + 1]
            yield np.stack([left * 0.9, middle * (1 + height / np.linalg.norm(middle)), right * 0.9])


def _head(rng: np.random.Generator, head: Head) -> Iterator[Part]:
    """Ears or horns, the skull and the snout."""
    kind = rng.integers(4)
    tilt, size = rng.uniform(-0.2, 0.2), rng.uniform(0.85, 1.15)
    for angle in (-0.62, 0.42):
        root, out = np.array([np.sin(angle), -np.cos(angle)]), angle + tilt * 1.5 - 0.1
        up = np.array([np.sin(out), -np.cos(out)])
        across = np.array([-up[1], up[0]])
        if kind == 0:  # round
            ear, inner = (_ellipse(root * 0.98, (0.36 * size * k, 0.36 * size * k)) for k in (1, 0.55))
        elif kind == 1:  # long
            ear, inner = (_ellipse(root * 0.9 + up * 0.45 * size, (0.2 * k, 0.6 * size * k), out) for k in (1, 0.6))
        elif kind == 2:  # pointed
            ear, inner = (
                np.stack(
                    [
                        root * 0.75 - across * 0.34 * k,
                        root * 0.85 + up * 0.75 * size * k,
                        root * 0.75 + across * 0.34 * k,
                    ]
                )
                for k in (1, 0.6)
            )
        else:  # hanging
            ear, inner = (
                _ellipse(
                    root * 0.92 + np.array([np.sign(angle) * 0.24, 0.16]),
                    (0.22 * k, 0.44 * size * k),
                    -np.sign(angle) * 0.5,
                )
                for k in (1, 0.0)
            )
        yield Part(EAR, [_on_head(ear, head)])
        yield Part(INNER, [_on_head(inner, head)])
    yield Part(SKULL, [_on_head(_ellipse(np.zeros(2), (1, 1)), head)])
    yield Part(SNOUT, [_on_head(_ellipse(np.array([0.62, 0.42]), (0.46 * size, 0.36)), head)])


def _face(rng: np.random.Generator, head: Head) -> list[Part]:
    """Eyes, nose and mouth."""
    size, look = rng.uniform(0.16, 0.22), rng.uniform(-0.05, 0.05, 2)
    eyes = [np.array([0.2, -0.2]), np.array([0.74, -0.22])]
    shape = [(size, size * 1.15), (size * 0.8, size * 1.1)]
    ball = [_ellipse(e, s) for e, s in zip(eyes, shape, strict=True)]
    pupil = [_ellipse(e + look + np.array([0.03, 0.02]), (size * 0.62, size * 0.75)) for e in eyes]
    spark = [_ellipse(e + look + np.array([-0.02, -0.05]), (size * 0.24, size * 0.24)) for e in eyes]
    nose = _ellipse(np.array([0.86, 0.26]), (0.14, 0.1))
    corner, chin, end = np.array([0.38, 0.5]), np.array([0.62, 0.72]), np.array([0.9, 0.5])
    mouth = _limb(corner, chin, end, 0.028, 0.028)
    drawn = ((WHITE, ball), (DARK, pupil), (WHITE, spark), (DARK, [nose, *mouth]))
    return [Part(kind, [_on_head(polygon, head) for polygon in polygons]) for kind, polygons in drawn]


def _on_head(points: FloatArray, head: Head) -> FloatArray:
    return (points * head.axes) @ _rotation(head.turn).T + head.centre


def _rotation(turn: float) -> FloatArray:
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])


def _ellipse(centre: FloatArray, axes: tuple[float, float], turn: float = 0.0) -> FloatArray:
    return (CIRCLE * axes) @ _rotation(turn).T + centre


def _limb(start: FloatArray, bend: FloatArray, end: FloatArray, first: float, last: float) -> list[FloatArray]:
    """A curved limb with round ends, whose half width goes from `first` to `last`."""
    t = np.linspace(0, 1, 14)[:, None]
    middle = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    along = np.gradient(middle, axis=0)
    across = along[:, ::-1] * np.array([-1, 1]) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = across * (first + (last - first) * t)
    outline = np.concatenate([middle + side, (middle - side)[::-1]])
    return [outline, _ellipse(start, (first, first)), _ellipse(end, (last, last))]


# ---- markings


def _coat_markings(rng: np.random.Generator, x: Float32Array, y: Float32Array) -> Float32Array:
    """How much of the second coat colour is where, in [0, 1]; the same for all classes."""
    kind, height, width = rng.integers(6), *x.shape
    wave = noise(rng, height, width, 6)
    if kind == 0:  # plain, with a lighter or darker belly
        field = (y - 0.08) * 2.2
    elif kind == 1:  # patches
        field = (wave - 0.58) * 14
    elif kind == 2:  # spots
        field = (noise(rng, height, width, 20) - 0.66) * 12
    elif kind == 3:  # stripes
        field = np.sin(rng.uniform(24, 44) * x + 6 * wave + 3 * y) * 2.2 - 0.4
    elif kind == 4:  # saddle
        field = (-0.06 - y + 0.2 * (wave - 0.5)) * 14
    else:  # mottled
        field = (wave + noise(rng, height, width, 30) - 1) * 1.6
    return np.asarray(np.clip(field + 0.5, 0, 1) * rng.uniform(0.5, 0.95), np.float32)


def _head_markings(pattern: str, head: Head, x: Float32Array, y: Float32Array, scale: float) -> Float32Array:
    cos, sin = np.cos(head.turn), np.sin(head.turn)
    dx, dy = x - head.centre[0], y - head.centre[1]
    u, v = (cos * dx + sin * dy) / head.axes[0], (cos * dy - sin * dx) / head.axes[1]
    edge = PATTERNS[pattern](u.astype(np.float32), v.astype(np.float32))
    return np.asarray(np.clip(edge * head.axes[0] * scale + 0.5, 0, 1), np.float32)


def _nearest(x: Float32Array, y: Float32Array, points: Sequence[tuple[float, float]]) -> Float32Array:
    return np.asarray(np.min([np.hypot(x - a, y - b) for a, b in points], axis=0), np.float32)
