"""Why a picture file could not be used."""

from pathlib import Path

from mldfr.core.errors import InputError
from mldfr.core.text import one_line


class ImageError(InputError):
    """A file that could not be used.

    Attributes:
        path: The file or folder.
        reason: Why, in words.

    Examples:
        >>> from mldfr.images import read_image
        >>> try:
        ...     read_image("nowhere.jpg")
        ... except ImageError as error:
        ...     print(error.reason)
        no such file
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(one_line(f"{path}: {reason}"))
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)  # not from the message alone, as exceptions are otherwise
