"""Finds values that are not finite, and describes what helps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from snnrun.neuron import Neuron
from snnrun.system.device import wide


def lost_neurons(model: nn.Module) -> dict[str, int]:
    """The number of neurons (rows) with values that are not finite, by parameter; others are left out."""
    counts = {name: int((~_rows(p).isfinite()).any(1).sum()) for name, p in model.named_parameters()}
    return {name: count for name, count in counts.items() if count}


def describe(model: nn.Module, step: int, loss: float) -> str:
    """A message: what is not finite at iteration ``step``, in how many neurons, and what helps."""
    faults = [] if math.isfinite(loss) else [f"the loss ({loss})"]
    parameters = dict(model.named_parameters())
    lost = lost_neurons(model)
    faults += [
        f"the values of {name} in {count} of {len(_rows(parameters[name]))} neurons" for name, count in lost.items()
    ]
    for name, parameter in parameters.items():
        if parameter.grad is not None:
            # The norm, since it overflows one step before the values do.
            norms = torch.linalg.vector_norm(_rows(parameter.grad), dim=1)
            count = int((~norms.isfinite()).sum())
            if count:
                faults.append(f"the gradient of {name} in {count} of {len(norms)} neurons")
    remedies = ["clip_grad_norm=1", "a smaller optimizer.lr"]
    if any(isinstance(m, Neuron) and m.reset != "none" and not m.detach_reset for m in model.modules()):
        remedies.insert(0, "neuron.detach_reset=true (the gradient through the reset can grow at every step)")
    what = "; ".join(faults) or "the norm of the whole gradient, which overflows"
    return f"iteration {step}: not finite: {what}. Try: {'; '.join(remedies)}."


def norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients together."""
    if all(each.device.type == "cpu" and each.is_contiguous() for each in gradients):
        # Four times as fast on the CPU as torch's norm, which takes a tenth of a small network's step.
        flat = [each.detach().view(-1) for each in gradients]
        return torch.stack([torch.dot(each, each) for each in flat]).sum().sqrt()
    return torch.nn.utils.get_total_norm(gradients)


def finite_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The norm of the gradients' finite values, in float64 (float32 on MPS), so that it does not overflow."""
    grads = [wide(p.grad).nan_to_num(0.0, 0.0, 0.0) for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(grads)


def _rows(tensor: Tensor) -> Tensor:
    """One row per neuron."""
    return tensor.detach().reshape(tensor.shape[0] if tensor.dim() else 1, -1)
