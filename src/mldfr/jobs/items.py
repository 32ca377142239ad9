"""The items of a job: what tells them apart, and when the row of one still holds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
"""The result of an item as plain values, its key among them; a job looks at nothing else in it but `error`, which says
why there is no result."""


@dataclass(frozen=True)
class Items:
    """The items of a job, of all its parts.

    Attributes:
        keys: Texts that tell them apart and stay theirs, in the order of the results.
        key: Under which name a row has the key of its item.
        names: Further names that each row has.
        facts: What may change from one call to the next, beside the setting, which may not; as JSON gives it back.
        keep: Given a row and the facts with which it was made: the row as it holds now, or None if it does not.
        done: Whether all that belongs to a row, such as files beside it, is there; if not, the item is done again.
        may_go: Whether the rows of items that are no more are dropped. Otherwise the job is refused.

    Examples:
        >>> Items(("a.jpg", "b.jpg"), "image", done=lambda row: row["height"] > 0).key
        'image'
    """

    keys: tuple[str, ...]
    key: str
    names: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    keep: Callable[[dict[str, Any], Mapping[str, Any]], Row | None] = lambda row, facts: row
    done: Callable[[Row], bool] = lambda row: True
    may_go: bool = False

    @classmethod
    def table(cls, states: Mapping[str, Any], *, key: str, done: Callable[[Row], bool] = lambda row: True) -> "Items":
        """Pictures of which a table says what the row of each depends on: with another value it is made again.

        Examples:
            >>> Items.table({"a.jpg": 1024, "b.jpg": 96}, key="image").keys
            ('a.jpg', 'b.jpg')
        """
        known = as_read(states)

        def keep(row: dict[str, Any], facts: Mapping[str, Any]) -> Row | None:
            before = facts["pictures"] or {}
            return row if row[key] in before and before[row[key]] == known[row[key]] else None

        return cls(tuple(states), key, facts={"pictures": known}, keep=keep, done=done)


def as_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are when they come back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain
