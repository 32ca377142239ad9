"""What creatures stand before. Everything random comes from the generator that is handed in."""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mldfr.core.types import Float32Array, UInt8Array

FloatArray = npt.NDArray[np.float64]
Colour = tuple[int, int, int]


def draw_background(rng: np.random.Generator, kind: str, size: int) -> Float32Array:
    """Draw a background: (size, size, 3) float32 in 0 to 255.

    Args:
        rng: Decides on everything but the kind.
        kind: One of `BACKGROUNDS`.
        size: Pixels of a side.
    """
    picture = BACKGROUNDS[kind](rng, size)
    grain = 2.5 * rng.standard_normal((size, size, 1), np.float32)
    return np.clip(picture * rng.uniform(0.75, 1.1) + grain, 0, 255).astype(np.float32)


def _sky(rng: np.random.Generator, size: int) -> Float32Array:
    top, bottom = _tint(rng, (90, 140, 200), 45), _tint(rng, (215, 205, 195), 35)
    clouds = np.clip((_clouds(rng, size, 4) - 0.5) * 4, 0, 1) * 0.8
    return _mix(_mix(top, bottom, _down(size)), _tint(rng, (245, 243, 240), 8), clouds)


def _meadow(rng: np.random.Generator, size: int) -> UInt8Array:
    base, blades = _tint(rng, (84, 120, 52), 30), 340
    picture = _whole(_mix(base * 1.25, base * 0.7, _clouds(rng, size, 5)))
    for row, (x, lean, bow, light) in enumerate(rng.uniform(-1, 1, (blades, 4))):
        foot = np.array([(x * 0.55 + 0.5) * size, (row / blades * 1.25) * size])
        tip = foot + np.array([lean * 0.06, -0.13 - 0.05 * bow]) * size
        middle = (foot + tip) / 2 + np.array([bow * 0.02 * size, 0])
        points = np.round(np.stack([foot, middle, tip]) * 16).astype(np.int32)
        colour = (base * (1 + 0.4 * light)).clip(0, 255).tolist()
        cv2.polylines(picture, [points], False, colour, max(1, size // 110), cv2.LINE_AA, 4)
    return picture


def _foliage(rng: np.random.Generator, size: int) -> UInt8Array:
    base = _tint(rng, (70, 110, 56), 40)
    picture, leaves = _whole(np.full((size, size, 3), base * 0.45)), 130
    for depth, (x, y, r, turn, hue) in enumerate(rng.random((leaves, 5))):
        light = (0.5 + 0.7 * depth / leaves) * (0.8 + 0.4 * hue)
        _blob(
            picture,
            (x, y),
            (0.035 + 0.06 * r, 0.018 + 0.025 * r),
            turn * 180,
            base * light + 25 * np.array([hue, 0, 0]),
        )
    return picture


def _pebbles(rng: np.random.Generator, size: int) -> UInt8Array:
    base = _tint(rng, (140, 130, 118), 30)
    picture = _whole(np.full((size, size, 3), base * 0.4))
    for x, y, r, turn, light in rng.random((170, 5)):
        axes, colour = np.array([0.035 + 0.04 * r, 0.028 + 0.025 * r]), base * (0.65 + 0.6 * light)
        _blob(picture, (x, y), axes, turn * 180, colour * 0.7)
        _blob(picture, (x - 0.006, y - 0.008), axes * 0.8, turn * 180, colour)
    return picture


def _sand(rng: np.random.Generator, size: int) -> Float32Array:
    base = _tint(rng, (205, 172, 120), 30)
    turn, count = rng.uniform(-0.5, 0.5), rng.uniform(25, 70)
    yy, xx = np.mgrid[:size, :size].astype(np.float32) / size
    ripples = np.sin(count * (yy * np.cos(turn) + xx * np.sin(turn)) + 9 * _clouds(rng, size, 4))
    return _mix(base * 1.1, base * 0.75, 0.5 + 0.4 * ripples)


def _water(rng: np.random.Generator, size: int) -> Float32Array:
    base = _tint(rng, (62, 118, 140), 35)
    ripples = 0.6 * noise(rng, size, size, 40, 6) + 0.4 * noise(rng, size, size, 16, 3)
    return _mix(
        _mix(base * 1.2, base * 0.75, _down(size)),
        _tint(rng, (220, 232, 235), 12),
        np.clip((ripples - 0.5) * 3, 0, 0.6),
    )


def _planks(rng: np.random.Generator, size: int) -> Float32Array:
    base, count = _tint(rng, (140, 104, 72), 35), int(rng.integers(4, 10))
    across = (np.arange(size) / size * count + rng.random()) % (count + 1)
    tone = rng.uniform(0.75, 1.15, count + 1)[across.astype(int)] * np.where(across % 1 < 0.05, 0.45, 1)
    grain = 0.8 + 0.4 * noise(rng, size, size, 5, 60)
    return np.asarray(base * (tone[None, :] * grain)[..., None], np.float32)


def _bokeh(rng: np.random.Generator, size: int) -> UInt8Array:
    base = _tint(rng, (70, 84, 70), 40)
    picture = _whole(_mix(base * 1.2, base * 0.5, _clouds(rng, size, 3)))
    for x, y, r, *colour in rng.random((28, 6)):
        spot = picture.copy()
        _blob(spot, (x, y), (0.03 + 0.07 * r, 0.03 + 0.07 * r), 0, 90 + 150 * np.array(colour))
        picture = np.asarray(cv2.addWeighted(picture, 0.65, spot, 0.35, 0), np.uint8)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.008 * size), np.uint8)


BACKGROUNDS: Mapping[str, Callable[[np.random.Generator, int], Float32Array | UInt8Array]] = {
    "sky": _sky,
    "meadow": _meadow,
    "foliage": _foliage,
    "pebbles": _pebbles,
    "sand": _sand,
    "water": _water,
    "planks": _planks,
    "bokeh": _bokeh,
}


def _tint(rng: np.random.Generator, colour: Colour, spread: float) -> Float32Array:
    return np.clip(np.array(colour) + rng.uniform(-spread, spread, 3), 5, 255).astype(np.float32)


def _whole(values: npt.NDArray[np.floating]) -> UInt8Array:
    """As OpenCV needs it to draw smooth edges."""
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _down(size: int) -> Float32Array:
    return np.broadcast_to(np.linspace(0, 1, size, dtype=np.float32)[:, None], (size, size))


def _mix(first: Float32Array, second: Float32Array, share: Float32Array) -> Float32Array:
    return np.asarray(first + (second - first) * share[..., None], np.float32)


def noise(rng: np.random.Generator, height: int, width: int, cells: int, across: int | None = None) -> Float32Array:
    """Smooth noise around 0.5 with so many cells down (and across; else about square ones)."""
    across = across or max(2, round(cells * width / height))
    return resize(rng.random((max(2, cells), across), np.float32), height, width)


def _clouds(rng: np.random.Generator, size: int, cells: int) -> Float32Array:
    return np.asarray(sum(noise(rng, size, size, cells * 2**i) / 2 ** (i + 1) for i in range(3)) / 0.875, np.float32)


def resize(values: Float32Array, height: int, width: int) -> Float32Array:
    """Smoothly to another size."""
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _blob(
    picture: UInt8Array,
    centre: Sequence[float],
    axes: Sequence[float] | FloatArray,
    turn: float,
    colour: npt.NDArray[np.floating],
) -> None:
    size = len(picture) * 16
    middle, radii = (tuple(round(v * size) for v in pair) for pair in (centre, axes))
    cv2.ellipse(picture, middle, radii, turn, 0, 360, np.clip(colour, 0, 255).tolist(), cv2.FILLED, cv2.LINE_AA, 4)
