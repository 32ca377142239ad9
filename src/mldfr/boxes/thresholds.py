"""Thresholds that look at the map: a name stands for the number that each map gives of itself."""

from collections.abc import Callable

import cv2
import numpy as np

from mldfr.boxes.normalizers import check
from mldfr.core.errors import SettingError
from mldfr.core.registry import Registry
from mldfr.core.types import Float32Array

Threshold = Callable[[Float32Array], float]
"""Activations (H, W) in [0, 1] to what they must exceed, in [0, 1]."""

THRESHOLDS: Registry[Threshold] = Registry(
    "threshold",
    {
        "mean": "mldfr.boxes.thresholds:mean",
        "otsu": "mldfr.boxes.thresholds:otsu",
        "otsu_0.7": "mldfr.boxes.thresholds:seven_tenths_of_otsu",
    },
    entry_points="mldfr.thresholds",
)

_HIGHEST = float(np.nextafter(np.float32(1), np.float32(0)))
"""What some activation exceeds in any map that is not constant, also where a mean was rounded up to 1."""


def mean(activation: Float32Array) -> float:
    """The mean over all pixels.

    Args:
        activation: (H, W) in [0, 1].

    Raises:
        InputError: Not a map, or a value is not finite.

    Examples:
        >>> mean(np.array([[0, 0.25, 0.25, 1]], np.float32))
        0.375
    """
    return float(check(activation).mean(dtype=np.float64))


def otsu(activation: Float32Array) -> float:
    """What parts the pixels into two groups whose means differ most for their sizes (Otsu, IEEE SMC 1979).

    Activations are rounded to 256 levels; the threshold lies between the highest level of the lower group and the next.
    Takes and raises what `mean` does.

    Examples:
        >>> otsu(np.array([[0, 0.2, 0.8, 1]], np.float32)) == (51 + 0.5) / 255  # 0.2 is level 51
        True
    """
    levels = np.rint(255 * np.clip(check(activation), 0, 1)).astype(np.uint8)
    level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return (level + 0.5) / 255


def seven_tenths_of_otsu(activation: Float32Array) -> float:
    """0.7 times Otsu's: a map is hottest at the most telling part of an object, whose rest is cooler.

    Takes and raises what `mean` does.

    Examples:
        >>> round(seven_tenths_of_otsu(np.array([[0, 0.2, 0.8, 1]], np.float32)), 4)
        0.1414
    """
    return 0.7 * otsu(activation)


def checked(threshold: object) -> float | str:
    """A threshold, if it is a number in [0, 1) or a name; a text that is a number becomes one.

    Raises:
        UnknownNameError: No such name.
        SettingError: A number out of the range, or neither number nor name.

    Examples:
        >>> checked("0.3"), checked("mean")
        (0.3, 'mean')
        >>> checked(1)
        Traceback (most recent call last):
        mldfr.core.errors.SettingError: a threshold is a number from 0 to less than 1, or mean, otsu or otsu_0.7; got 1
    """
    value = number_or_name(threshold) if isinstance(threshold, str) else threshold
    if isinstance(value, str):
        return THRESHOLDS.check(value)
    if not isinstance(value, float | int | np.number) or not 0 <= value < 1:
        *names, last = THRESHOLDS.names()
        known = f"{', '.join(names)} or {last}"
        raise SettingError(f"a threshold is a number from 0 to less than 1, or {known}; got {threshold!r}")
    return float(value)


def number_or_name(text: str) -> float | str:
    """The number that a text is, else the text: the name of a threshold, known or not.

    Examples:
        >>> number_or_name("0.3"), number_or_name("otsu")
        (0.3, 'otsu')
    """
    try:
        return float(text)
    except ValueError:
        return text


def of_map(threshold: float | str, activation: Float32Array) -> float:
    """The number that a threshold comes to in a map.

    Args:
        threshold: A number, which is the same for all maps, or a name of `THRESHOLDS`.
        activation: (H, W) in [0, 1].

    Returns:
        In [0, 1); a name's is less than 1 even where the map is 1 almost everywhere.

    Raises:
        SettingError: No such name, or what it names (of another package) does not give a number from 0 to 1.

    Examples:
        >>> activation = np.array([[0, 0.25, 0.25, 1]], np.float32)
        >>> of_map(0.2, activation), of_map("mean", activation)
        (0.2, 0.375)
    """
    if not isinstance(threshold, str):
        return threshold
    found = float(THRESHOLDS[threshold](activation))
    if not 0 <= found <= 1:
        raise SettingError(f"threshold {threshold!r} gave {found:g} for a map; expected a number from 0 to 1")
    return min(found, _HIGHEST)


def threshold_text(threshold: float | str) -> str:
    """A threshold as people read it.

    Examples:
        >>> threshold_text(0.2), threshold_text("mean")
        ('0.2', 'mean')
    """
    return threshold if isinstance(threshold, str) else f"{threshold:g}"
