"""The definition: a plain loop of ``step`` under autograd, or the neuron's own ``sequence``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snnrun.neuron import Neuron, SequenceNeuron
from snnrun.neuron.recurrent import feed_back
from snnrun.sequence.record.tracer import Feedback


def run(neuron: Neuron, x: Tensor, state: Any, feedback: Feedback | None = None) -> tuple[Tensor, Tensor, Any]:
    """Spikes ``[T, B, *N]``, membranes ``[T, B, *N]`` and the last state, for input ``[T, B, *N]``."""
    if isinstance(neuron, SequenceNeuron) and feedback is None:
        return neuron.sequence(x, state)
    spikes, membranes = [], []
    s = torch.zeros_like(x[0])
    for x_t in x:
        x_t = x_t if feedback is None else x_t + feed_back(s, *feedback)
        s, state = neuron.step(x_t, state)
        spikes.append(s)
        membranes.append(state.membrane)
    return torch.stack(spikes), torch.stack(membranes), state
