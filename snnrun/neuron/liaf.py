"""The leaky integrate and analogue fire neuron."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import State
from snnrun.neuron.leaky import LIF, LeakOptions

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class LIAF(LIF):
    """Leaky integrate and analogue fire: a LIF that outputs its membrane, through an activation, instead of spikes.

    ::

        u[t] = v_rest + β (v[t-1] - v_rest) + x[t]        integrate
        y[t] = f(u[t])                                    the output, a real number
        s[t] = H(u[t] - θ)                                fire: the spike only resets
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    ``threshold_related`` uses ``y = f(u - θ)``. In ``step`` and in the trace the output replaces the spikes; the state
    holds the spikes.

    With ``relu`` an output neuron with a negative membrane passes no gradient, and its class may be lost for good if
    the loss counts spikes: use ``readout=li loss=ce_membrane`` with it.

    Membrane, threshold and input share one unit. The membrane starts at ``v_rest``.

    Args:
        activation: f: ``relu``, ``sigmoid`` or ``tanh``. Default sigmoid.
        threshold_related: measure the membrane from the threshold. Default false.
        **options: of the leak, see :class:`snnrun.neuron.LIF`, and of every neuron.

    Raises:
        ValueError: for an argument out of range.

    Source: Wu et al. 2021, "LIAF-Net: leaky integrate and analog fire network"; SpikingJelly's ``LIAFNode``
    (``convention=spikingjelly``, ``tau=2``, ``integration=euler``, ``decay_input=true``, ``v_rest = v_reset``).
    """

    analogue = True

    def __init__(
        self, *, activation: str = "sigmoid", threshold_related: bool = False, **options: Unpack[LeakOptions]
    ) -> None:
        # The output is not a spike, so there is none to scale.
        super().__init__(graded_spikes_factor=1.0, learn_graded_spikes_factor=False, **options)
        self.activation = check.choice("activation", activation, tuple(ACTIVATIONS))
        self.threshold_related = check.flag("threshold_related", threshold_related)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        _, state = super().step(x, state)
        u = state.membrane - self.threshold() if self.threshold_related else state.membrane
        return ACTIVATIONS[self.activation](u), state
