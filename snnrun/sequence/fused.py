"""The fused execution: one ``autograd.Function`` over the whole sequence of a linear neuron.

Forwards, one pass over time fills spikes and membranes. Backwards, the surrogate's derivative h is taken for the whole
sequence at once, and one pass back in time carries the adjoint ``λ[t] = dL/du[t]``::

    λ[t] = ∂L/∂u[t] + (∂L/∂s[t] + λ[t+1] σ[t]) h[t] + λ[t+1] κ[t]

with κ[t] = ∂u[t+1]/∂u[t] at a fixed spike, and σ[t] = ∂u[t+1]/∂s[t] (0 if the reset is detached). For
``u = a v + g x + c``:

============================ =================== ===================================
reset                        κ                   σ
============================ =================== ===================================
none                         a                   0
subtract, same               a                   -a θ
subtract, delayed            a                   -θ
zero, same                   a (1 - s)           a (v_reset - u)
zero, delayed                a (1 - s)           v_reset - a u
zero, delayed, drops input   a (1 - s)           v_reset - a u - g x[t+1] - c
============================ =================== ===================================

Saved for backward: the membrane, and the input only where a gradient needs it. Spikes are the sign of the membrane.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.neuron import LinearNeuron, State
from snnrun.sequence import kernel_numba, kernel_torch
from snnrun.sequence.form import Coefficients, Form, fired, kappa, sigma


def run(neuron: LinearNeuron, x: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
    """Spikes ``[T, B, *N]``, membranes ``[T, B, *N]`` and the last state, for input ``[T, B, *N]``."""
    drops_input = neuron.reset_drops_input and neuron.delayed and neuron.reset == "zero"
    form = Form(neuron.reset, neuron.delayed, drops_input, neuron.detach_reset, neuron.inclusive)
    values = (*neuron.linear(), neuron.threshold(), neuron.v_reset)
    coefficients = (_tensor(value, x) for value in values)
    spikes, membrane = _Fused.apply(x, *state, *coefficients, form, neuron.surrogate)
    return spikes, membrane, State(membrane[-1], spikes[-1])


def _tensor(value: Tensor | float, like: Tensor) -> Tensor:
    return value.to(like) if isinstance(value, Tensor) else torch.full((), value, dtype=like.dtype, device=like.device)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        u0: Tensor,
        s0: Tensor,
        decay: Tensor,
        gain: Tensor,
        offset: Tensor,
        threshold: Tensor,
        v_reset: Tensor,
        form: Form,
        surrogate: Any,
    ) -> tuple[Tensor, Tensor]:
        coefficients = Coefficients(decay, gain, offset, threshold, v_reset)
        kernel = kernel_numba if kernel_numba.supports(x) else kernel_torch
        spikes, membrane = kernel.forward(x, u0, s0, coefficients, form)
        needs_x = ctx.needs_input_grad[4] or (form.drops_input and not form.detached)
        ctx.save_for_backward(x if needs_x else None, u0, s0, membrane, *coefficients)
        ctx.kernel, ctx.form, ctx.surrogate = kernel, form, surrogate
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor | None, grad_membrane: Tensor | None) -> tuple[Tensor | None, ...]:
        x, u0, s0, u, *values = ctx.saved_tensors
        coefficients, form, needs = Coefficients(*values), ctx.form, ctx.needs_input_grad
        if grad_spikes is None and grad_membrane is None:
            return (None,) * 10
        h = ctx.surrogate.derivative(u - coefficients.threshold)
        adjoint = ctx.kernel.adjoint(grad_spikes, grad_membrane, h, x, u, coefficients, form)
        grads: list[Tensor | None] = [None] * 10
        if needs[1]:
            grads[1] = adjoint[0] * kappa(s0, coefficients, form)
        if needs[2] and not form.detached:
            grads[2] = adjoint[0] * sigma(u0, x[0] if x is not None else None, coefficients, form)
        if not (form.drops_input or any(needs[3:7])):
            grads[0] = adjoint * coefficients.gain if needs[0] else None
            return tuple(grads)

        # Everything below is elementwise in what came before each step.
        before_u = torch.cat([u0[None], u[:-1]])
        before_s = torch.cat([s0[None], fired(u[:-1], coefficients, form)])
        kept = 1 - before_s if form.drops_input else 1  # share of the drive that reaches the membrane
        if needs[0]:
            grads[0] = adjoint * coefficients.gain * kept
        if needs[3]:
            v = before_u
            if form.reset == "zero":
                v = (1 - before_s) * before_u + (0 if form.delayed else before_s * coefficients.v_reset)
            elif form.reset == "subtract" and not form.delayed:
                v = before_u - before_s * coefficients.threshold
            grads[3] = (adjoint * v).sum_to_size(coefficients.decay.shape)
        if needs[4]:
            grads[4] = (adjoint * x * kept).sum_to_size(coefficients.gain.shape)
        if needs[5]:
            grads[5] = (adjoint * kept).sum_to_size(coefficients.offset.shape)
        if needs[6]:
            grad = -(torch.zeros_like(u) if grad_spikes is None else grad_spikes)
            if not form.detached:
                grad[:-1] -= adjoint[1:] * sigma(u[:-1], x[1:] if x is not None else None, coefficients, form)
            grad = grad * h
            if form.reset == "subtract":
                grad = grad - adjoint * before_s * (1 if form.delayed else coefficients.decay)
            grads[6] = grad.sum_to_size(coefficients.threshold.shape)
        return tuple(grads)
