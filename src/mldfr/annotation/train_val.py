"""Pictures told apart into train and val, by their names and classes alone."""

from collections.abc import Mapping, Sequence
from math import floor
from zlib import crc32

from mldfr.core.errors import SettingError
from mldfr.exports.base import SPLITS


def split_share(names: Sequence[str]) -> tuple[tuple[str, ...], float | None]:
    """What `--split` names: splits of the data, and the share of `train` in what is written.

    Args:
        names: Each a split, or a number between 0 and 1.

    Raises:
        SettingError: A number that is no share, or two of them.

    Examples:
        >>> split_share(["train", "0.8"])
        (('train',), 0.8)
    """
    numbers = [value for name in names if (value := _number(name)) is not None]
    if len(numbers) > 1 or not all(0 < value < 1 for value in numbers):
        got = ", ".join(names)
        raise SettingError(
            f"--split takes splits of the data and a share of train between 0 and 1, such as 0.8; got {got}"
        )
    return tuple(name for name in names if _number(name) is None), next(iter(numbers), None)


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def train_or_val(classes: Mapping[str, int], share: float) -> dict[str, str]:
    """The split of each picture: systematic sampling of pictures that are in the order of their classes.

    Within a class the order is that of checksums of the names, so that names which count do not matter. Each class, and
    all of them together, has the share within one picture.

    Args:
        classes: By the pictures' names, of each the class that it is balanced by.
        share: Of `train`, between 0 and 1.

    Examples:
        >>> splits = train_or_val({f"{number}.jpg": number % 2 for number in range(10)}, 0.8)
        >>> [name for name, split in splits.items() if split == "val"]
        ['0.jpg', '9.jpg']
    """
    ordered = sorted(classes, key=lambda name: (classes[name], crc32(name.encode()), name))
    held = 1 - share
    counts = [floor(number * held + 0.5) for number in range(len(ordered) + 1)]
    split = {name: SPLITS[after > before] for name, before, after in zip(ordered, counts, counts[1:], strict=False)}
    return {name: split[name] for name in classes}
