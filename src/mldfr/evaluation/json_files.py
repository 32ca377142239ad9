"""Moved to `mldfr.json_files`."""

from mldfr.json_files import *  # noqa: F403
