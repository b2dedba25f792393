"""Neurons and the product with few outputs that follows them, in one pass: the spikes are never recorded.

Where a read-out of ten outputs follows a thousand neurons, writing the spikes of all steps to memory and reading them
again costs more than what is done with them. So the product is taken neuron by neuron while the spikes are at hand, and
so is its gradient, on a way back that runs the neurons forwards once more (see ``fused``). On the CPU only.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence.fused import backwards, forwards, gradients, wanted
from snnrun.sequence.kernel import llvm
from snnrun.sequence.kernel.kernel import Key
from snnrun.sequence.kernel.plan import ForwardPlan, X, backward_plan, readout_plan
from snnrun.sequence.record.tracer import Recipe, record

#: Most outputs: their sums must find room in the registers.
MOST = 16


class ChainLayer(Protocol):
    """What a layer of a chain says of itself, so that :func:`can_fuse` can decide."""

    training: bool
    backend: str
    synapse: nn.Module

    @property
    def records(self) -> bool:
        """Whether a training step must record something of the neurons, or compute them again piece by piece."""

    @property
    def is_bare(self) -> bool:
        """Whether nothing but its synapses stands between the spikes that come in and the neurons."""


def can_fuse(layer: ChainLayer, following: ChainLayer) -> bool:
    """Whether the neurons of ``layer`` and the synapses of the layer that follows may run in one pass.

    In a training step, and where nobody wants what such a pass does not record. What depends on the input and on the
    neuron's step as well is decided by :func:`run`.
    """
    trains = layer.training and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    fused = layer.backend == "fused" and not layer.records
    return trains and fused and following.is_bare and isinstance(following.synapse, nn.Linear)


def run(neuron: Neuron, x: Tensor, steps: int, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """``W s[t] + b`` ``[T, B, J]`` for the spikes ``s`` of ``neuron``, and how often each neuron fired, ``[B, *N]``.

    Args:
        neuron: any with a fused execution; it begins in its initial state.
        x: its input, ``[T, B, *N]``, or ``[1, B, *N]`` for one that stays the same over ``steps`` steps.
        weight, bias: ``[J, N]`` and ``[J]``.

    Returns:
        None where this cannot be done: not on the CPU, too many outputs, fewer neurons than a vector has, an input
        that wants no gradient, spikes other than 0 and 1, or a surrogate whose derivative has no code.
    """
    like = x[0]
    if not (
        llvm.supports(x)
        and x.dtype == weight.dtype
        and x.requires_grad
        and len(weight) <= MOST
        and like.numel()
        and weight.shape[1] >= llvm.vector_width(x)
    ):
        return None
    recipe, captured = record(neuron)
    plan = readout_plan(recipe, frozenset(j for j, tensor in enumerate(captured) if tensor.requires_grad), len(weight))
    if plan is None:
        return None
    first = [value.to(x.dtype) for value in neuron.initial_state(like)]
    y, fired = _FusedReadout.apply(recipe, plan, steps, weight, bias, x, *first, *captured)
    return y, fired


class _FusedReadout(torch.autograd.Function):
    BIAS, X = 4, 5  # where they stand among the arguments

    @staticmethod
    def forward(
        ctx: Any,
        recipe: Recipe,
        plan: ForwardPlan,
        steps: int,
        weight: Tensor,
        bias: Tensor | None,
        x: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor, Tensor]:
        size = len(recipe.new)
        y = x.new_zeros((steps, x.shape[1], len(weight)))
        if bias is not None:
            y += bias
        packed = pack(weight)
        product = {Key("weights"): once(packed, weight.shape[1]), Key("products"): y}
        arrays = forwards(recipe, plan, steps, x, others[:size], others[size:], product)
        ctx.recipe, ctx.steps, ctx.constant, ctx.neurons = recipe, steps, x.shape[0] < steps, weight.shape[1]
        ctx.save_for_backward(x, packed, *others)
        fired = arrays[Key("fired")]
        ctx.mark_non_differentiable(fired)
        return y, fired

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        recipe, size = ctx.recipe, len(ctx.recipe.new)
        x, packed, *others = ctx.saved_tensors
        first, captured = others[:size], others[size:]
        asked = wanted(ctx.needs_input_grad[_FusedReadout.X :], size)
        assert asked is not None  # `run` takes only an input that asks for one
        asked = asked._replace(membrane=False, last=frozenset())
        plan = backward_plan(recipe, asked, constant=ctx.constant, replays=True, outputs=packed.shape[1])
        sums = packed.new_zeros(-(-x.shape[1] // llvm.SAMPLES), *packed.shape)
        product = {Key("weights"): packed, Key("products"): grad.contiguous(), Key("grad_weights"): sums}
        arrays = backwards(recipe, plan, ctx.steps, {X: x}, first, captured, product)
        return (
            *(None,) * (_FusedReadout.BIAS - 1),
            unpack(sums.sum(0), ctx.neurons),
            grad.sum((0, 1)) if ctx.needs_input_grad[_FusedReadout.BIAS] else None,
            *gradients(arrays, plan, captured, size, ctx.constant),
        )


def pack(weight: Tensor) -> Tensor:
    """``[J, N]`` as ``[V, J, width]``; the last vector ends at the last neuron, and shares some with the one before."""
    (outputs, size), width = weight.shape, llvm.vector_width(weight)
    vectors = -(-size // width)
    packed = weight.new_empty(vectors, outputs, width)
    before = weight[:, : (vectors - 1) * width].unflatten(1, (vectors - 1, width))
    packed[:-1].copy_(before.transpose(0, 1))
    packed[-1] = weight[:, size - width :]
    return packed


def once(packed: Tensor, size: int) -> Tensor:
    """A copy without what the last vector shares, so that a sum over all vectors has each of the N neurons once."""
    copy = packed.clone()
    copy[-1, :, : _shared(size, packed.shape[2])] = 0
    return copy


def unpack(packed: Tensor, size: int) -> Tensor:
    """``[J, N]`` of ``[V, J, width]``, for N = ``size``; of what is there twice, the first."""
    shared = _shared(size, packed.shape[2])
    whole = packed[:-1].transpose(0, 1).flatten(1)
    return torch.cat([whole, packed[-1, :, shared:]], 1)


def _shared(size: int, width: int) -> int:
    return -size % width
