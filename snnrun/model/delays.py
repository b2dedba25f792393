"""The delays of a layer's connections: their values, and the current of spikes that arrive later."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snnrun.delay import Delay


class Delays(nn.Module):
    """The delays of the synapses, or of the sending neurons' axons, between N_in and N_out neurons.

    All steps are computed by one convolution over time: with a kernel ``[N_out, N_in, D + 1]`` of weights and taps for
    delays of synapses, and a kernel ``[N_in, D + 1]`` of taps, one for each sending neuron, for delays of axons.

    Args:
        kind: options and taps.
        outputs: N_out.
        inputs: N_in.

    Attributes:
        value: the delays in steps, ``[N_out, N_in]`` or ``[N_in]``; a parameter if they are learnt. ``delays()`` has
            them within their range.
        width: of the taps, ``[]``; None for taps without a width. Stored with the weights, so that a network is
            evaluated with the width of the step that its weights are from.

    Source: Khalfaoui-Hassani et al. 2023 (DCLS); Hammouamri et al. 2024.
    """

    value: Tensor
    width: Tensor | None

    def __init__(self, kind: Delay, outputs: int, inputs: int) -> None:
        super().__init__()
        self.kind = kind
        shape = (outputs, inputs) if kind.of == "synapse" else (inputs,)
        value = kind.draw(torch.Size(shape).numel()).view(shape)
        if kind.learn:
            self.value = nn.Parameter(value)
        else:
            self.register_buffer("value", value)
        width = kind.width_at(0.0)
        self.register_buffer("width", None if width is None else torch.tensor(width))

    @property
    def of_axons(self) -> bool:
        """True if all synapses of a sending neuron share a delay."""
        return self.kind.of == "axon"

    def delays(self) -> Tensor:
        """The delays in steps, in [0, D], like ``value``."""
        value: Tensor = _Within.apply(self.value, self.kind.maximum)
        return value

    def taps(self) -> Tensor:
        """The shares of a spike by the step at which they arrive, ``[N_out, N_in, D + 1]`` or ``[N_in, D + 1]``."""
        taps = self.kind.taps if self.training else self.kind.evaluation_taps
        return taps(self.delays(), self.width)

    @torch.no_grad()
    def shrink(self, progress: float) -> None:
        """Give the taps the width after the share ``progress`` of the training; they never become wider."""
        width = self.kind.width_at(progress)
        if self.width is not None and width is not None:
            self.width.clamp_(max=width)  # in place, since a recorded graph reads it

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """What arrives at each step, for ``x`` ``[T, B, N_in]``; before the first step there are no spikes.

        Delays of axons: the delayed ``x``, ``[T, B, N_in]``. Delays of synapses: the current ``[T, B, N_out]`` through
        ``weight`` ``[N_out, N_in]``.
        """
        taps = self.taps().to(x.dtype)
        kernel = taps[:, None] if weight is None else weight[..., None] * taps
        # [B, N, T]; a convolution counts its taps from the past on.
        past = F.pad(x.permute(1, 2, 0), (self.kind.maximum, 0))
        y = F.conv1d(past, kernel.flip(-1), groups=x.shape[2] if weight is None else 1)
        # Under autocast it is bfloat16; the membrane integrates in the precision of the input.
        return y.permute(2, 0, 1).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{type(self.kind).__name__}, of={self.kind.of}, {tuple(self.value.shape)}, maximum={self.kind.maximum}"


class _Within(torch.autograd.Function):
    """A value limited to [0, high]; from outside only a gradient that leads back is passed on."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.high = high
        return value.clamp(0, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (value,) = ctx.saved_tensors
        # The optimizer moves a value against its gradient.
        leaves = ((value <= 0) & (grad > 0)) | ((value >= ctx.high) & (grad < 0))
        return torch.where(leaves, 0.0, grad), None
