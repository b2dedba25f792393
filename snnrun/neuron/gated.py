"""The gated leaky integrate-and-fire neuron: learned gates choose between the forms of leak, input and reset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.neuron.base import Neuron
from snnrun.neuron.value import Value
from snnrun.surrogate import Surrogate


class GatedState(NamedTuple):
    """A state with its time step."""

    membrane: Tensor  # [B, *N]
    spikes: Tensor  # [B, *N], 0 or 1
    time: Tensor  # [], number of steps so far; always on the CPU, so that reading it waits for no device


class GLIF(Neuron):
    """Gated leaky integrate-and-fire: learned gates mix two forms each of leak, input and reset.

    ::

        v[t-1] = u[t-1] - s[t-1] (γ u[t-1] + (1 - γ) r)             reset: to zero (γ = 1) or by r (γ = 0)
        u[t] = d v[t-1] - (1 - α) l + (1 - β (1 - g[t])) x[t]       integrate, d = 1 - α (1 - λ)
        s[t] = H(u[t] - θ)                                          fire

    The leak is exponential (α = 1: ``λ v``) or linear (α = 0: ``v - l``); the input is whole (β = 0) or scaled by a
    conductance of each time step (β = 1: ``g[t] x``). With ``reset_timing=delayed``, as published, the reset lands
    after the leak: ``γ d u + (1 - γ) r`` is subtracted from ``d u``. The gates replace the option ``reset``.

    Membrane, threshold, l and r share one unit with the input. The membrane starts at 0.

    Args:
        num_steps: T, number of time steps; each has its own conductance.
        alpha, beta, gamma: the gates in [0, 1], without the ends if they are learned. Default 0.5.
        decay: λ, likewise. Default 0.25.
        linear_decay: l > 0. Default null: ``threshold / (2 T)``.
        v_subreset: r > 0. Default null: the threshold.
        conduct: g of all steps, likewise. Default 0.5.
        threshold: θ > 0, one number. Default 0.5.
        learn: make all of them parameters, θ included; they stay in their intervals. Default true.
        surrogate, fires_at, reset_timing, detach_reset, per_neuron, shape: see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range; in ``step``, after ``num_steps`` steps.

    Source: Yao et al. 2022, "GLIF: a unified gated leaky integrate-and-fire neuron for spiking neural networks";
    SpikingJelly's ``GatedLIFNode`` (``convention=spikingjelly reset_timing=delayed``), which initialises its gates at
    random around 0.5 and expects channels in the third axis.
    """

    def __init__(
        self,
        num_steps: int,
        *,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma: float = 0.5,
        decay: float = 0.25,
        linear_decay: float | None = None,
        v_subreset: float | None = None,
        conduct: float = 0.5,
        threshold: float = 0.5,
        learn: bool = True,
        surrogate: Surrogate | None = None,
        fires_at: str = ">",
        reset_timing: str = "same",
        detach_reset: bool = True,
        per_neuron: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            threshold=check.number("threshold", threshold, above=0),
            learn_threshold=check.flag("learn", learn),
            surrogate=surrogate,
            fires_at=fires_at,
            reset="none",
            reset_timing=reset_timing,
            detach_reset=detach_reset,
            per_neuron=per_neuron,
            shape=shape,
        )
        self.reset = "gated"
        self.num_steps = check.integer("num_steps", num_steps, low=1)
        self.alpha = self._value("alpha", alpha, "unit", learn=learn)
        self.beta = self._value("beta", beta, "unit", learn=learn)
        self.gamma = self._value("gamma", gamma, "unit", learn=learn)
        self.decay = self._value("decay", decay, "unit", learn=learn)
        linear_decay = threshold / (2 * num_steps) if linear_decay is None else linear_decay
        self.linear_decay = self._value("linear_decay", linear_decay, "positive", learn=learn)
        v_subreset = threshold if v_subreset is None else v_subreset
        self.v_subreset = self._value("v_subreset", v_subreset, "positive", learn=learn)
        spread = (num_steps, *(self._shape or ())) if per_neuron else (num_steps,)
        self.conduct = Value("conduct", conduct, "unit", learn=learn, shape=spread)

    def step(self, x: Tensor, state: GatedState) -> tuple[Tensor, GatedState]:
        time = int(state.time)
        if time >= self.num_steps:
            raise ArgumentError("x", f"at most num_steps={self.num_steps} steps", Description("one more"))
        alpha, conduct = self.alpha(), self.conduct()
        assert isinstance(conduct, Tensor)
        d = 1 - alpha * (1 - self.decay())
        if self.delayed:
            v = self.after_reset(d * state.membrane, state.spikes)
        else:
            v = d * self.after_reset(state.membrane, state.spikes)
        u = v - (1 - alpha) * self.linear_decay() + (1 - self.beta() * (1 - conduct[time])) * x
        spikes = self.fire(u)
        return spikes, GatedState(u, spikes, state.time + 1)

    def after_reset(self, membrane: Tensor, spikes: Tensor) -> Tensor:
        s = self.at_most_one(spikes.detach() if self.detach_reset else spikes)
        gamma = self.gamma()
        return membrane - s * (gamma * membrane + (1 - gamma) * self.v_subreset())

    def initial_state(self, x: Tensor) -> Any:
        return GatedState(torch.zeros_like(x), torch.zeros_like(x), torch.zeros((), dtype=torch.long))
