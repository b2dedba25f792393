"""The recurrent network: hidden layers whose neurons also get their layer's spikes of the previous step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.delay import Delay
from snnrun.errors import ArgumentError
from snnrun.model.chain import input_sizes, through
from snnrun.model.delays import Delays
from snnrun.model.execution import ExecutionPlan
from snnrun.model.layer import Layer
from snnrun.model.norm import FLAT_NORMS, norm_maker
from snnrun.model.products.product import Linear
from snnrun.model.weights import weights_maker
from snnrun.neuron import Neuron
from snnrun.sequence import Trace


class Recurrent(nn.Module):
    """Fully connected layers of spiking neurons with recurrent synapses in each hidden layer; a feed-forward read-out.

    ::

        i[t] = W x[t] + b + V s[t-1]        hidden layers; s: the layer's own spikes, s[-1] = 0
        i[t] = W x[t] + b                   read-out

    (Elman's recurrence), with any neuron that runs step by step.

    Args:
        input_shape: ``*N`` of the input, flattened.
        num_outputs: size of the read-out.
        neuron: makes the neurons of a layer; called as ``neuron(shape=(n,))``.
        readout: makes the neurons of the read-out; null: ``neuron`` does.
        backend: see :func:`snnrun.sequence.run`.
        hidden: size of each hidden layer, at least one. Default [100].
        bias: whether W has a bias. V has none, nor has W before a ``norm``, which has its own.
        dropout: share of inputs dropped in training for a whole sequence, in each layer except the first.
        norm: normalisation of ``W x``, not of ``V s``, in the hidden layers: ``none`` (default), ``batch``, over time
            and batch, ``tdbn``, which scales ``batch`` by α times the threshold (see :class:`snnrun.model.Norm`), or
            ``layer``, over the neurons of the layer at each step (torch's ``LayerNorm``).
        tdbn_alpha: α of ``tdbn``, above 0. Default 1.
        weight_init: initial weights of all synapses, W and V: ``default`` (torch's), ``uniform(k)``, ``normal(k)``,
            ``xavier(k)`` or ``orthogonal(k)``; see :func:`snnrun.model.weights.weights_maker`.
        skips: what a layer gets besides the spikes of the layer before: ``none`` (default), ``add``, the sum of the
            spikes of all hidden layers before, which must be of equal size, or ``concat``, all of them side by side.
        delay: delays of the synapses W of every layer, of the recurrent synapses V of the hidden layers, or of both
            (``connections``); null (default): none. A recurrent spike with the delay d comes d + 1 steps later.

    Raises:
        ValueError: for an argument out of range, neurons that need all steps at once, or ``backend=fused`` and neurons
            without a fused execution, or recurrent delays.

    Source: Elman 1990, "Finding structure in time"; for spiking neurons Bellec et al. 2018 (LSNN).
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        neuron: Callable[..., Neuron],
        backend: str = "auto",
        *,
        readout: Callable[..., Neuron] | None = None,
        hidden: Sequence[int] = (100,),
        bias: bool = True,
        dropout: float = 0.0,
        norm: str = "none",
        tdbn_alpha: float = 1.0,
        weight_init: str = "default",
        skips: str = "none",
        delay: Delay | None = None,
    ) -> None:
        super().__init__()
        self.skips = skips
        plan = ExecutionPlan(backend)
        make_norm = norm_maker(norm, tdbn_alpha, FLAT_NORMS)
        initialise = weights_maker(weight_init)
        sizes = check.integers("hidden", hidden, low=1)
        if not sizes:
            raise ArgumentError(
                "hidden", "at least one hidden layer, since those recur", [], advice="give one, or use model=mlp"
            )
        *inputs, last = input_sizes(torch.Size(input_shape).numel(), sizes, skips)
        check.flag("bias", bias)
        check.number("dropout", dropout, low=0, below=1)

        def delays(connections: str, outputs: int, inputs: int) -> Delays | None:
            return (
                None
                if delay is None or delay.connections not in (connections, "both")
                else Delays(delay, outputs, inputs)
            )

        self.layers = nn.ModuleDict()
        for i, (n, size) in enumerate(zip(inputs, sizes, strict=True)):
            synapse, recurrence = Linear(n, size, bias=bias and norm == "none"), nn.Linear(size, size, bias=False)
            neurons = neuron(shape=(size,))
            self.layers[f"hidden{i + 1}"] = Layer(
                synapse,
                neurons,
                plan=plan,
                dropout=dropout if i else 0.0,
                norm=make_norm(size, neurons),
                recurrence=recurrence,
                delay=delays("input", size, n),
                recurrent_delay=delays("recurrent", size, size),
            )
        synapse = Linear(last, num_outputs, bias=bias)
        self.layers["output"] = Layer(
            synapse,
            (readout or neuron)(shape=(num_outputs,)),
            plan=plan,
            dropout=dropout,
            delay=delays("input", num_outputs, last),
        )
        initialise(self)

    def forward(self, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
        """The trace of every layer, the read-out last, for ``x`` ``[T, B, *N]``."""
        return through(self.layers, x, generator, self.skips)
