"""Recurrence: the spikes of the previous step return as input. A mixin for any neuron, and the recurrent LIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.leaky import LIF

RECURRENCES = ("none", "all_to_all", "elementwise", "convolution")


class RecurrentOptions(NeuronOptions, total=False):
    """The ``**options`` that a neuron with its own default ``recurrence`` passes to :class:`RecurrentNeuron`."""

    recurrent_weight: Numbers
    kernel_size: int
    autapses: bool
    recurrent_bias: bool


class RecurrentNeuron(Neuron):
    """Feeds the layer's spikes of the previous step back into its input; first base of a recurrent neuron.

    ::

        x'[t] = x[t] + W s[t-1]               all_to_all, with b if recurrent_bias
        x'[t] = x[t] + w s[t-1]               elementwise
        x'[t] = x[t] + K * s[t-1]             convolution

    The feedback carries gradient, independent of ``detach_reset``. ``class Mine(RecurrentNeuron, Neuron)`` makes a
    neuron recurrent; a neuron that overrides ``step`` calls ``with_feedback`` itself.

    Args:
        recurrence: ``all_to_all`` (default), ``elementwise``, ``convolution``, or ``none``.
        recurrent_weight: of ``elementwise``: initial w, a number or one per neuron; learnt, and with ``per_neuron`` a
            separate copy for each neuron. Default 1.
        kernel_size: of ``convolution``: width of the kernel, odd. Default 3. A layer [C, H, W] is convolved in space;
            a layer [n] without space counts as an image of n channels and one pixel.
        autapses: of ``all_to_all``: whether a neuron feeds itself. Default true; false keeps the diagonal of W at 0.
        recurrent_bias: add a learnt bias that starts at 0. Default false.
        **options: of the neuron.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: snnTorch's ``RLeaky`` and ``RSynaptic``; Norse's recurrent cells (``autapses=false``).
    """

    def __init__(
        self,
        *args: Any,
        recurrence: str = "all_to_all",
        recurrent_weight: Numbers = 1.0,
        kernel_size: int = 3,
        autapses: bool = True,
        recurrent_bias: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.recurrence = check.choice("recurrence", recurrence, RECURRENCES)
        self.autapses = check.flag("autapses", autapses)
        bias = check.flag("recurrent_bias", recurrent_bias)
        width = check.integer("kernel_size", kernel_size, low=1)
        if width % 2 == 0:
            raise ArgumentError("kernel_size", "an odd number, which keeps the layer's shape", width)
        if not autapses and recurrence not in ("all_to_all", "none"):
            raise ArgumentError("autapses", f"true with recurrence={recurrence}", False)
        if bias and recurrence not in ("all_to_all", "convolution"):
            raise ArgumentError("recurrent_bias", f"false with recurrence={recurrence}", True)
        self.feedback: nn.Module | None = None
        if recurrence == "elementwise":
            self.feedback = self._value("recurrent_weight", recurrent_weight, "real", learn=True)
        elif recurrence == "all_to_all":
            size = torch.Size(layer_shape(self._shape, f"recurrence={recurrence}")).numel()
            self.feedback = nn.Linear(size, size, bias=bias)
        elif recurrence == "convolution":
            channels = image_shape(self._shape, f"recurrence={recurrence}")[0]
            self.feedback = nn.Conv2d(channels, channels, width, padding=width // 2, bias=bias)
        if bias and self.feedback is not None:
            nn.init.zeros_(self.feedback.bias)  # type: ignore[arg-type]  # silence stays silent

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().step(self.with_feedback(x, state), state)

    def with_feedback(self, x: Tensor, state: Any) -> Tensor:
        """The input ``[B, *N]`` plus the feedback of the last spikes."""
        s = self.emit(state.spikes)
        if self.recurrence == "elementwise":
            assert self.feedback is not None
            return x + self.feedback() * s
        if isinstance(self.feedback, nn.Linear):
            weight = self.feedback.weight
            if not self.autapses:
                weight = weight - torch.diag(torch.diagonal(weight))
            return x + feed_back(s, weight, self.feedback.bias)
        if isinstance(self.feedback, nn.Conv2d):
            return x + self.feedback(as_image(s)).view_as(x)
        return x


def feed_back(s: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``W s + b`` for a layer's output ``s``, ``[B, *N]``, with ``weight`` ``[n, n]`` and ``bias`` ``[n]``."""
    if has_torch_function_unary(s):  # torch's protocol for objects in place of tensors, as in snnrun.sequence
        current: Tensor = handle_torch_function(feed_back, (s,), s, weight, bias)
        return current
    # Under autocast a product is bfloat16; the membrane integrates in the precision of the input.
    return nn.functional.linear(s.flatten(1), weight, bias).to(s.dtype).view_as(s)


def layer_shape(shape: Sequence[int] | None, what: str) -> tuple[int, ...]:
    """The layer's shape; ValueError, with ``what`` needs it, if there is none."""
    if shape is None:
        raise ArgumentError("shape", f"the shape of the layer, which {what} needs", None)
    return tuple(shape)


def image_shape(shape: Sequence[int] | None, what: str) -> tuple[int, int, int]:
    """The layer's shape as ``(C, H, W)``; ``(n,)`` is an image of n channels and one pixel."""
    layer = layer_shape(shape, what)
    if len(layer) not in (1, 3):
        raise ArgumentError("shape", f"a layer [n] or [C, H, W], which {what} needs", list(layer))
    channels, height, width = layer if len(layer) == 3 else (layer[0], 1, 1)
    return channels, height, width


def as_image(x: Tensor) -> Tensor:
    """``[B, n]`` as ``[B, n, 1, 1]``; ``[B, C, H, W]`` unchanged."""
    return x if x.dim() == 4 else x[..., None, None]


class RLIF(RecurrentNeuron, LIF):
    """Recurrent LIF: leaky integrate-and-fire whose spikes return as input one step later.

    ::

        x'[t] = x[t] + W s[t-1]                                  feedback
        u[t] = v_rest + β (v[t-1] - v_rest) + x'[t]              integrate
        s[t] = H(u[t] - θ)                                       fire
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    Membrane, threshold, input and weights share one unit. The membrane starts at ``v_rest``, without spikes.

    Args:
        recurrence, recurrent_weight, kernel_size, autapses, recurrent_bias: the feedback ``W s``, see
            :class:`snnrun.neuron.RecurrentNeuron`. Default all to all, without bias.
        beta, tau, dt, integration, decay_input, v_rest, learn_beta: see :class:`snnrun.neuron.LIF`.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    With ``reset=zero`` and ``reset_timing=delayed``, the step in which the reset lands loses its input and its
    feedback as well, as in snnTorch; then ``elementwise`` feedback never acts. This differs from LIF.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: snnTorch's ``RLeaky`` (``convention=snntorch``; its all-to-all and convolutional feedback has a bias).
    """

    reset_drops_input = True
