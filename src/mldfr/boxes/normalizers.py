"""From summed class activations to activations in [0, 1]."""

from collections.abc import Callable

import numpy as np

from mldfr.core.errors import InputError
from mldfr.core.registry import Registry
from mldfr.core.types import Float32Array

Normalizer = Callable[[Float32Array], Float32Array]

NORMALIZERS: Registry[Normalizer] = Registry(
    "normalizer",
    {
        "min_max": "mldfr.boxes.normalizers:min_max",
        "max": "mldfr.boxes.normalizers:maximum",
        "percentile": "mldfr.boxes.normalizers:percentile",
        "percentile_as_standard": "mldfr.boxes.normalizers:percentile_as_standard",
    },
    entry_points="mldfr.normalizers",
)

PERCENTILE = 45.0
STANDARD = 0.9


def min_max(score_map: Float32Array) -> Float32Array:
    """`(A - min) / (max - min)`, Eq. 9 of the paper.

    Args:
        score_map: (H, W), any range.

    Returns:
        (H, W) in [0, 1]; zeros for a constant map.

    Raises:
        InputError: Not a map, or a value is not finite.

    Examples:
        >>> min_max(np.array([[-1, 0, 3]], np.float32)).tolist()
        [[0.0, 0.25, 1.0]]
    """
    lowest = check(score_map).min()
    return _divide(score_map - lowest)


def maximum(score_map: Float32Array) -> Float32Array:
    """`relu(A) / max`: zero stays where the network put it.

    Takes, returns and raises what `min_max` does; a constant map is zeros here too.

    Examples:
        >>> maximum(np.array([[-1, 1, 4]], np.float32)).tolist()
        [[0.0, 0.25, 1.0]]
    """
    if check(score_map).min() == score_map.max():
        return np.zeros_like(score_map)
    return _divide(np.maximum(score_map, 0))


def percentile(score_map: Float32Array, *, q: float = PERCENTILE) -> Float32Array:
    """`relu(A - q-th percentile) / max`, known as IVR normalisation.

    Takes, returns and raises what `min_max` does.

    Examples:
        >>> percentile(np.array([[0, 1, 3, 6]], np.float32), q=50).tolist()
        [[0.0, 0.0, 0.25, 1.0]]
    """
    base = np.float32(np.percentile(check(score_map), q))
    return _divide(np.maximum(score_map - base, 0))


def percentile_as_standard(score_map: Float32Array, *, share: float = STANDARD) -> Float32Array:
    """`min(1, (A - min) / (P - min))`, P over that share of the values: a threshold is no part of the maximum (PaS).

    Bae et al., Rethinking Class Activation Mapping for Weakly Supervised Object Localization, ECCV 2020. P is a value
    of the map, number `floor(share * n)` from below. Takes, returns and raises what `min_max` does.

    Examples:
        >>> percentile_as_standard(np.array([[0, 1, 2, 9]], np.float32), share=0.5).tolist()
        [[0.0, 0.5, 1.0, 1.0]]
    """
    raised = score_map - check(score_map).min()
    place = min(int(share * raised.size), raised.size - 1)
    standard = np.partition(raised, place, axis=None)[place]
    bounded: Float32Array = _divide(raised) if standard == 0 else np.minimum(raised, standard) / standard
    return bounded


def check(score_map: Float32Array) -> Float32Array:
    """Return the map if it is one: (H, W), not empty, every value finite.

    Raises:
        InputError: It is not; the message says what came instead.

    Examples:
        >>> check(np.zeros((2, 3, 4), np.float32))
        Traceback (most recent call last):
        mldfr.core.errors.InputError: a score map has the shape (H, W) and at least one pixel; got (2, 3, 4)
    """
    if score_map.ndim != 2 or score_map.size == 0:
        raise InputError(f"a score map has the shape (H, W) and at least one pixel; got {score_map.shape}")
    if not np.isfinite(score_map).all():
        bad = int(score_map.size - np.isfinite(score_map).sum())
        raise InputError(f"a score map must be finite; {bad} of {score_map.size} values are not")
    return score_map


def _divide(positive: Float32Array) -> Float32Array:
    highest = positive.max()
    if highest == 0:
        return np.zeros_like(positive)
    divided: Float32Array = positive / highest
    return divided
