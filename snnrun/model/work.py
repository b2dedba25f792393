"""The amount of computation of a network, counted from its layers without running it."""

from __future__ import annotations

import math

from torch import nn

from snnrun.model.layer import Layer
from snnrun.model.structure import delays_of


def multiply_adds(model: nn.Module) -> int:
    """The multiply-adds of all weights for one sample in one time step, as if every input were dense.

    A linear map uses each weight once, a convolution once for each output pixel, a synapse with a delay once for each
    step of its range.
    """
    count = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    count += sum(each.value.numel() * each.kind.maximum for each in delays_of(model).values())
    for layer in model.modules():
        if isinstance(layer, Layer) and isinstance(layer.synapse, nn.Conv2d):
            count += layer.synapse.weight.numel() * _pixels(layer)
    return count


def _pixels(layer: Layer) -> int:
    """Pixels of one output channel of the layer's convolution: the pixels of its neurons, times the area of a pool."""
    pixels = math.prod((layer.neuron.shape or ())[1:])
    size = getattr(layer.pool, "kernel_size", 1)
    return pixels * (math.prod(size) if isinstance(size, tuple) else size**2)
