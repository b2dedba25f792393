"""The current-based leaky integrate-and-fire neuron."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun.neuron.base import Neuron, OtherOptions
from snnrun.neuron.distribution import Numbers


class CurrentState(NamedTuple):
    """A state with a synaptic current."""

    membrane: Tensor  # [B, *N]
    spikes: Tensor  # [B, *N], 0 or 1
    current: Tensor  # [B, *N], c


class CubaLIF(Neuron):
    """Current-based leaky integrate-and-fire: the input first decays as a synaptic current.

    ::

        c[t] = α c[t-1] + x[t]                            synaptic current
        u[t] = β v[t-1] + c[t]                            integrate
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options); c is not reset

    Membrane, current, threshold and input share one unit. Membrane and current start at 0.

    Args:
        current_decay: α in [0, 1], a number or one per neuron: the factor of the current per step (Loihi's and lava's
            decay is ``1 - α``). Default 0.5.
        voltage_decay: β in [0, 1]: the factor of the membrane per step, likewise. Default 0.75.
        threshold: θ > 0. Default 0.5.
        learn_current_decay, learn_voltage_decay: make them parameters; they stay in (0, 1).
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Davies et al. 2018 (Loihi); SpikingJelly's ``CUBALIFNode`` (``convention=spikingjelly``).
    """

    def __init__(
        self,
        *,
        current_decay: Numbers = 0.5,
        voltage_decay: Numbers = 0.75,
        threshold: Numbers = 0.5,
        learn_current_decay: bool = False,
        learn_voltage_decay: bool = False,
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(threshold=threshold, **options)
        self.current_decay = self._value("current_decay", current_decay, "unit", learn=learn_current_decay)
        self.voltage_decay = self._value("voltage_decay", voltage_decay, "unit", learn=learn_voltage_decay)

    def step(self, x: Tensor, state: CurrentState) -> tuple[Tensor, CurrentState]:
        current = self.current_decay() * state.current + x
        u = self.advance(state, lambda v: self.voltage_decay() * v + current)
        spikes = self.fire(u)
        return spikes, CurrentState(u, spikes, current)

    def initial_state(self, x: Tensor) -> Any:
        return CurrentState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))
