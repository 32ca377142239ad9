"""Names to things: the one way in which backbones, methods, modules and rules are found.

Somebody else's package adds a name by an entry point, which its `pyproject.toml` has:

    [project.entry-points."mldfr.methods"]
    erase = "acme_wsol.erase:Erase"
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, distributions
from typing import Generic, TypeVar, cast

from mldfr.core.errors import SettingError

GROUPS = "mldfr."
"""How the names of all groups of entry points begin."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class UnknownNameError(SettingError):
    """A name that no registry entry has; the message lists the names that exist."""


class PluginError(SettingError):
    """An entry of somebody else's package that cannot be used; the message names the package."""


class Registry(Generic[T]):
    """A read-only table from names to lazily imported objects.

    Args:
        kind: What the entries are, in the singular, for messages ("backbone").
        entries: Name to `"package.module:attribute"`. Nothing is imported before its name is asked for.
        entry_points: The group of entry points by which other packages add names; own names win over theirs.
        makers: Prefix to `"package.module:function"`: every name that begins so is known, and handed to the function.

    Examples:
        >>> shapes = Registry("fraction", {"exact": "fractions:Fraction"})
        >>> shapes["exact"](1, 3)
        Fraction(1, 3)
        >>> "rounded" in shapes, shapes.names()
        (False, ('exact',))
        >>> shapes["exakt"]
        Traceback (most recent call last):
        mldfr.core.registry.UnknownNameError: unknown fraction 'exakt' (did you mean 'exact'?); known: exact
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, str],
        *,
        entry_points: str | None = None,
        makers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self._own = dict(entries)
        self._group = entry_points
        self._makers = dict(makers or {})

    @cached_property
    def _foreign(self) -> dict[str, EntryPoint]:
        """What other packages add; a name that is taken stays with whoever had it, and that is said."""
        found: dict[str, EntryPoint] = {}
        for point in _entry_points().get(self._group or "", ()):
            if point.name in self._own or point.name in found:
                owner = "mldfr itself" if point.name in self._own else _package(found[point.name])
                _log.warning("%s %s of %s is not used: %s has one", self.kind, point.name, _package(point), owner)
            else:
                found[point.name] = point
        return found

    def __getitem__(self, name: str) -> T:
        """Import and return the entry.

        Raises:
            UnknownNameError: The name is not registered.
            PluginError: Another package registered it, and it cannot be imported.
        """
        if (point := self._foreign.get(self.check(name))) is not None:
            return self._load(point)
        if name in self._own:
            return cast(T, _imported(self._own[name]))
        make = next(made for prefix, made in self._makers.items() if name.startswith(prefix))
        return cast(Callable[[str], T], _imported(make))(name)

    def _load(self, point: EntryPoint) -> T:
        try:
            return cast(T, point.load())
        except Exception as error:  # whatever somebody else's module raises when it is imported
            raise self.unusable(point.name, f"{type(error).__name__}: {error}") from error

    def is_foreign(self, name: str) -> bool:
        """Whether a name is that of another package."""
        return name in self._foreign

    def unusable(self, name: str, reason: str) -> PluginError:
        """The error of another package's entry that is not what it has to be."""
        return PluginError(f"{self.kind} {name} of {_package(self._foreign[name])} cannot be used ({reason})")

    def check(self, name: str) -> str:
        """Return `name` if it is registered, without importing anything.

        Raises:
            UnknownNameError: It is not; the message has the known names and the nearest of them.
        """
        if name in self:
            return name
        names = self.names()
        known = ", ".join([*names, *(f"{prefix}NAME" for prefix in self._makers)])
        raise UnknownNameError(f"unknown {self.kind} {name!r}{near(name, names)}; known: {known}")

    def usable(self) -> Iterator[tuple[str, T]]:
        """Every entry that can be imported, with its name; of another package's that cannot, a warning says why."""
        for name in self.names():
            try:
                yield name, self[name]
            except PluginError as error:
                _log.warning("%s", error)

    def names(self) -> tuple[str, ...]:
        """The registered names, in their order: own ones, then those of other packages."""
        return (*self._own, *self._foreign)

    def __contains__(self, name: object) -> bool:
        made = isinstance(name, str) and any(name.startswith(prefix) and name != prefix for prefix in self._makers)
        return name in self._own or made or name in self._foreign

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())


def near(name: str, names: Iterable[str]) -> str:
    """What may have been meant by a name that does not exist, for a message; "" where nothing is near.

    Examples:
        >>> "no recipe 'fintune'" + near("fintune", ["paper", "finetune"])
        "no recipe 'fintune' (did you mean 'finetune'?)"
        >>> near("x", ["paper", "finetune"])
        ''
    """
    found = get_close_matches(name, list(names), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _imported(place: str) -> object:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


@lru_cache
def _entry_points() -> Mapping[str, list[EntryPoint]]:
    """The entry points of all installed packages that are for this one, by group, each name of a package once."""
    groups: dict[str, list[EntryPoint]] = {}
    for distribution in distributions():
        try:
            points = [point for point in distribution.entry_points if point.group.startswith(GROUPS)]
        except Exception as error:  # metadata that somebody else broke
            _log.warning("the entry points of %s cannot be read (%s)", distribution.name, error)
            continue
        for point in points:
            if point not in groups.setdefault(point.group, []):  # a folder that is twice on the path
                groups[point.group].append(point)
    return groups


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist is not None else f"the package of {point.value}"
