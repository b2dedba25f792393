"""What the gradient of a batch is in each layer: how large, and how many neurons it does not reach."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snnrun.model import holders


@torch.no_grad()
def layer_gradients(model: nn.Module) -> dict[str, dict[str, float]]:
    """Per layer, from the gradients that a backward pass left: ``norm``, and ``zero``.

    ``norm``: 2-norm of the gradient of all parameters of the layer. ``zero``: share of its neurons (of a convolution:
    channels) whose incoming weights have a gradient of exactly 0; they do not learn from this batch.
    """
    layers = {name: [p for p in layer.parameters() if p.grad is not None] for name, layer in holders(model).items()}
    figures = {name: _figures(parameters) for name, parameters in layers.items() if parameters}
    if not figures:
        return {}
    # Read together, since on CUDA each reading waits.
    values = torch.stack(list(figures.values())).tolist()
    return {name: {"norm": norm, "zero": zero} for name, (norm, zero) in zip(figures, values, strict=True)}


def _figures(parameters: list[nn.Parameter]) -> Tensor:
    """Norm and share of zeros, ``[2]`` float64."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    # Where there are no weights, every value stands for itself.
    weights = [each for each in gradients if each.dim() > 1] or [each.reshape(-1, 1) for each in gradients]
    largest = [torch.linalg.vector_norm(each.flatten(1), float("inf"), dim=1) for each in weights]
    norm = torch.stack([torch.linalg.vector_norm(each).double() for each in gradients]).square().sum().sqrt()
    return torch.stack([norm, (torch.cat(largest) == 0).double().mean()])
