"""Turns overrides with several values into a search space of Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, "BaseDistribution"]


class SpaceError(ValueError):
    """Words of the command line give no search space. ``faults``: a line for each wrong word."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def space_of(overrides: Sequence[Override]) -> Space:
    """The distribution of each key with several values; choices are texts from the command line.

    Raises:
        SpaceError: with every fault.
    """
    space, faults = Space(), []
    for override in overrides:
        if override.is_sweep_override():
            try:
                space[override.get_key_element()] = _distribution(override)
            except ValueError as error:
                faults.append(str(error))
    if faults:
        raise SpaceError(faults)
    return space


def ends(override: Override) -> list[str]:
    """The words for both ends of an interval; if both are valid, so are all values between them."""
    value = override.value()
    assert isinstance(value, IntervalSweep)
    return [f"{override.get_key_element()}={end}" for end in (value.start, value.end)]


def _distribution(override: Override) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    word, value = override.input_line, override.value()
    log = _log(word, value)
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        if low is None or high is None or not low < high:
            raise ValueError(f"{word}: expected an interval from a smaller to a larger number")
        if log and low <= 0:
            raise ValueError(f"{word}: expected an interval above 0 for a logarithm, got {low} at its begin")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    steps = value.range() if isinstance(value, RangeSweep) and not value.shuffle else None
    if isinstance(steps, range) and len(steps) > 1:
        low, high = min(steps), max(steps)
        if log and (low <= 0 or abs(steps.step) != 1):
            raise ValueError(f"{word}: expected a range above 0 with steps of 1 for a logarithm")
        return IntDistribution(low, high, step=abs(steps.step), log=log)
    if log:
        raise ValueError(f"{word}: a logarithm needs an interval or a range of whole numbers; drop tag(log, …)")
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _log(word: str | None, value: Any) -> bool:
    tags = set(getattr(value, "tags", ()) or ())
    if tags - {"log"}:
        raise ValueError(f"{word}: there is no tag {', '.join(sorted(tags - {'log'}))}; there is log")
    return "log" in tags
