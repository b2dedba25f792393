"""The passes over time in torch operations: for every device and dtype, one small group of calls per step."""

from __future__ import annotations

import torch
from torch import Tensor

from snnrun.sequence.form import Coefficients, Form, fired, kappa, sigma


def forward(x: Tensor, u0: Tensor, s0: Tensor, coefficients: Coefficients, form: Form) -> tuple[Tensor, Tensor]:
    """Spikes and membranes ``[T, B, *N]``; the order of operations is that of ``LinearNeuron.step``."""
    a, gain, offset, threshold, v_reset = coefficients
    u = gain * x + offset  # the drive of every step; each step then turns its slice into the membrane
    s = torch.empty_like(u)
    before_u, before_s = u0, s0
    for t in range(x.shape[0]):
        if not form.delayed:
            u[t] += a * _after_reset(before_u, before_s, threshold, v_reset, form)
        elif form.reset == "none":
            u[t] += a * before_u
        elif form.reset == "subtract":
            u[t].add_(a * before_u).sub_(before_s * threshold)
        elif form.drops_input:
            u[t].add_(a * before_u).mul_(1 - before_s).add_(before_s * v_reset)
        else:
            u[t] += (1 - before_s) * (a * before_u) + before_s * v_reset
        s[t] = fired(u[t], coefficients, form)
        before_u, before_s = u[t], s[t]
    return s, u


def adjoint(
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    h: Tensor,
    x: Tensor | None,
    u: Tensor,
    coefficients: Coefficients,
    form: Form,
) -> Tensor:
    """λ ``[T, B, *N]``; see ``fused`` for the recurrence."""
    result = torch.zeros_like(u) if grad_spikes is None else grad_spikes * h
    if grad_membrane is not None:
        result = result + grad_membrane
    for t in range(u.shape[0] - 2, -1, -1):
        factor = kappa(fired(u[t], coefficients, form), coefficients, form)
        if not form.detached:
            factor = factor + h[t] * sigma(u[t], None if x is None else x[t + 1], coefficients, form)
        result[t] += result[t + 1] * factor
    return result


def _after_reset(u: Tensor, s: Tensor, threshold: Tensor, v_reset: Tensor, form: Form) -> Tensor:
    if form.reset == "subtract":
        return u - s * threshold
    if form.reset == "zero":
        return (1 - s) * u + s * v_reset
    return u
