"""The one error of data sets."""


class DataError(ValueError):
    """A data set that cannot be read; the message names file, value and what was expected."""
