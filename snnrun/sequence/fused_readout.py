"""Neurons and their following product with few outputs in one pass: the spikes are never recorded.

If a read-out of ten outputs follows a thousand neurons, writing the spikes of all steps to memory and reading them
again costs more than the product. So the product is computed neuron by neuron within the kernel, and so is its
gradient, in a backward pass that runs the neurons forwards again (see ``fused``). On the CPU only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence.arrays import channels_last, has_channels_last
from snnrun.sequence.fused import backwards, forwards, gradients
from snnrun.sequence.kernel import llvm
from snnrun.sequence.kernel.kernel import Key
from snnrun.sequence.kernel.plan import ForwardPlan, X, backward_plan, unrecorded_plan
from snnrun.sequence.record.adjoint import gradient_request
from snnrun.sequence.record.tracer import Recipe, record

#: Most outputs: their sums must fit the registers.
MOST = 16


def run(neuron: Neuron, x: Tensor, steps: int, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """``W s[t] + b`` ``[T, B, J]`` for the spikes ``s`` of ``neuron``, and the spike count of each neuron, ``[B, *N]``.

    Args:
        neuron: any with a fused execution; it begins in its initial state.
        x: its input, ``[T, B, *N]``, or ``[1, B, *N]`` for a constant one over ``steps`` steps.
        weight, bias: ``[J, N]`` and ``[J]``.

    Returns:
        None if this is impossible: not on the CPU, too many outputs, fewer neurons than a vector has, an input without
        gradient, spikes other than 0 and 1, or a surrogate without code for its derivative.
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
    recipe, captured, feedback = record(neuron)
    if feedback is not None:
        return None
    plan = unrecorded_plan(
        recipe, frozenset(j for j, tensor in enumerate(captured) if tensor.requires_grad), len(weight)
    )
    if plan is None:
        return None
    first = [value.to(x.dtype) for value in neuron.initial_state(like)]
    images = has_channels_last(x)
    if images:
        x, first, captured = channels_last(x, first, captured)
        weight = weight.unflatten(1, like.shape[1:]).movedim(1, -1).flatten(1)
    y, fired = _FusedReadout.apply(recipe, plan, steps, weight, bias, x, *first, *captured)
    return y, fired.movedim(-1, 1) if images else fired


class _FusedReadout(torch.autograd.Function):
    BIAS, X = 4, 5  # indices among the arguments

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
        request = gradient_request(ctx.needs_input_grad[_FusedReadout.X :], size)
        assert request is not None  # `run` requires an input with a gradient
        request = request._replace(membrane=False, last=frozenset())
        plan = backward_plan(recipe, request, constant=ctx.constant, replays=True, outputs=packed.shape[1])
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
    """``[J, N]`` as ``[V, J, width]``; the last vector ends at the last neuron, and may overlap the previous one."""
    (outputs, size), width = weight.shape, llvm.vector_width(weight)
    vectors = -(-size // width)
    packed = weight.new_empty(vectors, outputs, width)
    before = weight[:, : (vectors - 1) * width].unflatten(1, (vectors - 1, width))
    packed[:-1].copy_(before.transpose(0, 1))
    packed[-1] = weight[:, size - width :]
    return packed


def once(packed: Tensor, size: int) -> Tensor:
    """A copy with zeros in the overlap of the last vector, so that a sum over all vectors has each neuron once."""
    copy = packed.clone()
    copy[-1, :, : _overlap(size, packed.shape[2])] = 0
    return copy


def unpack(packed: Tensor, size: int) -> Tensor:
    """``[J, N]`` of ``[V, J, width]``, for N = ``size``; in the overlap the first counts."""
    overlap = _overlap(size, packed.shape[2])
    whole = packed[:-1].transpose(0, 1).flatten(1)
    return torch.cat([whole, packed[-1, :, overlap:]], 1)


def _overlap(size: int, width: int) -> int:
    return -size % width
