"""A linear neuron as data, and the local derivatives of its step: what every fused kernel needs to know."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Form(NamedTuple):
    """The discrete part of a neuron's definition: which branch of the step's equation it takes."""

    reset: str
    delayed: bool
    drops_input: bool
    detached: bool
    inclusive: bool


class Coefficients(NamedTuple):
    """The continuous part, ``u = a v + g x + c`` with θ and v_reset: tensors of shape ``[]`` or ``[*N]``."""

    decay: Tensor
    gain: Tensor
    offset: Tensor
    threshold: Tensor
    v_reset: Tensor


def fired(u: Tensor, coefficients: Coefficients, form: Form) -> Tensor:
    """The spikes that a membrane ``u`` causes: 0 or 1, in its dtype."""
    excess = u - coefficients.threshold
    return (excess >= 0 if form.inclusive else excess > 0).to(u.dtype)


def kappa(s: Tensor, coefficients: Coefficients, form: Form) -> Tensor:
    """κ[t] = ∂u[t+1]/∂u[t] at a fixed spike ``s[t]``."""
    return coefficients.decay * (1 - s) if form.reset == "zero" else coefficients.decay


def sigma(u: Tensor, next_x: Tensor | None, coefficients: Coefficients, form: Form) -> Tensor:
    """σ[t] = ∂u[t+1]/∂s[t] for the membrane ``u[t]``, if the reset is not detached."""
    a, g, c, threshold, v_reset = coefficients
    if form.reset == "none":
        return torch.zeros_like(a)
    if form.reset == "subtract":
        return -threshold if form.delayed else -a * threshold
    if not form.delayed:
        return a * (v_reset - u)
    if not form.drops_input:
        return v_reset - a * u
    assert next_x is not None, "a reset that drops the input needs it for its derivative"
    return v_reset - a * u - g * next_x - c
