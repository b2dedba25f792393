"""A parameter that differs from neuron to neuron: the text of its distribution, and the draws from it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import torch
from torch import Generator

from snnrun import check
from snnrun.errors import ArgumentError

#: The share of draws that must lie in the range of the parameter, and the number of draws that estimate it.
LEAST_SHARE, TRIALS = 0.01, 1000
FORM = re.compile(r"\s*(uniform|log_uniform|normal)\(\s*([^\s,()]+)\s*,\s*([^\s,()]+)\s*\)\s*")
EXPECTED = (
    "a number, a list of numbers, 'uniform(low,high)' with low < high, 'log_uniform(low,high)' with 0 < low < high, or "
    "'normal(mean,sd)' with sd above 0"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Distribution:
    """``uniform(low,high)``, ``log_uniform(low,high)`` or ``normal(mean,sd)``: one draw for each neuron of a layer.

    The logarithm of a draw from ``log_uniform`` is uniform. A draw outside the range of the parameter is drawn again,
    so the draws follow the distribution cut to that range.

    Attributes:
        name: of the argument, for error messages.
        text: as the user wrote it.
        kind: ``uniform``, ``log_uniform`` or ``normal``.
        first, second: its two numbers, in the unit of the argument.
        function: maps a draw to what the neuron computes with, such as τ to a decay; raises ArgumentError out of range.
    """

    name: str
    text: str
    kind: str
    first: float
    second: float
    function: Callable[[float], float] = float

    @classmethod
    def read(cls, name: str, text: str) -> Distribution:
        """The distribution that ``text`` describes.

        Raises:
            ValueError: for any other text.
        """
        match = FORM.fullmatch(text)
        try:
            first, second = (float(number) for number in match.groups()[1:]) if match else (0.0, 0.0)
        except ValueError:
            first, second = 0.0, 0.0
        kind = match[1] if match else ""
        if not second > (0 if kind == "normal" else first) or (kind == "log_uniform" and not first > 0) or not kind:
            raise ArgumentError(name, EXPECTED, text)
        return cls(name, text, kind, check.number(name, first), check.number(name, second))

    def through(self, function: Callable[[float], float]) -> Distribution:
        """The distribution of ``function`` of a draw."""
        inner = self.function
        return replace(self, function=lambda number: function(inner(number)))

    def draw(self, shape: Sequence[int] | None) -> list[float]:
        """A number for each neuron of a layer of this shape, ``[prod(shape)]``, from torch's default generator.

        Raises:
            ValueError: without a shape, or if less than one draw in a hundred lies in the range.
        """
        return draw_each((self,), shape, self.function)

    def numbers(self, count: int, generator: Generator | None = None) -> list[float]:
        """So many draws from the whole distribution."""
        draws = torch.randn if self.kind == "normal" else torch.rand
        first, second = self.first, self.second
        if self.kind == "log_uniform":
            first, second = math.log(first), math.log(second)
        scale = second if self.kind == "normal" else second - first
        numbers = first + scale * draws(count, generator=generator, dtype=torch.float64)
        result: list[float] = (numbers.exp() if self.kind == "log_uniform" else numbers).tolist()
        return result


#: What a parameter may be: a number, a number for each neuron, or a distribution, as text or as read from it.
Numbers: TypeAlias = float | Sequence[float] | str | Distribution


def transform(name: str, value: Numbers, function: Callable[[float], float]) -> float | list[float] | Distribution:
    """``function`` of a number, of each number in a list, or of each draw of a distribution.

    Raises:
        ValueError: where ``function`` does, or for a text with parentheses that describes no distribution.
    """
    if isinstance(value, str) and "(" in value:
        return Distribution.read(name, value).through(function)
    if isinstance(value, Distribution):
        return value.through(function)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [function(one) for one in value]
    return function(value)  # type: ignore[arg-type]  # refuses any other text, with the range of the parameter


def draw_each(
    sources: Sequence[Distribution | float], shape: Sequence[int] | None, function: Callable[..., T]
) -> list[T]:
    """``function`` of one draw from each source, for each neuron; where it raises ArgumentError, all are drawn again.

    A source that is a number is this number in every draw. At least one of them is a distribution.

    Raises:
        ValueError: without a shape, or if ``function`` accepts less than one draw in a hundred.
    """
    first = next(source for source in sources if isinstance(source, Distribution))
    if shape is None:
        expected = "a number, since a draw for each neuron needs the shape of the layer"
        raise ArgumentError(first.name, expected, first.text, advice="give shape with it")

    def accepted(count: int, generator: Generator | None = None) -> tuple[list[T], str]:
        columns = [
            source.numbers(count, generator) if isinstance(source, Distribution) else [source] * count
            for source in sources
        ]
        values, refusal = [], ""
        for numbers in zip(*columns, strict=True):
            try:
                values.append(function(*numbers))
            except ArgumentError as error:
                refusal = error.expected
        return values, refusal

    # A generator of its own, so that the answer is the same before a run and in it.
    some, refusal = accepted(TRIALS, torch.Generator().manual_seed(0))
    if len(some) < LEAST_SHARE * TRIALS:
        expected = f"a distribution with at least {LEAST_SHARE:.0%} of its draws in range ({refusal})"
        raise ArgumentError(first.name, expected, first.text)
    values: list[T] = []
    while (missing := torch.Size(shape).numel() - len(values)) > 0:
        values += accepted(missing)[0]
    return values
