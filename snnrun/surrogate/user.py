"""A surrogate from a user's own function, without a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from snnrun.config.build import TakesFunctions
from snnrun.errors import ArgumentError
from snnrun.surrogate.base import Surrogate


@dataclass(frozen=True)
class Custom(TakesFunctions, Surrogate):
    """Any function of ``x`` as the derivative.

    ::

        derivative  function(x)
        primitive   integral(x), if there is one

    snnTorch also passes the incoming gradient and the spikes to its function: here the gradient is multiplied, and the
    spikes are ``x > 0``. A surrogate with parameters is better written as a class.

    Args:
        function: from a tensor ``x = u - θ`` of any shape to one of the same shape; in a config its dotted name,
            ``my_module.my_function``. For pickling it must be defined in a module, so no lambda.
        integral: a function whose derivative is ``function``. Default None.

    Raises:
        ValueError: if it is not a function, or a result has another shape than ``x``.

    Source: snnTorch's ``custom_surrogate``.
    """

    by_name: ClassVar[tuple[str, ...]] = ("function", "integral")

    function: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        for name in self.by_name:
            value = getattr(self, name)
            if not callable(value) and not (name == "integral" and value is None):
                raise ArgumentError(name, "a function, in a config its dotted name", value)

    def derivative(self, x: Tensor) -> Tensor:
        return _apply("function", self.function, x)

    def primitive(self, x: Tensor) -> Tensor:
        return _apply("integral", self.integral, x) if self.integral is not None else super().primitive(x)

    @property
    def has_primitive(self) -> bool:
        return self.integral is not None


def example(x: Tensor) -> Tensor:
    """The derivative of a fast sigmoid of slope 25: an example of a function for :class:`Custom`."""
    return 1 / (1 + 25 * x.abs()) ** 2


def _apply(name: str, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    result = function(x)
    if not isinstance(result, torch.Tensor) or result.shape != x.shape:
        got = list(result.shape) if isinstance(result, torch.Tensor) else result
        raise ArgumentError(name, f"to return a tensor of the shape of x, {list(x.shape)}", got)
    return result
