"""What a user can do something about: every error of this package that is no bug of it.

The command line turns these, and only these, into one line and exit code 2. Anything else that is raised is a bug, and
ends with its traceback and exit code 1.
"""


class MldfrError(Exception):
    """An error whose message tells its reader what was expected, what came instead, and where.

    Examples:
        >>> from mldfr.data import open_data
        >>> try:
        ...     open_data("folder:nowhere")
        ... except MldfrError as error:
        ...     print(error)
        folder:nowhere: no such file or folder
    """


class InputError(MldfrError, ValueError):
    """An argument, picture or array that is not what it has to be."""


class SettingError(MldfrError, ValueError):
    """A setting that is out of its range, unknown, or does not go with another."""


class FileError(MldfrError, ValueError):
    """A file whose content is not what it has to be; the message begins with its path."""


class DataError(FileError):
    """A data set that cannot be read; the message names file, value and what was expected."""


class MissingPackageError(MldfrError, ImportError):
    """A package that an extra of this one installs is not there; the message names the extra."""
