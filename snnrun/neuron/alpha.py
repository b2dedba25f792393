"""The alpha neuron: its membrane is the difference of two filtered inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.distribution import Distribution, Numbers, draw_each, transform


class AlphaState(NamedTuple):
    """Membrane before the reset, spikes, and the two filtered inputs; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    excitation: Tensor
    inhibition: Tensor


class Alpha(Neuron):
    """Alpha neuron: an input raises the membrane after a delay, along the difference of two exponentials.

    ::

        E[t] = α E[t-1] + x[t]                                   slow, excitatory
        I[t] = β I[t-1] - x[t]                                   fast, inhibitory
        u[t] = g (E[t] + I[t]),   g = 1 + ln α / (ln β - ln α)   the membrane, a read-out of both
        s[t] = H(u[t] - θ)                                       fire
        E[t] = E[t] - θ/g s[t]                                   reset (subtract; see below)

    One input of 1 gives ``u = g (αᵏ - βᵏ)`` k steps later: the effect starts at the second step. The membrane is not
    integrated, so a reset acts on E and I:

    ================================ ==================================================================================
    ``subtract``                     E loses θ/g, so that the membrane loses θ
    ``subtract``, ``published_reset`` E loses θ and I is cleared, with any effect on the membrane; with a delayed
                                     reset the membrane of the step in which it lands loses nothing and gains ``I[t-1]``
    ``zero``                         E and I are cleared (E is v_reset/g)
    ``none``                         nothing
    ================================ ==================================================================================

    Membrane, threshold and input share one unit. Everything starts at 0; E starts at ``v_init/g``.

    Args:
        alpha: α in (0, 1), a number or one per neuron. Default 0.9.
        beta: β in (0, α), a number or one per neuron. Default 0.8.
        published_reset: subtract as snnTorch does. Default false.
        learn_alpha: make α a parameter; it stays in (0, 1), and β follows in proportion.
        learn_beta: make β a parameter; it stays in (0, α).
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or β not below α.

    Source: Rall 1967; snnTorch's ``Alpha`` (``convention=snntorch published_reset=true``).
    """

    def __init__(
        self,
        alpha: Numbers = 0.9,
        beta: Numbers = 0.8,
        *,
        published_reset: bool = False,
        learn_alpha: bool = False,
        learn_beta: bool = False,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        ratio: float | list[float]
        if isinstance(alpha, (str, Distribution)) or isinstance(beta, (str, Distribution)):
            pairs = _draw(alpha, beta, self._shape)
            alpha, ratio = [slow for slow, _ in pairs], [share for _, share in pairs]
        else:
            ratio = _ratio(alpha, beta)
        self.published_reset = check.flag("published_reset", published_reset)
        self.alpha = self._value("alpha", alpha, "unit", learn=learn_alpha)
        # β = α q with q in (0, 1): at β = α the gain would be infinite, and no optimizer step may go there.
        check.flag("learn_beta", learn_beta)
        self.ratio = self._value("ratio", ratio, "unit", learn=learn_beta)

    def beta(self) -> Tensor | float:
        """β, below α."""
        return self.alpha() * self.ratio()

    def gain(self) -> Tensor | float:
        """g, which grows as β approaches α."""
        return 1 + _log(self.alpha()) / _log(self.ratio())

    def step(self, x: Tensor, state: AlphaState) -> tuple[Tensor, AlphaState]:
        gain = self.gain()
        s = state.spikes.detach() if self.detach_reset else state.spikes
        e, i = state.excitation, state.inhibition
        if not self.delayed:
            e, i = self.clear(e, i, s, gain)
        e, i = self.alpha() * e + x, self.beta() * i - x
        u = gain * (e + i)
        if self.delayed:
            published = self.published_reset and self.reset == "subtract"
            u = u + s * state.inhibition if published else self.after_reset(u, state.spikes)
            e, i = self.clear(e, i, s, gain)
        spikes = self.fire(u)
        return spikes, AlphaState(u, spikes, e, i)

    def learnable_values(self) -> dict[str, Tensor]:
        values = super().learnable_values()
        if "alpha" in values or "ratio" in values:  # β follows either
            values["beta"] = torch.as_tensor(self.beta()).detach()
        return {name: value for name, value in values.items() if name != "ratio"}

    def clear(self, e: Tensor, i: Tensor, s: Tensor, gain: Tensor | float) -> tuple[Tensor, Tensor]:
        """Excitation and inhibition after the reset of the spikes ``s``, ``[B, *N]``."""
        once = self.at_most_one(s)
        if self.reset == "zero":
            return (1 - once) * e + once * (self.v_reset / gain), (1 - once) * i
        if self.reset == "subtract" and self.published_reset:
            return e - s * self.threshold(), (1 - once) * i
        if self.reset == "subtract":
            return e - s * (self.threshold() / gain), i
        return e, i

    def initial_state(self, x: Tensor) -> Any:
        membrane = self.initial_membrane(x)
        return AlphaState(membrane, torch.zeros_like(x), membrane / self.gain(), torch.zeros_like(x))


def _draw(alpha: Numbers, beta: Numbers, shape: Sequence[int] | None) -> list[tuple[float, float]]:
    """α and β/α of each neuron, where one decay or both are drawn; a pair out of range is drawn again."""
    sources: list[Distribution | float] = []
    for name, value in (("alpha", alpha), ("beta", beta)):
        source = transform(name, value, float)
        if isinstance(source, list):
            raise ArgumentError(name, "a number or a distribution where the other decay is a distribution", value)
        sources.append(source)
    return draw_each(sources, shape, lambda slow, fast: (slow, _one_ratio(slow, fast)))


def _ratio(alpha: float | Sequence[float], beta: float | Sequence[float]) -> float | list[float]:
    if isinstance(alpha, Sequence) or isinstance(beta, Sequence):
        alphas = list(alpha) if isinstance(alpha, Sequence) else [alpha] * len(beta)  # type: ignore[arg-type]
        betas = list(beta) if isinstance(beta, Sequence) else [beta] * len(alphas)
        if len(alphas) != len(betas):
            raise ArgumentError("beta", f"as many numbers as alpha has, {len(alphas)}", len(betas))
        return [_one_ratio(a, b) for a, b in zip(alphas, betas, strict=True)]
    return _one_ratio(alpha, beta)


def _one_ratio(alpha: float, beta: float) -> float:
    slow = check.number("alpha", alpha, above=0, below=1)
    return check.number("beta", beta, above=0, below=slow, condition="with this alpha") / slow


def _log(value: Tensor | float) -> Tensor | float:
    return torch.log(value) if isinstance(value, Tensor) else math.log(value)
