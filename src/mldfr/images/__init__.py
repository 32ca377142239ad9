"""Pictures: finding their files, and reading every sort of them."""

from mldfr.images.decoding import image_size, read_image, to_rgb
from mldfr.images.errors import ImageError
from mldfr.images.finding import ImageFile, find_images
from mldfr.images.formats import SUFFIXES
from mldfr.images.opening import MAX_ASPECT_RATIO, MAX_PIXELS, check_size, opened, upright, upright_size

__all__ = [
    "MAX_ASPECT_RATIO",
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageError",
    "ImageFile",
    "check_size",
    "find_images",
    "image_size",
    "opened",
    "read_image",
    "to_rgb",
    "upright",
    "upright_size",
]
