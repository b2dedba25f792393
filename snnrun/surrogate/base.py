"""The interface of a surrogate: a derivative, possibly a primitive, and the step function that they replace.

Forwards a spike is the step of ``x = membrane - threshold``: exactly 0 or 1, in the dtype of ``x``. Backwards
``derivative(x)`` replaces the step's derivative, which is zero almost everywhere. To add a surrogate, write a class
with ``derivative`` (and ``primitive``) and a file ``conf/surrogate/<name>.yaml`` that names it.

A surrogate is a frozen value: it can be compared, hashed, copied and pickled, and has no state.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.errors import ArgumentError, Description


@dataclass(frozen=True)
class Surrogate(ABC):
    """Base of all surrogates: a step forwards, ``derivative`` backwards.

    The fields of a subclass are its shape parameters. They must be positive numbers, unless a field's metadata states
    other limits, as keywords of :func:`snnrun.check.number`: ``leak: float = field(default=0.0, metadata={"low": 0})``.
    ``x`` and parameters that are widths have the unit of the membrane, slopes its inverse.

    Raises:
        ValueError: for a parameter out of range, naming it.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            check.number(field.name, getattr(self, field.name), **(dict(field.metadata) or {"above": 0}))

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The factor of the gradient, elementwise; ``x`` is membrane minus threshold, any shape.

        For a random gradient its expectation.
        """

    def primitive(self, x: Tensor) -> Tensor:
        """The function whose derivative is ``derivative``, elementwise.

        Raises:
            ValueError: if there is none; the message names the surrogates that have one.
        """
        others = {kind for kind in _kinds() if kind.primitive is not Surrogate.primitive} - {type(self)}
        pairs = (name_of(kind, "surrogate").partition("=") for kind in others)
        names = ", ".join(sorted(option for _, equals, option in pairs if equals))
        name = name_of(self, "surrogate")
        raise ArgumentError(
            "surrogate",
            "one with a primitive to run with spiking=false",
            Description(f"{name}, which has no primitive"),
            advice=f"these have one: {names}",
        )

    @property
    def has_primitive(self) -> bool:
        """True if there is a primitive."""
        return type(self).primitive is not Surrogate.primitive

    def __call__(
        self, x: Tensor, *, inclusive: bool = False, spiking: bool = True, generator: Generator | None = None
    ) -> Tensor:
        """Spikes for ``x``.

        Args:
            x: membrane minus threshold, any shape.
            inclusive: a spike for ``x >= 0`` instead of ``x > 0``.
            spiking: false uses the primitive instead of the step, with its exact derivative as gradient.
            generator: on the device of ``x``; for a random surrogate. Without one, as in a neuron's step, it draws from
                torch's default generator of that device. Other surrogates do not use it.

        Returns:
            Spikes 0 or 1 (a graded surrogate: spike counts) in the shape, dtype and device of ``x``.

        Raises:
            ValueError: for ``spiking=False`` without a primitive.
        """
        if has_torch_function_unary(x):  # torch's protocol for objects in place of tensors, as in snnrun.sequence
            spikes: Tensor = handle_torch_function(
                Surrogate.__call__, (x,), self, x, inclusive=inclusive, spiking=spiking, generator=generator
            )
            return spikes
        if not spiking:
            return self.smooth(x)
        return _Spike.apply(x, self.noise(x, generator), self, inclusive)

    def smooth(self, x: Tensor) -> Tensor:
        """The primitive, with its exact derivative as gradient."""
        return _Smooth.apply(x, self)

    # The parts of a spike. Most surrogates override none of them; see `is_step`.

    def noise(self, x: Tensor, generator: Generator | None) -> Tensor | None:
        """The draws of a random surrogate for one call; None for the others."""
        return None

    def spikes(self, x: Tensor, noise: Tensor | None, inclusive: bool) -> Tensor:
        """The forward pass."""
        return (x >= 0 if inclusive else x > 0).to(x.dtype)

    def gradient(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The backward pass."""
        return self.derivative(x)

    @property
    def is_step(self) -> bool:
        """True if spikes are the plain step and gradients ``derivative(x)``, which a fused execution requires."""
        parts = ("__call__", "noise", "spikes", "gradient")
        return all(getattr(type(self), part) is getattr(Surrogate, part) for part in parts)


class _Spike(torch.autograd.Function):
    """A spike whose backward is a surrogate; it can be differentiated again, and vmapped."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, noise: Tensor | None, surrogate: Surrogate, inclusive: bool) -> Tensor:
        return surrogate.spikes(x, noise, inclusive)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, noise, ctx.surrogate, _ = inputs
        ctx.save_for_backward(x, noise)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, noise = ctx.saved_tensors
        return grad * ctx.surrogate.gradient(x, noise), None, None, None


class _Smooth(torch.autograd.Function):
    """The primitive with the explicit derivative, which stays exact and finite where autograd's would cancel."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, surrogate: Surrogate) -> Tensor:
        # A copy, since a primitive may return x itself, which would look like an in-place change to autograd.
        result = surrogate.primitive(x)
        return result.clone() if result is x else result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.surrogate = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(x), None


def _kinds(kind: type[Surrogate] = Surrogate) -> Iterator[type[Surrogate]]:
    for below in kind.__subclasses__():
        if not inspect.isabstract(below):
            yield below
        yield from _kinds(below)


def function(surrogate: type[Surrogate]) -> Callable[..., Tensor]:
    """The function style of a surrogate: ``f(x, *shape parameters)``, with the keywords of a surrogate's call."""

    def spikes(
        x: Tensor,
        *parameters: Any,
        inclusive: bool = False,
        spiking: bool = True,
        generator: Generator | None = None,
        **named: Any,
    ) -> Tensor:
        spike = surrogate(*parameters, **named)
        return spike(x, inclusive=inclusive, spiking=spiking, generator=generator)

    spikes.__name__ = spikes.__qualname__ = surrogate.__name__.lower()
    spikes.__doc__ = f"Function style of :class:`{surrogate.__name__}`.\n\n{surrogate.__doc__}"
    return spikes
