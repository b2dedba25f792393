"""How much a network computes, counted from its layers without running it."""

from __future__ import annotations

import math

from torch import nn

from snnrun.model.layer import Layer


def multiply_adds(model: nn.Module) -> int:
    """The multiply-adds of all weights for one sample in one time step, as if every input were dense.

    A linear map uses each weight once, a convolution once for each pixel that it gives out.
    """
    count = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    for layer in model.modules():
        if isinstance(layer, Layer) and isinstance(layer.synapse, nn.Conv2d):
            count += layer.synapse.weight.numel() * _pixels(layer)
    return count


def _pixels(layer: Layer) -> int:
    """Of one channel behind the layer's convolution: those of its neurons, times what a pool makes one of."""
    pixels = math.prod((layer.neuron.shape or ())[1:])
    size = getattr(layer.pool, "kernel_size", 1)
    return pixels * (math.prod(size) if isinstance(size, tuple) else size**2)
