"""The definition: a plain loop of ``step`` under autograd, or the neuron's own ``sequence``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snnrun.neuron import Neuron, SequenceNeuron
from snnrun.neuron.recurrent import feed_back
from snnrun.sequence.delayed_feedback import DelayedFeedback
from snnrun.sequence.record.tracer import Feedback


def run(
    neuron: Neuron, x: Tensor, state: Any, feedback: Feedback | DelayedFeedback | None = None
) -> tuple[Tensor, Tensor, Any]:
    """Spikes ``[T, B, *N]``, membranes ``[T, B, *N]`` and the last state, for input ``[T, B, *N]``."""
    if isinstance(neuron, SequenceNeuron) and feedback is None:
        return neuron.sequence(x, state)
    spikes: list[Tensor] = []
    membranes: list[Tensor] = []
    s = torch.zeros_like(x[0])
    kernels = feedback.kernels() if isinstance(feedback, DelayedFeedback) else None
    for x_t in x:
        if isinstance(feedback, DelayedFeedback):
            assert kernels is not None
            x_t = x_t + feedback.current(spikes or [s], kernels)
        elif feedback is not None:
            x_t = x_t + feed_back(s, *feedback)
        s, state = neuron.step(x_t, state)
        spikes.append(s)
        membranes.append(state.membrane)
    return torch.stack(spikes), torch.stack(membranes), state
