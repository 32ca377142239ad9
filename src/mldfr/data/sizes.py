"""Pictures of another size than that in which their boxes were drawn."""

from collections.abc import Sequence

from mldfr.core.types import Sample
from mldfr.images import ImageError

Size = tuple[int, int]
"""Height and width."""


class SizeError(ImageError):
    """A picture whose boxes cannot be compared with anything, as they belong to one of another size."""


def size_error(sample: Sample, size: Size) -> SizeError | None:
    """Why the annotations of a picture do not fit it; None where they do, or where nothing is known.

    Args:
        sample: The picture.
        size: Height and width as it is looked at, EXIF orientation applied.
    """
    if sample.size is None or sample.size == size or not (sample.objects or sample.masks):
        return None
    return SizeError(sample.path, told_sizes(sample.size, size))


def told_sizes(annotated: Size, actual: Size) -> str:
    """Two sizes that differ, and what has probably been done to the picture."""
    (height, width), (h, w) = annotated, actual
    return f"is {h}x{w}; its boxes belong to {height}x{width} (height x width){_cause(annotated, actual)}"


def summed_up(errors: Sequence[SizeError]) -> str:
    """Many of them in one line."""
    first = errors[0]
    are = "1 picture has" if len(errors) == 1 else f"{len(errors):,} pictures have"
    return (
        f"{are} another size than the annotations say; no box is compared there (`mldfr data` names them all): {first}"
    )


def is_resize(annotated: Size, actual: Size) -> bool:
    """Whether one size is the other in a plain resize: the same shape, but for rounding."""
    (height, width), (h, w) = annotated, actual
    return abs(width * h / height - w) <= 1 or abs(height * w / width - h) <= 1


def known_size(height: object, width: object) -> Size | None:
    """Height and width as a file has them; None for zeros and whatever else says that they are not known."""
    try:
        size = int(str(height).strip().removesuffix(".0")), int(str(width).strip().removesuffix(".0"))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _cause(annotated: Size, actual: Size) -> str:
    turned = (annotated[1], annotated[0])
    if turned == actual:
        return ": turned, the annotations were made without the EXIF orientation"
    if is_resize(annotated, actual):
        ratio = round(max(annotated) / max(actual), 2)
        if ratio == 1:
            return ""
        times = {2.0: "twice", 0.5: "half"}.get(ratio, f"{ratio:g} times")
        return f": a plain resize, the boxes belong to pictures of {times} the size"
    if is_resize(turned, actual):
        return ": turned and resized, the annotations were made without the EXIF orientation"
    return ""
