"""Pictures: finding their files, and reading every sort of them."""

from mldfr.images.decoding import MAX_ASPECT_RATIO, MAX_PIXELS, check_size, image_size, read_image, to_rgb
from mldfr.images.errors import ImageError
from mldfr.images.finding import SUFFIXES, ImageFile, find_images

__all__ = [
    "MAX_ASPECT_RATIO",
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageError",
    "ImageFile",
    "check_size",
    "find_images",
    "image_size",
    "read_image",
    "to_rgb",
]
