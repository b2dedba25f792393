"""One layer: synapses applied to all time steps at once, then the neurons over time."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.neuron import Neuron
from snnrun.sequence import Trace, resolve_backend, run


class Layer(nn.Module):
    """Dropout, synapses, neurons.

    The synapses see the whole sequence ``[T, B, *N]`` in one call, so a linear layer costs one matrix product for all
    T steps, and only one step's worth for a constant input (one with stride 0 in time).

    Args:
        synapse: a module that maps ``[..., *N_in]`` to ``[..., *N_out]``.
        neuron: the neurons, for ``*N_out``.
        backend: see :func:`snnrun.sequence.run`; the attribute says which execution it came to.
        dropout: share of inputs dropped in training; a dropped input stays dropped for the whole sequence.
    """

    def __init__(self, synapse: nn.Module, neuron: Neuron, *, backend: str = "auto", dropout: float = 0.0) -> None:
        super().__init__()
        self.synapse, self.neuron = synapse, neuron
        self.backend, self.dropout = resolve_backend(neuron, backend), check.number("dropout", dropout, low=0, below=1)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Trace:
        """The layer's trace ``[T, B, *N_out]`` for ``x`` ``[T, B, *N_in]``; dropout draws from ``generator``."""
        if self.training and self.dropout:
            keep = torch.rand(x.shape[1:], generator=generator, dtype=x.dtype, device=x.device) >= self.dropout
            x = x * (keep / (1 - self.dropout))
        if x.stride(0) == 0 and x.shape[0] > 1:
            current = self.synapse(x[:1]).expand(x.shape[0], *[-1] * (x.dim() - 1))
        else:
            current = self.synapse(x)
        # Under autocast the product comes back in bfloat16; the membrane integrates in the precision of the input.
        trace, _ = run(self.neuron, current.to(x.dtype), backend=self.backend)
        return trace

    def extra_repr(self) -> str:
        return f"backend={self.backend}, dropout={self.dropout:g}"
