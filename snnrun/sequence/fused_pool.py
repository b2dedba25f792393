"""Neurons and a maximum pool of their spikes in one pass: the spikes before the pool are never recorded.

They are ``pool²`` times as many as those after it. Backwards the neurons run forwards again (see ``fused``), and each
gradient goes to the first spike of its window, or to its first neuron if none fired. On the CPU only.
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
from snnrun.sequence.kernel.plan import ForwardPlan, backward_plan, unrecorded_plan
from snnrun.sequence.record.adjoint import gradient_request
from snnrun.sequence.record.tracer import Recipe, record


def run(neuron: Neuron, x: Tensor, steps: int, size: int) -> tuple[Tensor, Tensor] | None:
    """The pooled spikes ``[T, B, C, H / size, W / size]`` of ``neuron``, and its spike counts ``[B, C, H, W]``.

    Args:
        neuron: any with a fused execution; it begins in its initial state.
        x: its input, ``[T, B, C, H, W]``, or ``[1, B, C, H, W]`` for a constant one over ``steps`` steps.
        size: of the windows, which neither overlap nor leave gaps.

    Returns:
        None if this is impossible: not on the CPU, an input without gradient, images smaller than a window or a row of
        one smaller than a vector, spikes other than 0 and 1, or a surrogate without code for its derivative.
    """
    if not (llvm.supports(x) and x.dim() == 5 and x.requires_grad and x.numel() and min(x.shape[3:]) >= size):
        return None
    if not llvm.fits_windows(x[0].movedim(1, -1), size):
        return None
    recipe, captured, feedback = record(neuron)
    if feedback is not None:
        return None
    plan = unrecorded_plan(recipe, frozenset(j for j, tensor in enumerate(captured) if tensor.requires_grad))
    if plan is None:
        return None
    first = [value.to(x.dtype) for value in neuron.initial_state(x[0])]
    if not has_channels_last(x):
        x = _ChannelsLast.apply(x)
    x, first, captured = channels_last(x, first, captured)
    pooled, fired = _FusedPool.apply(recipe, plan, steps, size, x, *first, *captured)
    return pooled.movedim(-1, 2), fired.movedim(-1, 1)


class _ChannelsLast(torch.autograd.Function):
    """Images with channels last in memory; the gradient is turned back, since operations on mixed orders are slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.movedim(2, -1).contiguous().movedim(-1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.contiguous()


class _FusedPool(torch.autograd.Function):
    X = 4  # index among the arguments

    @staticmethod
    def forward(
        ctx: Any, recipe: Recipe, plan: ForwardPlan, steps: int, size: int, x: Tensor, *others: Tensor
    ) -> tuple[Tensor, Tensor]:
        batch, height, width, channels = x.shape[1:]
        pooled = x.new_empty((steps, batch, height // size, width // size, channels))
        windows = llvm.Pool(size, pooled, torch.empty(pooled.shape, dtype=torch.uint8))
        states = len(recipe.new)
        arrays = forwards(recipe, plan, steps, x, others[:states], others[states:], around=windows)
        ctx.recipe, ctx.steps, ctx.constant, ctx.size = recipe, steps, x.shape[0] < steps, size
        ctx.save_for_backward(x, windows.which, *others)
        fired = arrays[Key("fired")]
        ctx.mark_non_differentiable(fired)
        return pooled, fired

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        recipe, states = ctx.recipe, len(ctx.recipe.new)
        x, which, *others = ctx.saved_tensors
        first, captured = others[:states], others[states:]
        request = gradient_request(ctx.needs_input_grad[_FusedPool.X :], states)
        assert request is not None  # `run` requires an input with a gradient
        request = request._replace(membrane=False, last=frozenset())
        plan = backward_plan(recipe, request, constant=ctx.constant, replays=True)
        windows = llvm.Pool(ctx.size, grad.contiguous(), which)
        arrays = backwards(recipe, plan, ctx.steps, {Key("x"): x}, first, captured, around=windows)
        return (None,) * _FusedPool.X + gradients(arrays, plan, captured, states, ctx.constant)
