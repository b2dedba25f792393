"""The multilayer perceptron: fully connected layers of spiking neurons."""

from __future__ import annotations

import re
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


class MLP(nn.Module):
    """Fully connected layers of spiking neurons; the last one is the read-out.

    Args:
        input_shape: ``*N`` of the input, flattened.
        num_outputs: size of the read-out.
        neuron: makes the neurons of a layer; called as ``neuron(shape=(n,))``.
        readout: makes the neurons of the read-out; null: ``neuron`` does.
        backend: see :func:`snnrun.sequence.run`.
        hidden: size of each hidden layer; empty for none.
        bias: whether the synapses have a bias. Synapses before a ``norm``, which has its own, have none.
        dropout: share of inputs dropped in training, in each layer except the first.
        norm: normalisation of ``W x`` in the hidden layers: ``none`` (default), ``batch``, over time and batch,
            ``tdbn``, which scales ``batch`` by α times the threshold (see :class:`snnrun.model.Norm`), or ``layer``,
            over the neurons of the layer at each step (torch's ``LayerNorm``).
        tdbn_alpha: α of ``tdbn``, above 0. Default 1.
        weight_init: initial weights of all synapses: ``default`` (torch's), ``uniform(k)``, ``normal(k)``,
            ``xavier(k)`` or ``orthogonal(k)``; see :func:`snnrun.model.weights.weights_maker`.
        bias_init: ``default`` (torch's, uniform within ``±1/sqrt(fan_in)``) or ``uniform(low,high)``.
        skips: what a layer gets besides the spikes of the layer before: ``none`` (default), ``add``, the sum of the
            spikes of all hidden layers before, which must be of equal size, or ``concat``, all of them side by side.
        delay: delays of the synapses of every layer, the read-out included; null (default): none.

    Raises:
        ValueError: for an argument out of range, such as delays of recurrent synapses, which this model has not.
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
        bias_init: str = "default",
        skips: str = "none",
        delay: Delay | None = None,
    ) -> None:
        super().__init__()
        self.skips = skips
        plan = ExecutionPlan(backend)
        sizes = (*check.integers("hidden", hidden, low=1), num_outputs)
        inputs = input_sizes(torch.Size(input_shape).numel(), sizes[:-1], skips)
        check.flag("bias", bias)
        check.number("dropout", dropout, low=0, below=1)
        if delay is not None and delay.connections != "input":
            expected = "input, since this model has no recurrent synapses"
            raise ArgumentError("delay.connections", expected, delay.connections, advice="use model=recurrent")
        make_norm = norm_maker(norm, tdbn_alpha, FLAT_NORMS)
        initialise, bounds = weights_maker(weight_init), _bounds(bias_init)
        names = [f"hidden{i + 1}" for i in range(len(sizes) - 1)] + ["output"]
        self.layers = nn.ModuleDict()
        for i, name in enumerate(names):
            last = name == names[-1]
            synapse = Linear(inputs[i], sizes[i], bias=bias and (last or norm == "none"))
            if bounds and synapse.bias is not None:
                nn.init.uniform_(synapse.bias, *bounds)
            neurons = (readout if readout and last else neuron)(shape=(sizes[i],))
            normed = None if last else make_norm(sizes[i], neurons)
            self.layers[name] = Layer(
                synapse,
                neurons,
                plan=plan,
                dropout=dropout if i else 0.0,
                norm=normed,
                delay=None if delay is None else Delays(delay, sizes[i], inputs[i]),
            )
        initialise(self)

    def forward(self, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
        """The trace of every layer, the read-out last, for ``x`` ``[T, B, *N]``."""
        return through(self.layers, x.flatten(2) if x.dim() > 3 else x, generator, self.skips)


def _bounds(bias_init: str) -> tuple[float, float] | None:
    if bias_init == "default":
        return None
    match = re.fullmatch(r"uniform\(\s*(\S+?)\s*,\s*(\S+?)\s*\)", bias_init) if isinstance(bias_init, str) else None
    try:
        low, high = (float(number) for number in match.groups()) if match else (0.0, -1.0)
    except ValueError:
        low, high = 0.0, -1.0
    if not low < high:
        raise ArgumentError("bias_init", "'default' or 'uniform(low,high)' with low < high", bias_init)
    return low, high
