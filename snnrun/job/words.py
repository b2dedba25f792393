"""Converts keyword arguments of Python into overrides of the command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any

from snnrun.errors import ArgumentError


def overrides_of(keys: Mapping[str, Any]) -> list[str]:
    """The words ``key=value`` for keyword arguments; a dotted key is given as ``**{"neuron.beta": 0.9}``.

    Raises:
        ArgumentError: for a value that a config cannot hold.
    """
    return [f"{key}={_value(key, value)}" for key, value in keys.items()]


def _value(key: str, value: Any) -> str:
    """The value in the grammar of overrides, which gives the same value when read."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Integral):  # NumPy's numbers too
        return repr(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, (str, PathLike)):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{each}:{_value(key, inner)}" for each, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(_value(key, inner) for inner in value) + "]"
    raise ArgumentError(key, "None, a boolean, a number, text, or a list or mapping of them", value)
