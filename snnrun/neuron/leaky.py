"""The leaky integrate-and-fire neuron, by decay factor or by time constant."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import LinearNeuron, LinearUpdate, NeuronOptions
from snnrun.neuron.decay import check_decay, check_learnable_tau, decay_by, factor
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.value import Value


class LeakOptions(NeuronOptions, total=False):
    """The ``**options`` of a neuron that leaks like :class:`LIF`; see there."""

    beta: Numbers | None
    tau: Numbers | None
    dt: float
    integration: str
    decay_input: bool
    v_rest: float
    learn_beta: bool
    learn_tau: bool


class LIFOptions(LeakOptions, total=False):
    """The ``**options`` of a neuron that also fires like :class:`LIF`."""

    graded_spikes_factor: Numbers
    learn_graded_spikes_factor: bool


class LIF(LinearNeuron):
    """Leaky integrate-and-fire: a membrane that sums its input and leaks towards rest.

    ::

        u[t] = v_rest + β (v[t-1] - v_rest) + x[t]        integrate
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)
        y[t] = γ s[t]                                     emit; γ = 1 unless graded_spikes_factor is set

    with ``β = exp(-dt/τ)`` if τ is given. ``decay_input`` scales the input by ``1 - β``, so that a constant input I
    drives the membrane towards ``v_rest + I`` with any leak.

    Membrane, threshold and input share one unit; τ and dt share one unit of time. The membrane starts at ``v_rest``.

    Args:
        beta: β in [0, 1], a number or one per neuron: decay of the membrane per step. Default 0.95 if τ is None.
        tau: time constant τ > 0, instead of ``beta``.
        dt: length of a step, in the unit of τ. Default 1.
        integration: how τ becomes β: ``exact``, ``exp(-dt/τ)``, or ``euler``, ``1 - dt/τ`` (needs ``dt <= τ``).
        decay_input: scale the input by ``1 - β``. Default false.
        v_rest: where the membrane leaks to. Default 0.
        learn_beta: make β a parameter; it stays in (0, 1).
        learn_tau: make τ itself a parameter, in the unit of ``dt``, with ``β = exp(-dt/|τ|)``; needs ``tau`` and the
            exact integration. A learning rate then is a change of τ, not of the logit of β. Default false.
        graded_spikes_factor: γ, a number or one per neuron: the size of an emitted spike, in the layer's output and in
            its feedback. In the reset and the state a spike is 1. Default 1.
        learn_graded_spikes_factor: make γ a parameter.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or both ``beta`` and ``tau``.

    Source: Gerstner et al., Neuronal Dynamics, section 1.3. snnTorch's ``Leaky`` is ``convention=snntorch``;
    SpikingJelly's ``LIFNode`` is ``convention=spikingjelly`` with ``tau``, ``integration=euler``, ``decay_input=true``
    and ``v_rest = v_reset``; Norse's ``LIFBoxCell`` the same with ``convention=norse``.
    """

    beta: Value
    """β; a neuron that learns τ has none."""

    #: β if neither it nor τ is given.
    usual_beta = 0.95

    def __init__(
        self,
        beta: Numbers | None = None,
        *,
        tau: Numbers | None = None,
        dt: float = 1.0,
        integration: str = "exact",
        decay_input: bool = False,
        v_rest: float = 0.0,
        learn_beta: bool = False,
        learn_tau: bool = False,
        graded_spikes_factor: Numbers = 1.0,
        learn_graded_spikes_factor: bool = False,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        check_decay(dt, integration)
        decay = factor(("beta", "tau"), (beta, tau), self.usual_beta, dt, integration)
        self.dt = dt
        self.tau: Value | None = None
        if check.flag("learn_tau", learn_tau):
            self.tau = self._value("tau", check_learnable_tau(tau, integration, learn_beta), "real", learn=True)
        else:
            self.beta = self._value("beta", decay, "unit", learn=learn_beta)
        self.decay_input = check.flag("decay_input", decay_input)
        self.v_rest = check.number("v_rest", v_rest)
        learn = check.flag("learn_graded_spikes_factor", learn_graded_spikes_factor)
        # A plain 1 stays a number, also with per_neuron: then the output is the spikes themselves, without cost.
        plain = not learn and graded_spikes_factor == 1
        make = Value if plain else self._value
        self.graded_spikes_factor = make("graded_spikes_factor", graded_spikes_factor, "real", learn=learn)

    def decay(self) -> Tensor | float:
        """β, ``[]`` or ``[*N]``."""
        if self.tau is None:
            return self.beta()
        return decay_by(self.tau, self.dt)

    def linear(self) -> LinearUpdate:
        beta = self.decay()
        return LinearUpdate(
            decay=beta,
            gain=1 - beta if self.decay_input else 1.0,
            offset=(1 - beta) * self.v_rest if self.v_rest else 0.0,
        )

    def emit(self, spikes: Tensor) -> Tensor:
        factor = self.graded_spikes_factor()
        return spikes if isinstance(factor, float) and factor == 1 else factor * spikes
