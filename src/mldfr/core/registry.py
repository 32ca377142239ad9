"""Names to things: the one way in which backbones, modules and rules are found."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar, cast

from mldfr.core.errors import SettingError

T = TypeVar("T")


class UnknownNameError(SettingError):
    """A name that no registry entry has; the message lists the names that exist."""


class Registry(Generic[T]):
    """A read-only table from names to lazily imported objects.

    Args:
        kind: What the entries are, in the singular, for messages ("backbone").
        entries: Name to `"package.module:attribute"`. Nothing is imported before its name is asked for.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        """Import and return the entry.

        Raises:
            UnknownNameError: The name is not registered.
        """
        module, _, attribute = self._entries[self.check(name)].partition(":")
        return cast(T, getattr(import_module(module), attribute))

    def check(self, name: str) -> str:
        """Return `name` if it is registered, without importing anything.

        Raises:
            UnknownNameError: It is not; the message has the known names and the nearest of them.
        """
        if name in self._entries:
            return name
        near = get_close_matches(name, self._entries, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UnknownNameError(f"unknown {self.kind} {name!r}{hint}; known: {', '.join(self._entries)}")

    def names(self) -> tuple[str, ...]:
        """The registered names, in their order."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
