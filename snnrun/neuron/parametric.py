"""The parametric leaky integrate-and-fire neuron, which learns its time constant."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import LinearNeuron, LinearUpdate, NeuronOptions
from snnrun.neuron.distribution import Numbers, transform


class PLIF(LinearNeuron):
    """Parametric leaky integrate-and-fire: a LIF that learns the speed of its leak.

    ::

        u[t] = v[t-1] + q (x[t] - (v[t-1] - v_rest))      integrate, q = 1/τ = σ(w), w is learned
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    ``decay_input=false`` does not scale the input: ``u = v - q (v - v_rest) + x``.

    Membrane, threshold and input share one unit; τ is in time steps. The membrane starts at ``v_rest``.

    Args:
        tau: initial time constant τ > 1, a number or one per neuron. Default 2.
        decay_input: scale the input by ``1/τ``. Default true.
        v_rest: where the membrane leaks to. Default 0.
        learn_tau: learn it; ``1/τ`` stays in (0, 1). Default true.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`. With ``per_neuron`` each neuron learns its own τ.

    Raises:
        ValueError: for an argument out of range.

    Source: Fang et al. 2021, "Incorporating learnable membrane time constant to enhance learning of spiking neural
    networks"; SpikingJelly's ``ParametricLIFNode`` (``convention=spikingjelly``, ``v_rest = v_reset``).
    """

    def __init__(
        self,
        tau: Numbers = 2.0,
        *,
        decay_input: bool = True,
        v_rest: float = 0.0,
        learn_tau: bool = True,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        q = transform("tau", tau, lambda one: 1 / check.number("tau", one, above=1))
        self.q = self._value("q", q, "unit", learn=check.flag("learn_tau", learn_tau))
        self.decay_input = check.flag("decay_input", decay_input)
        self.v_rest = check.number("v_rest", v_rest)

    def linear(self) -> LinearUpdate:
        q = self.q()
        return LinearUpdate(
            decay=1 - q,
            gain=q if self.decay_input else 1.0,
            offset=q * self.v_rest if self.v_rest else 0.0,
        )

    def learnable_values(self) -> dict[str, Tensor]:
        values = super().learnable_values()
        return {"tau" if name == "q" else name: 1 / value if name == "q" else value for name, value in values.items()}
