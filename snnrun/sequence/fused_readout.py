"""Neurons and the product with few outputs that follows them, in one pass: the spikes are never recorded.

Where a read-out of ten outputs follows a thousand neurons, writing the spikes of all steps to memory and reading them
again costs more than what is done with them. So the product is taken neuron by neuron while the spikes are at hand, and
so is its gradient, on a way back that runs the neurons forwards once more (see ``fused``). On the CPU only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence.fused import backwards, forwards, sum_to
from snnrun.sequence.kernel import llvm
from snnrun.sequence.kernel.plan import Forward, Recipe, backward_plan, narrow_plan
from snnrun.sequence.record.tracer import record

#: Most outputs: their sums must find room in the registers.
MOST = 16


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
    step = record(neuron)
    recipe = Recipe.of(step)
    needs = frozenset(j for j, tensor in enumerate(step.captured) if tensor.requires_grad)
    plan = narrow_plan(recipe, needs, len(weight))
    if plan is None:
        return None
    first = [value.to(x.dtype) for value in neuron.initial_state(like)]
    y, fired = _Joined.apply(recipe, plan, needs, steps, x, weight, bias, *first, *step.captured)
    return y, fired


_X, _WEIGHT, _BIAS, _FIRST = 4, 5, 6, 7  # where they stand among the arguments of _Joined


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        recipe: Recipe,
        plan: Forward,
        needs: frozenset[int],
        steps: int,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *others: Tensor,
    ) -> tuple[Tensor, Tensor]:
        size = len(recipe.new)
        shape = (steps, x.shape[1], len(weight))
        y = x.new_zeros(shape)
        if bias is not None:
            y += bias
        packed = pack(weight)
        further = {"weights": once(packed, weight.shape[1]), "outputs": y}
        tensors = forwards(recipe, plan, steps, x, others[:size], others[size:], further)
        ctx.recipe, ctx.needs, ctx.steps, ctx.constant = recipe, needs, steps, x.shape[0] < steps
        ctx.neurons = weight.shape[1]
        ctx.save_for_backward(x, packed, *others)
        ctx.mark_non_differentiable(tensors["fired"])
        return y, tensors["fired"]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        recipe, size = ctx.recipe, len(ctx.recipe.new)
        x, packed, *others = ctx.saved_tensors
        first, captured = others[:size], others[size:]
        plan = backward_plan(
            recipe,
            True,
            ctx.needs,
            frozenset(("grad_output",)),
            frozenset(k for k in range(size) if ctx.needs_input_grad[_FIRST + k]),
            ctx.constant,
            True,
            packed.shape[1],
        )
        sums = packed.new_zeros(-(-x.shape[1] // llvm.SAMPLES), *packed.shape)
        further = {"weights": packed, "outputs": grad.contiguous(), "grad_weights": sums}
        tensors = backwards(recipe, plan, ctx.steps, {"x": x}, first, captured, {}, further)

        result: list[Tensor | None] = [None] * (_FIRST + len(others))
        result[_X] = tensors["grad_x"][None] if ctx.constant else tensors["grad_x"]
        result[_WEIGHT] = unpack(sums.sum(0), ctx.neurons)
        result[_BIAS] = grad.sum((0, 1)) if ctx.needs_input_grad[_BIAS] else None
        for k in range(size):
            result[_FIRST + k] = tensors.get(f"grad_first{k}")
        for j in plan.adjoint.captured:
            result[_FIRST + size + j] = sum_to(tensors[f"grad{j}"], captured[j])
        return tuple(result)


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
