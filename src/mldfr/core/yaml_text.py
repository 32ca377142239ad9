"""YAML in which 1e-05 is a number, as it is in JSON and to whoever writes it; YAML 1.1 takes it for text."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_FLOAT = ("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


class _Loader(yaml.SafeLoader):
    """Reads such numbers."""


class _Dumper(yaml.SafeDumper):
    """Writes text that looks like one in quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(*_FLOAT)


def from_yaml(text: str) -> Any:
    """Plain values of a text in YAML.

    Raises:
        yaml.YAMLError: It is none.

    Examples:
        >>> from_yaml("[1e-05, 1e3, .5e1, '1e3', 1-2]")
        [1e-05, 1000.0, 5.0, '1e3', '1-2']
    """
    return yaml.load(text, Loader=_Loader)


def to_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as a text in YAML, which `from_yaml` reads as the same, keys in their order.

    Examples:
        >>> print(to_yaml({"lr": 1e-05, "classes": ["1e5", "2b"]}), end="")
        lr: 1.0e-05
        classes:
        - '1e5'
        - 2b
    """
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def as_told(settings: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Settings of a recipe as the command line has them, `a.b=c`; JSON is such YAML.

    Examples:
        >>> as_told({"training.lr": 1e-05, "data.classes": ["é"]})
        ['training.lr=1e-05', 'data.classes=["é"]']
    """
    if isinstance(settings, Mapping):
        return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    return list(settings)
