"""Argument checks for all parts: they return the value, or raise ArgumentError."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from snnrun.errors import ArgumentError


def number(
    name: str,
    value: object,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    condition: str = "",
) -> float:
    """A finite number, with ``low <= value <= high`` and ``above < value < below`` if given.

    ``condition``: when these bounds hold, for the message: ``with this alpha``.
    """
    bounds = [
        ("at least", low, lambda v, b: v >= b),
        ("at most", high, lambda v, b: v <= b),
        ("above", above, lambda v, b: v > b),
        ("below", below, lambda v, b: v < b),
    ]
    limits = " and ".join(f"{word} {bound:g}" for word, bound, _ in bounds if bound is not None)
    expected = " ".join(words for words in ("a number", limits, condition) if words)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
        raise ArgumentError(name, expected, value)
    if not all(holds(value, bound) for _, bound, holds in bounds if bound is not None):
        raise ArgumentError(name, expected, value)
    return float(value)


def integer(name: str, value: object, *, low: int | None = None, high: int | None = None) -> int:
    """A whole number in ``[low, high]``."""
    expected = "a whole number"
    if low is not None:
        expected += f" of at least {low}"
    if high is not None:
        expected += f"{' and' if low is not None else ' of'} at most {high}"
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or (low is not None and value < low)
        or (high is not None and value > high)
    ):
        raise ArgumentError(name, expected, value)
    return value


def flag(name: str, value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ArgumentError(name, "true or false", value)
    return value


def choice(name: str, value: object, options: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in options:
        raise ArgumentError(name, " or ".join(repr(option) for option in options), value)
    return value


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def integers(name: str, values: object, *, low: int) -> tuple[int, ...]:
    """A list, possibly empty, of whole numbers of at least ``low``."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ArgumentError(name, "a list of whole numbers such as [100, 50]", values)
    return tuple(integer(f"{name}[{i}]", value, low=low) for i, value in enumerate(values))
