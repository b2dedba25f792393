"""The initial weights of a model, by one definition for all models."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor, nn

from snnrun.errors import ArgumentError
from snnrun.model.layer import Layer
from snnrun.neuron import RecurrentNeuron

#: What draws a weight ``[out, *in]`` anew, from torch's generator, with the factor k.
DRAWS: Mapping[str, Callable[[Tensor, float], object]] = {
    "uniform": lambda weight, k: nn.init.uniform_(weight, -_spread(weight, k), _spread(weight, k)),
    "normal": lambda weight, k: nn.init.normal_(weight, std=_spread(weight, k)),
    "xavier": lambda weight, k: nn.init.xavier_uniform_(weight, k),
    "orthogonal": lambda weight, k: nn.init.orthogonal_(weight, k),
}


def weights_maker(weight_init: str) -> Callable[[nn.Module], None]:
    """A function that draws the weights of a model's synapses anew, recurrent ones too; biases stay as they are.

    ================= =====================================================================================
    ``default``       torch's own: uniform within ``±1/sqrt(fan_in)``; nothing is drawn anew
    ``uniform(k)``    uniform within ``±k/sqrt(fan_in)``: torch's own, scaled by k
    ``normal(k)``     normal with standard deviation ``k/sqrt(fan_in)``
    ``xavier(k)``     uniform within ``±k sqrt(6/(fan_in + fan_out))`` (Glorot and Bengio 2010)
    ``orthogonal(k)`` rows or columns orthogonal, of length k; a square matrix keeps all lengths, times k
    ================= =====================================================================================

    Raises:
        ValueError: for another text, or k not above 0.
    """
    if weight_init == "default":
        return lambda model: None
    match = re.fullmatch(r"(\w+)\(\s*(\S+?)\s*\)", weight_init) if isinstance(weight_init, str) else None
    try:
        factor = float(match[2]) if match else 0.0
    except ValueError:
        factor = 0.0
    if match is None or match[1] not in DRAWS or not 0 < factor < math.inf:
        expected = f"'default', or {', '.join(f'{name}(k)' for name in DRAWS)} with k above 0"
        raise ArgumentError("weight_init", expected, weight_init)
    draw = DRAWS[match[1]]

    def initialise(model: nn.Module) -> None:
        for layer in model.modules():
            if isinstance(layer, Layer):
                for weight in synaptic_weights(layer):
                    draw(weight, factor)

    return initialise


def synaptic_weights(layer: Layer) -> Iterator[Tensor]:
    """The weights of a layer's synapses and of its feedback."""
    feedback = layer.neuron.feedback if isinstance(layer.neuron, RecurrentNeuron) else None
    for each in (layer.synapse, layer.recurrence, feedback):
        if isinstance(each, (nn.Linear, nn.Conv2d)):
            yield each.weight


def _spread(weight: Tensor, k: float) -> float:
    return k / math.sqrt(weight[0].numel())
