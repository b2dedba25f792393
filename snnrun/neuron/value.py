"""A parameter of a neuron: fixed or learnable, one number for the layer or one per neuron, always in its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.neuron.distribution import Distribution, Numbers, transform


class Range(NamedTuple):
    """The numbers from ``low`` to ``high``, both included.

    A learnable value of it is stored as it is, or, with ``share``, as its share of the range: 0 for ``low``, 1 for
    ``high``. The choice scales the steps of an optimizer.
    """

    low: float
    high: float
    share: bool = False

    def stored(self, value: Tensor) -> Tensor:
        """The number that is stored for ``value``."""
        return (value - self.low) / (self.high - self.low) if self.share else value.clone()

    def value(self, stored: Tensor) -> Tensor:
        """The value of a stored number; a number beyond an end counts as this end, and has no gradient."""
        if self.share:
            return self.low + (self.high - self.low) * stored.clamp(0, 1)
        return stored.clamp(self.low, self.high)

    def clip_(self, stored: Tensor) -> None:
        """Move stored numbers beyond an end to it, in place."""
        low, high = (0.0, 1.0) if self.share else (self.low, self.high)
        stored.clamp_(low, high)


class Value(nn.Module):
    """A number of the neuron; calling it returns its current value.

    A fixed scalar stays a Python float, exact in every dtype. A learnable value is stored without bounds and mapped
    into its interval, so that no optimizer step can leave it: by the logistic function for the open unit interval, by
    the exponential for positive numbers; a real number needs no map. A learnable value of a :class:`Range` is clipped
    to it: in use, and in training after each step of the optimizer, so that its gradient never vanishes for long.

    Args:
        name: for error messages.
        value: a number, a list of one number per neuron, or a distribution, as text ``uniform(low,high)``,
            ``log_uniform(low,high)`` or ``normal(mean,sd)``: each neuron of ``shape`` gets a draw of its own from
            torch's default generator, and a draw outside ``interval`` is drawn again.
        interval: ``"unit"`` for ``[0, 1]``, ``"positive"`` for ``(0, inf)``, ``"real"`` for any number, or a
            :class:`Range`.
        learn: make it a parameter. A learnable unit value must lie strictly between 0 and 1.
        shape: each neuron of this shape has its own value; None: one for all.

    Raises:
        ValueError: for a value out of range, a list with another length than the layer, or a distribution without a
            shape or with less than one draw in a hundred in the interval.
    """

    raw: Tensor

    def __init__(
        self,
        name: str,
        value: Numbers,
        interval: str | Range,
        *,
        learn: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.name, self.interval = name, interval
        self.learn = check.flag(f"learn_{name}", learn)
        self.fixed: float | None = None
        number = self._check(value, shape)
        if isinstance(number, float) and shape is None and not learn:
            self.fixed = number
            return
        tensor = torch.tensor(number, dtype=torch.get_default_dtype())
        if shape is not None:
            tensor = self._spread(tensor, tuple(shape))
        if learn:
            # A number within half a rounding of 0 or 1 is stored beside it: the map of the end itself is infinite.
            tiny, below_one = torch.finfo(tensor.dtype).tiny, 1 - torch.finfo(tensor.dtype).eps / 2
            if interval in ("unit", "positive"):
                tensor = tensor.clamp(tiny, below_one if interval == "unit" else None)
            if isinstance(interval, Range):
                stored = interval.stored(tensor)
            else:
                stored = {"unit": tensor.logit, "positive": tensor.log, "real": tensor.clone}[interval]()
            self.raw = nn.Parameter(stored)
        else:
            self.register_buffer("raw", tensor)

    def forward(self) -> Tensor | float:
        """The value: a float, or a tensor of shape ``[]`` or ``[*N]``."""
        if self.fixed is not None:
            return self.fixed
        if not self.learn:
            return self.raw
        if self.interval == "real":
            return self.raw
        if isinstance(self.interval, Range):
            return self.interval.value(self.raw)
        return torch.sigmoid(self.raw) if self.interval == "unit" else torch.exp(self.raw)

    @property
    def clips(self) -> bool:
        """True for a learnt value of a range."""
        return self.learn and isinstance(self.interval, Range)

    @torch.no_grad()
    def clip(self) -> None:
        """Move a learnt value of a range, which an optimizer's step may have taken beyond an end, to this end."""
        if self.learn and isinstance(self.interval, Range):
            self.interval.clip_(self.raw)

    def _check(self, value: Numbers, shape: Sequence[int] | None) -> float | list[float]:
        if isinstance(value, Sequence) and not isinstance(value, str) and not value:
            raise ArgumentError(self.name, "a number or a list of numbers", value)
        checked = transform(self.name, value, self._check_one)
        return checked.draw(shape) if isinstance(checked, Distribution) else checked

    def _check_one(self, number: object) -> float:
        if self.interval == "real":
            return check.number(self.name, number)
        if isinstance(self.interval, Range):
            return check.number(self.name, number, low=self.interval.low, high=self.interval.high)
        if self.interval == "positive":
            return check.number(self.name, number, above=0)
        if self.learn:
            return check.number(self.name, number, above=0, below=1, condition="where it is learned")
        return check.number(self.name, number, low=0, high=1)

    def _spread(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        if tensor.dim() == 0:
            return tensor.expand(shape).clone()
        if tensor.numel() != torch.Size(shape).numel():
            raise ArgumentError(
                self.name,
                f"one number, or one for each of the {torch.Size(shape).numel()} neurons of the layer",
                Description(f"a list of {tensor.numel()}"),
            )
        return tensor.reshape(shape)

    def extra_repr(self) -> str:
        current = self()
        if isinstance(current, Tensor):
            current = round(current.item(), 6) if current.numel() == 1 else f"tensor of shape {list(current.shape)}"
        return f"{current}, learnable" if self.learn else f"{current}"
