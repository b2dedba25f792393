"""The residual network of spiking neurons: blocks combined with their input spike by spike (SEW-ResNet)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.model.execution import ExecutionPlan
from snnrun.model.layer import Layer
from snnrun.model.norm import norm_maker
from snnrun.model.products.convolution import Conv2d
from snnrun.model.products.product import Linear
from snnrun.model.weights import weights_maker
from snnrun.neuron import Neuron
from snnrun.sequence import Trace

#: The output of a block, from the spikes ``y`` of its second convolution and the spikes ``x`` of its input.
CONNECT: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda y, x: y + x,
    "and": lambda y, x: y * x,
    "iand": lambda y, x: (1 - y) * x,
}


class Residual(nn.Module):
    """A small residual network: spike-element-wise (SEW) blocks of two convolutions, for images.

    ::

        stem       3x3 convolution, norm, neurons
        block      y = neurons(norm(conv(neurons(norm(conv(x))))))        two 3x3 convolutions
                   x <- g(y, x)                                           add: y + x;  and: y x;  iand: (1 - y) x
        read-out   mean over the image, fully connected, neurons

    If a block changes the number of channels, its first convolution has stride 2, and x goes through a shortcut: 1x1
    convolution with stride 2, norm, neurons. With silent y (``and``: with y always firing) a block passes its input on
    unchanged. Spikes are 0 or 1; the outputs of ``add`` are whole numbers that grow by at most one per block.

    Args:
        input_shape: ``(C, H, W)`` of the input.
        num_outputs: size of the read-out.
        neuron: makes the neurons of a layer; called as ``neuron(shape=(C, H, W))`` or ``neuron(shape=(n,))``.
        readout: makes the neurons of the read-out; null: ``neuron`` does.
        backend: see :func:`snnrun.sequence.run`.
        channels: of each stage; each stage after the first halves the image. Default [16, 32].
        depth: blocks in each stage. Default 1.
        connect: g, ``add`` (default), ``and`` or ``iand``.
        norm: ``none``, ``batch`` (default), or ``tdbn``, which scales by α times the threshold; after each convolution.
            See :class:`snnrun.model.Norm`.
        tdbn_alpha: α of ``tdbn``, above 0. Default 1.
        bias: whether the synapses have a bias. Synapses before a ``norm``, which has its own, have none.
        weight_init: initial weights of all synapses: ``default`` (torch's), ``uniform(k)``, ``normal(k)``,
            ``xavier(k)`` or ``orthogonal(k)``; see :func:`snnrun.model.weights.weights_maker`.

    Raises:
        ValueError: for an input that is not an image, or an argument out of range.

    Source: Fang et al. 2021, "Deep residual learning in spiking neural networks".
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        neuron: Callable[..., Neuron],
        backend: str = "auto",
        *,
        readout: Callable[..., Neuron] | None = None,
        channels: Sequence[int] = (16, 32),
        depth: int = 1,
        connect: str = "add",
        norm: str = "batch",
        tdbn_alpha: float = 1.0,
        bias: bool = True,
        weight_init: str = "default",
    ) -> None:
        super().__init__()
        plan = ExecutionPlan(backend)
        stages = check.integers("channels", channels, low=1)
        check.integer("depth", depth, low=1)
        self.connect = check.choice("connect", connect, tuple(CONNECT))
        make_norm, initialise = norm_maker(norm, tdbn_alpha), weights_maker(weight_init)
        check.flag("bias", bias)
        if not stages:
            raise ArgumentError("channels", "the channels of at least one stage", [])
        if len(input_shape) != 3:
            raise ArgumentError(
                "channels",
                "a task with images [C, H, W] as its input",
                Description(f"an input of shape {list(input_shape)}"),
                advice="use model=mlp",
            )

        def convolution(
            shape: tuple[int, ...], out: int, kernel: int, stride: int = 1
        ) -> tuple[Layer, tuple[int, ...]]:
            synapse = Conv2d(shape[0], out, kernel, stride, kernel // 2, bias=bias and norm == "none")
            shape = (out, *((size - 1) // stride + 1 for size in shape[1:]))
            neurons = neuron(shape=shape)
            return Layer(synapse, neurons, plan=plan, norm=make_norm(out, neurons)), shape

        self.layers = nn.ModuleDict()
        self.layers["stem"], shape = convolution(tuple(input_shape), stages[0], 3)
        self.blocks = [f"block{i + 1}" for i in range(len(stages) * depth)]
        for i, block in enumerate(self.blocks):
            out, before = stages[i // depth], shape
            stride = 2 if i and i % depth == 0 else 1
            self.layers[f"{block}_1"], shape = convolution(before, out, 3, stride)
            self.layers[f"{block}_2"], shape = convolution(shape, out, 3)
            if shape != before:
                self.layers[f"{block}_shortcut"], _ = convolution(before, out, 1, stride)
        synapse = Linear(shape[0], num_outputs, bias=bias)
        self.layers["output"] = Layer(synapse, (readout or neuron)(shape=(num_outputs,)), plan=plan)
        initialise(self)

    def forward(self, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
        """The trace of every layer, the read-out last, for ``x`` ``[T, B, C, H, W]``."""
        traces: dict[str, Trace] = {}

        def spikes(name: str, x: Tensor) -> Tensor:
            traces[name] = self.layers[name](x, generator)
            return traces[name].spikes

        x = spikes("stem", x)
        for block in self.blocks:
            y = spikes(f"{block}_2", spikes(f"{block}_1", x))
            shortcut = f"{block}_shortcut"
            x = CONNECT[self.connect](y, spikes(shortcut, x) if shortcut in self.layers else x)
        spikes("output", x.mean((3, 4)))
        return traces
