"""Parallel spiking neurons: no reset and no loop, the membranes of all time steps are one product with the input."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.base import Neuron, State
from snnrun.neuron.distribution import Numbers
from snnrun.surrogate import Surrogate


class SequenceOptions(TypedDict, total=False):
    """The ``**options`` that such a neuron passes to :class:`SequenceNeuron`."""

    threshold: Numbers
    surrogate: Surrogate | None
    fires_at: str
    learn_threshold: bool
    per_neuron: bool
    shape: Sequence[int] | None


class SequenceNeuron(Neuron):
    """A neuron that is defined over a whole sequence; the reference execution calls ``sequence`` instead of ``step``.

    It does not reset, so it has only one of the four conventions, ``fires_at``.

    Args:
        threshold, surrogate, fires_at, learn_threshold, per_neuron, shape: see :class:`snnrun.neuron.Neuron`.
    """

    def __init__(
        self,
        *,
        threshold: Numbers = 1.0,
        surrogate: Surrogate | None = None,
        fires_at: str = ">",
        learn_threshold: bool = False,
        per_neuron: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            threshold=threshold,
            surrogate=surrogate,
            fires_at=fires_at,
            reset="none",
            learn_threshold=learn_threshold,
            per_neuron=per_neuron,
            shape=shape,
        )

    @abstractmethod
    def sequence(self, x: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
        """Spikes and membranes ``[T, B, *N]`` and the last state, for input ``[T, B, *N]`` and the state before it."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """A sequence of one step, for neurons that can continue a sequence."""
        spikes, _, state = self.sequence(x[None], state)
        return spikes[0], state

    def extra_repr(self) -> str:
        return f"surrogate={self.surrogate}, fires_at={'>=' if self.inclusive else '>'}"


class WindowState(NamedTuple):
    """The inputs that later membranes need."""

    membrane: Tensor  # [B, *N], of the last step
    spikes: Tensor  # [B, *N], of the last step
    inputs: Tensor  # [k - 1, B, *N], of the last k - 1 steps, the oldest first
    time: Tensor  # [], number of steps so far; always on the CPU, so that reading it waits for no device


class PSN(SequenceNeuron):
    """Parallel spiking neuron: every membrane is a learned mixture of the inputs of all time steps, later ones too.

    ::

        u[t] = Σ W[t, i] x[i] + b[t],  i = 1 … T          integrate: W [T, T] and b [T] are learned
        s[t] = H(u[t] - θ)                                fire; there is no reset

    It is not causal and needs the whole sequence of ``num_steps`` steps at once; it has no state to continue from. The
    neurons of a layer share W and b. W starts uniform within ``±1/√T``, b at 0.

    Membrane and threshold share one unit.

    Args:
        num_steps: T, the number of time steps of every sequence.
        **options: threshold, surrogate, fires_at, learn_threshold, per_neuron and shape, see
            :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or a sequence of another length.

    Source: Fang et al. 2023, "Parallel spiking neurons with high efficiency and ability to learn long-term
    dependencies"; SpikingJelly's ``PSN``, whose bias is ``b - θ``.
    """

    needs_all_steps = True

    def __init__(self, num_steps: int, **options: Unpack[SequenceOptions]) -> None:
        super().__init__(**options)
        self.num_steps = check.integer("num_steps", num_steps, low=1)
        self.weight = nn.Parameter(torch.empty(num_steps, num_steps).uniform_(-1, 1) / math.sqrt(num_steps))
        self.bias = nn.Parameter(torch.zeros(num_steps))

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        if x.shape[0] != self.num_steps:
            raise ArgumentError("x", f"the whole sequence of num_steps={self.num_steps} steps", x.shape[0])
        u = _mix(self.weight, x) + _per_step(self.bias, x)
        spikes = self.fire(u)
        return spikes, u, State(u[-1], spikes[-1])

    def extra_repr(self) -> str:
        return f"num_steps={self.num_steps}, {super().extra_repr()}"


class MaskedPSN(SequenceNeuron):
    """Masked parallel spiking neuron: a PSN that looks back at no more than its last k inputs.

    ::

        u[t] = Σ W[t, i] M[t, i] x[i] + b[t]              integrate: W [T, T] and b [T] are learned
        M[t, i] = 1 if t - k < i <= t, else 1 - λ         the mask
        s[t] = H(u[t] - θ)                                fire; there is no reset

    With λ = 1 it is causal, and can run step by step and in parts. A smaller λ also uses the other steps; training may
    begin at 0, a PSN, and raise ``neuron.masking`` to 1. The neurons of a layer share W and b. W starts uniform within
    ``±1/√T``, b at 0.

    Membrane and threshold share one unit.

    Args:
        num_steps: T, the largest number of time steps of a sequence, and with λ < 1 the only one.
        k: order, the number of inputs of a membrane. Default 4.
        masking: λ in [0, 1]. Default 1; SpikingJelly's is 0.
        **options: threshold, surrogate, fires_at, learn_threshold, per_neuron and shape, see
            :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or a sequence of an invalid length.

    Source: Fang et al. 2023, "Parallel spiking neurons with high efficiency and ability to learn long-term
    dependencies"; SpikingJelly's ``MaskedPSN``, whose bias is ``b - θ``.
    """

    def __init__(self, num_steps: int, *, k: int = 4, masking: float = 1.0, **options: Unpack[SequenceOptions]) -> None:
        super().__init__(**options)
        self.num_steps = check.integer("num_steps", num_steps, low=1)
        self.k = check.integer("k", k, low=1)
        self.masking = check.number("masking", masking, low=0, high=1)
        self.weight = nn.Parameter(torch.empty(num_steps, num_steps).uniform_(-1, 1) / math.sqrt(num_steps))
        self.bias = nn.Parameter(torch.zeros(num_steps))

    @property
    def needs_all_steps(self) -> bool:  # type: ignore[override]
        return self.masking < 1

    def sequence(self, x: Tensor, state: WindowState) -> tuple[Tensor, Tensor, WindowState]:
        start, end = int(state.time), int(state.time) + x.shape[0]
        if end > self.num_steps:
            raise ArgumentError("x", f"at most num_steps={self.num_steps} steps", end)
        if self.needs_all_steps and x.shape[0] != self.num_steps:
            raise ArgumentError(
                "x",
                f"the whole sequence of num_steps={self.num_steps} steps",
                x.shape[0],
                advice="with masking=1 it can be run in parts",
            )
        mask = torch.ones_like(self.weight).tril().triu(1 - self.k)
        weight = self.weight * (self.masking * mask + (1 - self.masking))
        # Column k - 1 + i of the padded matrix is for the input of step i; the window holds those before `start`.
        weight = nn.functional.pad(weight, (self.k - 1, 0))[start:end, start : self.k - 1 + end]
        window = torch.cat([state.inputs, x])
        u = _mix(weight, window) + _per_step(self.bias[start:end], x)
        spikes = self.fire(u)
        return spikes, u, _window_after(u, spikes, window, self.k, state.time + x.shape[0])

    def initial_state(self, x: Tensor) -> Any:
        return _empty_window(x, self.k)

    def extra_repr(self) -> str:
        return f"num_steps={self.num_steps}, k={self.k}, masking={self.masking:g}, {super().extra_repr()}"


class SlidingPSN(SequenceNeuron):
    """Sliding parallel spiking neuron: every membrane is the same learned mixture of its last k inputs.

    ::

        u[t] = Σ w[i] x[t - k + i] + b,  i = 1 … k        integrate: w [k] and b are learned; x = 0 before the start
        s[t] = H(u[t] - θ)                                fire; there is no reset

    It is causal, works for any number of steps and can run step by step and in parts. The neurons of a layer share w
    and b. b starts at 0.

    Membrane and threshold share one unit.

    Args:
        k: order, the number of inputs a membrane sees. Default 4.
        init: how w starts: ``exponential``, 1 for the newest input and half as much with every step back (default), or
            ``uniform`` within ``±1/√k``.
        **options: threshold, surrogate, fires_at, learn_threshold, per_neuron and shape, see
            :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Fang et al. 2023, "Parallel spiking neurons with high efficiency and ability to learn long-term
    dependencies"; SpikingJelly's ``SlidingPSN``, whose bias is ``b - θ``.
    """

    def __init__(self, k: int = 4, *, init: str = "exponential", **options: Unpack[SequenceOptions]) -> None:
        super().__init__(**options)
        self.k = check.integer("k", k, low=1)
        if check.choice("init", init, ("exponential", "uniform")) == "exponential":
            weight = 0.5 ** torch.arange(k - 1, -1, -1)
        else:
            weight = torch.empty(k).uniform_(-1, 1) / math.sqrt(k)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(()))

    def sequence(self, x: Tensor, state: WindowState) -> tuple[Tensor, Tensor, WindowState]:
        window = torch.cat([state.inputs, x])
        steps, weight = x.shape[0], self.weight.to(x.dtype)
        u = sum((weight[i] * window[i : i + steps] for i in range(self.k)), start=self.bias.to(x.dtype))
        spikes = self.fire(u)
        return spikes, u, _window_after(u, spikes, window, self.k, state.time + steps)

    def initial_state(self, x: Tensor) -> Any:
        return _empty_window(x, self.k)

    def extra_repr(self) -> str:
        return f"k={self.k}, {super().extra_repr()}"


def _mix(weight: Tensor, x: Tensor) -> Tensor:
    """``weight`` ``[T, S]`` applied over the time of ``x`` ``[S, B, *N]``, in the dtype of ``x`` under autocast too."""
    return (weight.to(x.dtype) @ x.flatten(1)).to(x.dtype).unflatten(1, x.shape[1:])


def _per_step(bias: Tensor, x: Tensor) -> Tensor:
    return bias.to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))


def _empty_window(x: Tensor, k: int) -> WindowState:
    inputs = x.new_zeros(k - 1, *x.shape)
    return WindowState(torch.zeros_like(x), torch.zeros_like(x), inputs, torch.zeros((), dtype=torch.long))


def _window_after(u: Tensor, spikes: Tensor, window: Tensor, k: int, time: Tensor) -> WindowState:
    return WindowState(u[-1], spikes[-1], window[window.shape[0] - (k - 1) :], time)
