"""Finds where values that are not finite sit, and says what helps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from snnrun.neuron import Neuron


def lost_neurons(model: nn.Module) -> dict[str, int]:
    """For each parameter with values that are not finite: how many neurons (rows) they belong to."""
    return _rows_not_finite(dict(model.named_parameters()))


def describe(model: nn.Module, step: int, loss: float) -> str:
    """What is not finite at iteration ``step``, in how many neurons, and what helps."""
    parameters = dict(model.named_parameters())
    sizes = {name: parameter.shape[0] if parameter.dim() else 1 for name, parameter in parameters.items()}
    found = [
        f"{what} {name} in {count} of {sizes[name]} neurons"
        for what, tensors in (
            ("the values of", parameters),
            ("the gradient of", {n: p.grad for n, p in parameters.items() if p.grad is not None}),
        )
        for name, count in _rows_not_finite(tensors).items()
    ]
    if not math.isfinite(loss):
        found.insert(0, f"the loss ({loss})")
    if not found:
        found = ["the norm of the gradient (its parts are finite, their squares overflow)"]
    remedies = ["clip_grad_norm=1", "a smaller optimizer.lr"]
    if any(isinstance(m, Neuron) and m.reset != "none" and not m.detach_reset for m in model.modules()):
        remedies.insert(0, "neuron.detach_reset=true (the gradient through the reset can grow at every step)")
    return f"iteration {step}: not finite: {'; '.join(found)}. Try: {'; '.join(remedies)}."


def _rows_not_finite(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    counts = {}
    for name, tensor in tensors.items():
        rows = tensor.detach().reshape(tensor.shape[0] if tensor.dim() else 1, -1)
        count = int((~rows.isfinite()).any(1).sum())
        if count:
            counts[name] = count
    return counts
