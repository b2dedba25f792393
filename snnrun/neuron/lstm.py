"""Spiking LSTMs: the membrane is the hidden state of a long short-term memory, and resets when it fires."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.base import Neuron, OtherOptions
from snnrun.neuron.distribution import Numbers, transform
from snnrun.neuron.recurrent import as_image, image_shape, layer_shape


class LSTMState(NamedTuple):
    """Membrane (the hidden state, before the reset), spikes, and the cell's memory; each ``[B, *N]`` of the layer."""

    membrane: Tensor
    spikes: Tensor
    cell: Tensor


class _SpikingLSTM(Neuron):
    """The common equation; a subclass has the modules ``inputs`` and ``hidden`` for the gates."""

    inputs: nn.Module
    hidden: nn.Module

    def __init__(self, *, threshold: Numbers = 0.1, bias: bool = True, **options: Unpack[OtherOptions]) -> None:
        # The hidden state is a product of a logistic function and a tanh.
        within = functools.partial(
            check.number, "threshold", above=0, below=1, condition="since the membrane stays within -1 and 1"
        )
        super().__init__(threshold=transform("threshold", threshold, within), **options)
        check.flag("bias", bias)

    def gates(self, x: Tensor, v: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define gates(x, v)")

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        i, f, g, o = self.gates(x, self.start(state)).chunk(4, dim=1)
        cell = torch.sigmoid(f) * state.cell + torch.sigmoid(i) * torch.tanh(g)
        u = self.land(torch.sigmoid(o) * torch.tanh(cell), state)
        spikes = self.fire(u)
        return spikes, LSTMState(u, spikes, cell)

    def initial_state(self, x: Tensor) -> Any:
        # The state has the size of the hidden layer, not of the input.
        assert self._shape is not None
        zeros = x.new_zeros(x.shape[0], *self._shape)
        return LSTMState(self.initial_membrane(zeros), zeros, zeros.clone())


class SLSTM(_SpikingLSTM):
    """Spiking LSTM: a long short-term memory; its hidden state is a membrane that fires and resets.

    ::

        i, f, g, o = W x[t] + V v[t-1] + b                       gates, each of the layer's size
        c[t] = σ(f) c[t-1] + σ(i) tanh(g)                        the memory, never reset
        u[t] = σ(o) tanh(c[t])                                   hidden state = membrane
        s[t] = H(u[t] - θ)                                       fire
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    x: ``[B, input_size]``; all else ``[B, n]``. The membrane has no unit and stays within -1 and 1; it and the memory
    start at 0. Weights start uniform within ``±1/sqrt(n)``, the bias at 0, so that silence stays silent.

    Args:
        input_size: size of the input. Default null: n, the layer's size.
        bias: whether the gates have a bias. Default true.
        threshold: θ, below 1, which the membrane never reaches. Default 0.1.
        shape: ``(n,)`` of the layer; a layer [C, H, W] is flattened. Models pass it.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or without the layer's shape.

    Source: snnTorch's ``SLSTM`` (``convention=snntorch``; ``reset=none`` is its default), which loses its memory at
    every step where ``input_size`` differs from n.
    """

    def __init__(
        self,
        *,
        input_size: int | None = None,
        bias: bool = True,
        threshold: Numbers = 0.1,
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(threshold=threshold, bias=bias, **options)
        size = torch.Size(layer_shape(self._shape, type(self).__name__)).numel()
        inputs = size if input_size is None else check.integer("input_size", input_size, low=1)
        self.inputs, self.hidden = nn.Linear(inputs, 4 * size, bias=bias), nn.Linear(size, 4 * size, bias=False)
        for parameter in (self.inputs.weight, self.hidden.weight):
            nn.init.uniform_(parameter, -(size**-0.5), size**-0.5)
        if bias:
            nn.init.zeros_(self.inputs.bias)

    def gates(self, x: Tensor, v: Tensor) -> Tensor:
        gates = self.inputs(x.flatten(1)) + self.hidden(v.flatten(1))
        return gates.view(v.shape[0], 4 * v.shape[1], *v.shape[2:])


class SConv2dLSTM(_SpikingLSTM):
    """Spiking convolutional LSTM: a spiking LSTM whose gates are convolutions in space.

    ::

        i, f, g, o = W * x[t] + V * v[t-1] + b                   gates, each [B, C, H, W] (*: convolution)
        c[t] = σ(f) c[t-1] + σ(i) tanh(g)                        the memory, never reset
        u[t] = σ(o) tanh(c[t])                                   hidden state = membrane
        s[t] = H(u[t] - θ)                                       fire
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    x: ``[B, in_channels, H, W]``; all else ``[B, C, H, W]``. A layer [n] without space counts as an image of n
    channels and one pixel. Pooling belongs to the model. The membrane has no unit and stays within -1 and 1; it and
    the memory start at 0, as does the bias, so that silence stays silent.

    Args:
        in_channels: channels of the input. Default null: C, the layer's channels.
        kernel_size: width of the kernels, odd, which keeps the shape. Default 3.
        bias: whether the gates have a bias. Default true.
        threshold: θ, below 1, which the membrane never reaches. Default 0.1.
        shape: ``(C, H, W)`` of the layer. Models pass it.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or without the layer's shape.

    Source: Shi et al. 2015, "Convolutional LSTM network"; snnTorch's ``SConv2dLSTM`` (``convention=snntorch``;
    ``reset=none`` is its default; it orders the gates i, f, o, g).
    """

    def __init__(
        self,
        *,
        in_channels: int | None = None,
        kernel_size: int = 3,
        bias: bool = True,
        threshold: float = 0.1,
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(threshold=threshold, bias=bias, **options)
        channels = image_shape(self._shape, type(self).__name__)[0]
        inputs = channels if in_channels is None else check.integer("in_channels", in_channels, low=1)
        width = check.integer("kernel_size", kernel_size, low=1)
        if width % 2 == 0:
            raise ArgumentError("kernel_size", "an odd number, which keeps the layer's shape", width)
        self.inputs = nn.Conv2d(inputs, 4 * channels, width, padding=width // 2, bias=bias)
        self.hidden = nn.Conv2d(channels, 4 * channels, width, padding=width // 2, bias=False)
        if bias:
            nn.init.zeros_(self.inputs.bias)  # type: ignore[arg-type]

    def gates(self, x: Tensor, v: Tensor) -> Tensor:
        gates = self.inputs(as_image(x)) + self.hidden(as_image(v))
        return gates.view(v.shape[0], 4 * v.shape[1], *v.shape[2:])
