"""Pictures: finding their files, and reading every sort of them."""

from mldfr.images.decoding import image_size, read_image, read_open_image, to_rgb
from mldfr.images.errors import ImageError
from mldfr.images.finding import ImageFile, find_images, list_folder, take_picture
from mldfr.images.formats import SUFFIXES
from mldfr.images.opening import MAX_ASPECT_RATIO, MAX_PIXELS, check_size, opened, upright, upright_size
from mldfr.images.passed_over import JUNK, PassedOver, PassedOverKind, passed_over_kinds, passed_over_lines

__all__ = [
    "JUNK",
    "MAX_ASPECT_RATIO",
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageError",
    "ImageFile",
    "PassedOver",
    "PassedOverKind",
    "check_size",
    "find_images",
    "image_size",
    "list_folder",
    "opened",
    "passed_over_kinds",
    "passed_over_lines",
    "read_image",
    "read_open_image",
    "take_picture",
    "to_rgb",
    "upright",
    "upright_size",
]
