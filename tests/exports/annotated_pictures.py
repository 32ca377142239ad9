"""What several tests of exports need."""

import pytest
from hypothesis import strategies as st

from mldfr.exports import FORMATS

EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS.names())


CLASSES = ("cat", "ice cream", 'say: "hi"', "l'été", "犬", "yes", "1", "a,b;<&>", "#%", "{x}", "null")


CHARACTERS = "aZ é日😀'\"&<>#%+,;:=?*[]{}|.\\~`$!@()-_\t"


PARTS = st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))


NAMES = st.builds(
    lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
    st.lists(PARTS | st.sampled_from(["images", "labels", ".hidden", "train"]), max_size=3),
    PARTS | st.sampled_from(["same", ".hidden", "a.b"]),
    st.sampled_from([".jpg", ".JPEG", ".png"]),
)


def round_trip(name, out, classes, images):
    found, pictures = FORMATS[name].read(FORMATS[name].write(out, classes, iter(images)))
    return found, list(pictures)
