"""The contract of a delay: its options, and the taps of a delay over the steps of the past."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.distribution import Distribution, draw_each


@dataclass(frozen=True, kw_only=True)
class Delay(ABC):
    """Base of all delays.

    A spike of neuron i that is sent at step t reaches neuron j with the share ``tap[l]`` at step t + l:

    ::

        I_j[t] = Σ_i w_ji Σ_l tap_ji[l] s_i[t-l]          l = 0 … D      input
        R_j[t] = Σ_i v_ji Σ_l tap_ji[l] s_i[t-1-l]        l = 0 … D      recurrent

    A recurrent spike takes one step in any case, so with the delay d it arrives d + 1 steps later. There are no spikes
    before the first step.

    Args:
        of: ``synapse`` (default): each synapse has its own delay, ``[N_out, N_in]``; ``axon``: all synapses of a
            sending neuron share one, ``[N_in]``, which costs far less.
        connections: ``input`` (default): the synapses from the layer before; ``recurrent``: the synapses within a
            layer; ``both``.
        maximum: D, the largest delay, in steps; at least 1, and less than the number of steps of a sample. Default 10.
            A delay that the optimizer moves out of [0, D] counts as 0 or D, with the gradient 0 unless it leads back.
        initial: delay at the begin, in steps: a number, ``uniform(low,high)`` or ``normal(mean,sd)``, drawn for each
            delay within [0, D]; null (default): ``uniform(0,D)``.
        learn: whether delays are learnt, in the group ``delays`` of the optimizer. Default true.

    Raises:
        ValueError: for an argument out of range.
    """

    of: str = "synapse"
    connections: str = "input"
    maximum: int = 10
    initial: float | str | None = None
    learn: bool = True

    def __post_init__(self) -> None:
        check.choice("of", self.of, ("synapse", "axon"))
        check.choice("connections", self.connections, ("input", "recurrent", "both"))
        check.integer("maximum", self.maximum, low=1)
        check.flag("learn", self.learn)
        self._source()

    @abstractmethod
    def taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        """The shares ``[*, D + 1]`` of a spike that arrive after 0 … D steps, for delays ``[*]`` in [0, D].

        They carry gradient for ``delay``. ``width``: see ``width_at``, ``[]``.
        """

    def evaluation_taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        """The taps with which the network is evaluated."""
        return self.taps(delay, width)

    def width_at(self, progress: float) -> float | None:
        """The width of the taps, in steps, after the share ``progress`` of the training; None: they have none."""
        return None

    def draw(self, count: int) -> Tensor:
        """This many initial delays, ``[count]``, from torch's default generator."""
        source = self._source()
        if isinstance(source, float):
            return torch.full((count,), source)
        return torch.tensor(draw_each((source,), (count,), self._within), dtype=torch.get_default_dtype())

    def lags(self, delay: Tensor) -> Tensor:
        """The steps 0 … D, ``[D + 1]``, with the dtype and device of ``delay``."""
        return torch.arange(self.maximum + 1, dtype=delay.dtype, device=delay.device)

    def shift(self, delay: Tensor) -> Tensor:
        """The taps ``[*, D + 1]`` of ``delay`` ``[*]`` rounded to whole steps: one of them is 1. Without gradient."""
        return (self.lags(delay) == delay.detach().round()[..., None]).to(delay.dtype)

    def _source(self) -> Distribution | float:
        if self.initial is None:
            return Distribution.read("initial", f"uniform(0,{self.maximum})")
        if isinstance(self.initial, str):
            source = Distribution.read("initial", self.initial)
            draw_each((source,), (), self._within)  # refuses what hardly ever lies within the range
            return source
        return self._within(self.initial)

    def _within(self, value: float) -> float:
        return check.number("initial", value, low=0, high=self.maximum)


@dataclass(frozen=True, kw_only=True)
class WideDelay(Delay):
    """Base of delays with taps that become narrower during training.

    ::

        σ[n] = σ_0 (σ_1 / σ_0)^min(1, n / (f N))        n: steps of training that are done, of N in all

    With wide taps a delay feels spikes that are several steps away; narrow ones are close to a single delay. A width
    never grows: a run that is trained on keeps the width that it has reached.

    Args:
        of, connections, maximum, initial, learn: see :class:`snnrun.delay.Delay`.
        width: σ_0, in steps, at the begin of the training.
        final_width: σ_1, in steps, at most σ_0; equal to it: the width stays.
        shrink: f, the share of the training until σ_1 is reached, above 0 and at most 1. Default 0.25.
        whole_steps: evaluate with delays rounded to whole steps, as shifts, as the network would be used. Default true;
            false: with the taps of the training.

    Raises:
        ValueError: for an argument out of range.
    """

    least: ClassVar[float]  # width

    width: float
    final_width: float
    shrink: float = 0.25
    whole_steps: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("width", self.width, low=self.least)
        check.number("final_width", self.final_width, low=self.least)
        if self.final_width > self.width:
            expected = f"at most {self.width:g}, the width at the begin"
            raise ArgumentError("final_width", expected, self.final_width)
        check.number("shrink", self.shrink, above=0, high=1)
        check.flag("whole_steps", self.whole_steps)

    def evaluation_taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        return self.shift(delay) if self.whole_steps else self.taps(delay, width)

    def width_at(self, progress: float) -> float:
        exponent = min(1.0, progress / self.shrink)
        return float(self.width * (self.final_width / self.width) ** exponent)


def triangle(lags: Tensor, delay: Tensor, width: Tensor | float, maximum: int) -> Tensor:
    """``max(0, width - |l - d|)`` for lags ``[L]`` and delays ``[*]``: ``[*, L]``.

    At a kink the derivative by d is the one for growing d, and for d = ``maximum`` the one for falling d. With a
    derivative of 0, as relu and abs have it there, a delay could not leave a whole step or an end of its range.
    """
    distance = lags - delay[..., None]
    with torch.no_grad():
        nudge = torch.where(delay < maximum, 1e-6, -1e-6).to(distance.dtype)[..., None]
        beside = distance - nudge
        inside, rising = beside.abs() < width, beside < 0
    return torch.where(inside, width + torch.where(rising, distance, -distance), 0.0)
