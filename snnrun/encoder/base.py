"""The interface of an encoder: values in, a train of ``num_steps`` steps out, no state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.encoder.value_check import check_values
from snnrun.errors import ArgumentError, Description


@dataclass(frozen=True)
class Encoder(ABC):
    """Base of all encoders."""

    takes_still: ClassVar[bool] = True
    takes_sequence: ClassVar[bool] = False
    #: True if a sequence may have another length than ``num_steps``.
    any_length: ClassVar[bool] = False

    @abstractmethod
    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        """``[num_steps, B, *output_shape(N)]`` for ``x`` ``[1 or num_steps, B, *N]``."""

    def output_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the output: the same ``*N``, unless the code gives each value several neurons."""
        return tuple(input_shape)

    def __call__(self, x: Tensor, num_steps: int, generator: Generator | None = None) -> Tensor:
        """Encode ``x``, ``[1, B, *N]`` (still) or ``[num_steps, B, *N]`` (a sequence), to ``[num_steps, B, *N]``.

        Random encoders draw from ``generator``, on the device of ``x``.

        Raises:
            ValueError: if the encoder does not accept this kind of input, or the sequence has another length.
        """
        check.integer("num_steps", num_steps, low=1)
        if x.dim() < 2:
            raise ArgumentError("x", "[T, B, *N]", Description(f"shape {list(x.shape)}"))
        if x.shape[0] == 1 and not self.takes_still and num_steps > 1 and not self.any_length:
            # Only on an error: the name comes from files.
            name = name_of(self, "encoder")
            raise ArgumentError(
                "x", f"a time axis of {num_steps} steps, which {name} needs", Description("a still input")
            )
        if x.shape[0] > 1 and not self.takes_sequence:
            name = name_of(self, "encoder")
            raise ArgumentError(
                "x",
                f"still input, [1, B, *N], which is what {name} codes",
                Description(f"a sequence of {x.shape[0]} steps"),
            )
        if x.shape[0] not in (1, num_steps) and not self.any_length:
            raise ArgumentError("x", f"1 or num_steps={num_steps} time steps", x.shape[0])
        return self.encode(x, num_steps, generator)


def affine(x: Tensor, gain: float, offset: float) -> Tensor:
    """``gain x + offset``; ``x`` itself if that is equal."""
    return x if gain == 1 and offset == 0 else gain * x + offset


def check_range(x: Tensor, low: float, high: float) -> None:
    """Raise ValueError if a value of ``x`` is outside ``[low, high]``; see :mod:`snnrun.encoder.value_check`."""

    def verify(least: float, most: float) -> None:
        if least < low or most > high:
            expected = f"in [{low:g}, {high:g}]" if high < float("inf") else f"of at least {low:g}"
            got = Description(f"{least:g} to {most:g}")
            raise ArgumentError("x", f"values {expected}", got, advice="scale the input first")

    if x.numel():
        check_values((x.min(), x.max()), verify)
