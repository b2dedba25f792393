"""Each layer in an epoch's record: the gradient of its last batch, and the learnable parameters of its neurons."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from snnrun.model import holders, neurons
from snnrun.system.device import wide
from snnrun.training.records import ParameterSummary

BINS = 20  # of a histogram


@torch.no_grad()
def layer_gradients(model: nn.Module) -> dict[str, Tensor]:
    """The gradient of each layer after a backward pass, norm and share of zeros, ``[2]`` float64.

    A gradient does not reach neurons (of a convolution: channels) whose incoming weights have a gradient of exactly 0;
    they do not learn from this batch. The numbers are on the device, to be read together with others.
    """
    layers = {name: [p for p in layer.parameters() if p.grad is not None] for name, layer in holders(model).items()}
    return {name: _norm_and_zeros(parameters) for name, parameters in layers.items() if parameters}


def _norm_and_zeros(parameters: list[nn.Parameter]) -> Tensor:
    """Norm and share of zeros, ``[2]`` float64."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    # Without weights, each value is one neuron.
    weights = [each for each in gradients if each.dim() > 1] or [each.reshape(-1, 1) for each in gradients]
    largest = [torch.linalg.vector_norm(each.flatten(1), float("inf"), dim=1) for each in weights]
    norm = torch.stack([wide(torch.linalg.vector_norm(each)) for each in gradients]).square().sum().sqrt()
    return torch.stack([norm, wide(torch.cat(largest) == 0).mean()])


def neuron_parameters(model: nn.Module) -> dict[str, dict[str, ParameterSummary]]:
    """The learnable parameters of each layer's neurons, by layer and name; layers without any are left out.

    A value is the option's (β, not its logit; see :meth:`snnrun.neuron.Neuron.learnable_values`).
    """
    layers = {name: neuron.learnable_values() for name, neuron in neurons(model).items()}
    return {name: {key: _summary(value) for key, value in values.items()} for name, values in layers.items() if values}


def _summary(value: Tensor) -> ParameterSummary:
    numbers = value.detach().flatten().cpu().double().numpy()
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return ParameterSummary(mean=math.nan, sd=math.nan, min=math.nan, max=math.nan)
    low, high = float(numbers.min()), float(numbers.max())
    # Bins narrower than the spacing of floats would have equal edges.
    spread = high - low > 1e-9 * max(abs(low), abs(high))
    histogram = tuple(np.histogram(numbers, BINS, (low, high))[0].tolist()) if spread else None
    return ParameterSummary(mean=float(numbers.mean()), sd=float(numbers.std()), min=low, max=high, histogram=histogram)
