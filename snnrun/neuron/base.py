"""The interface of a neuron: parameters in, ``step(x, state) -> (spikes, state)``, no hidden state.

The libraries of the field disagree on four points; they are options of every neuron that resets, never constants:

================ ========================= =========================================================================
``fires_at``     ``">"``, ``">="``         whether a membrane exactly at the threshold fires
``reset``        ``subtract, zero, none``  a spike takes the threshold off the membrane, sets it to ``v_reset``, or not
``reset_timing`` ``same``, ``delayed``     the reset comes right after its spike, or lands after the next step's leak
``detach_reset`` ``true``, ``false``       whether the gradient ignores the path through the reset
================ ========================= =========================================================================
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypedDict

import torch
from torch import Tensor, nn

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.neuron.distribution import Distribution, Numbers
from snnrun.neuron.value import Range, Value
from snnrun.surrogate import ATan, Surrogate


class State(NamedTuple):
    """The state between two steps: the last spike and the membrane that caused it.

    The membrane is the one that was compared with the threshold, before the reset; so a record of states is a record of
    membranes, and the next step applies the reset, a function of these two.
    """

    membrane: Tensor  # [B, *N]
    spikes: Tensor  # [B, *N], 0 or 1


class LinearUpdate(NamedTuple):
    """One step of a membrane that is linear between spikes: ``u = decay * v + gain * x + offset``.

    Each is a number or a tensor of shape ``[]`` or ``[*N]``.
    """

    decay: Tensor | float
    gain: Tensor | float = 1.0
    offset: Tensor | float = 0.0


class OtherOptions(TypedDict, total=False):
    """The options of every neuron without ``threshold``, for a neuron with another default threshold."""

    surrogate: Surrogate | None
    fires_at: str
    reset: str
    v_reset: float
    v_init: float | None
    reset_timing: str
    detach_reset: bool
    learn_threshold: bool
    per_neuron: bool
    shape: Sequence[int] | None


class NeuronOptions(OtherOptions, total=False):
    """The ``**options`` that a neuron passes to :class:`Neuron`; see there."""

    threshold: Numbers


def check_tensor(x: object, expected: str) -> None:
    """Raise ArgumentError unless ``x`` is a floating point tensor; ``expected``: its description."""
    if isinstance(x, Tensor):
        if not x.is_floating_point():
            advice = "" if x.is_complex() else "use x.float()"
            raise ArgumentError("x", "floating point numbers", Description(str(x.dtype)), advice=advice)
        return
    # A symbol, which replaces a tensor while a step is recorded, is allowed too.
    if hasattr(type(x), "__torch_function__"):
        return
    advice = "use torch.tensor(x)" if isinstance(x, (list, tuple)) else ""
    advice = "use torch.from_numpy(x)" if type(x).__module__ == "numpy" else advice
    raise ArgumentError("x", f"{expected} as a tensor", Description(type(x).__name__), advice=advice)


def check_state(state: object) -> None:
    """Raise ValueError unless ``state`` is the state of a neuron."""
    if not isinstance(state, tuple):
        got = None if state is None else Description(type(state).__name__)
        raise ArgumentError(
            "state",
            "the state of the step before",
            got,
            advice="begin with neuron.initial_state(x), or call neuron(x) for a whole sequence [T, B, *N]",
        )


def _with_checks(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` with an error message for a call without a tensor or without a state."""

    @functools.wraps(step)
    def checked_step(self: Neuron, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        check_tensor(x, "the input of a single step [B, *N]")
        check_state(state)
        return step(self, x, state)

    return checked_step


class Neuron(nn.Module):
    """Base of all neurons: a threshold, a surrogate and the four conventions.

    Called, a neuron runs over a whole sequence, from its initial state: ``LIF()(x)`` gives the spikes ``[T, B, *N]``
    for the input ``x`` ``[T, B, *N]``. :func:`snnrun.sequence.run` gives membranes and the last state too, and ``step``
    is a single time step.

    Where an argument is a number or one per neuron, it may also be the text of a distribution, ``uniform(low,high)``,
    ``log_uniform(low,high)`` or ``normal(mean,sd)``, and so may a time constant. Each neuron of the layer then has a
    value of its own, drawn from torch's default generator when the neuron is made; in a run this is the stream of the
    initial weights. A draw outside the range of the argument is drawn again.

    Args:
        threshold: θ, in the unit of the membrane; positive, a number or one per neuron. Default 1.
        surrogate: gradient of the step function. Default ``ATan()``.
        fires_at: ``>`` (default) or ``>=``: whether a membrane exactly at the threshold fires.
        reset: a spike subtracts the threshold from the membrane (``subtract``, default), sets it to ``v_reset``
            (``zero``), or does not change it (``none``).
        reset_timing: the reset comes right after its spike (``same``, default), or after the next step's leak
            (``delayed``).
        detach_reset: whether the gradient ignores the path through the reset. Default true.
        v_reset: membrane after a ``zero`` reset. Default 0.
        v_init: membrane before the first step. Default null: ``v_rest``, or 0 for a neuron without leak.
        learn_threshold: make the threshold a parameter; it stays positive.
        per_neuron: each neuron of the layer has its own copy of every scalar parameter.
        shape: ``*N`` of the layer; needed for ``per_neuron``, distributions and recurrent weights. Models pass it.

    Raises:
        ValueError: for an argument out of range, naming it.
    """

    #: False for a read-out that never fires; its output is its membrane.
    spiking = True
    #: Of ``time``, ``input`` and ``membrane``, for the axes of figures; default: arbitrary units.
    units: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: The rest of the leak, and the start; 0 for a neuron without leak.
    v_rest = 0.0
    #: True for a neuron that passes on real numbers.
    analogue = False
    #: True for a neuron that needs whole sequences and has no ``step``.
    needs_all_steps = False

    def __init__(
        self,
        *,
        threshold: Numbers = 1.0,
        surrogate: Surrogate | None = None,
        fires_at: str = ">",
        reset: str = "subtract",
        v_reset: float = 0.0,
        v_init: float | None = None,
        reset_timing: str = "same",
        detach_reset: bool = True,
        learn_threshold: bool = False,
        per_neuron: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if check.flag("per_neuron", per_neuron) and shape is None:
            raise ArgumentError("per_neuron", "the shape of the layer with it", Description("shape=None"))
        if surrogate is not None and not isinstance(surrogate, Surrogate):
            raise ArgumentError("surrogate", "a surrogate such as ATan()", surrogate)
        self.surrogate: Surrogate = ATan() if surrogate is None else surrogate
        self.inclusive = check.choice("fires_at", fires_at, (">", ">=")) == ">="
        self.reset = check.choice("reset", reset, ("subtract", "zero", "none"))
        self.delayed = check.choice("reset_timing", reset_timing, ("same", "delayed")) == "delayed"
        self.detach_reset = check.flag("detach_reset", detach_reset)
        self.v_reset = check.number("v_reset", v_reset)
        self.v_init = None if v_init is None else check.number("v_init", v_init)
        # A list of values needs no per_neuron; its length must fit the layer's shape.
        self._shape = tuple(shape) if shape is not None else None
        self._per_neuron = per_neuron
        self.threshold = self._value("threshold", threshold, "positive", learn=learn_threshold)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = _with_checks(cls.__dict__["step"])  # type: ignore[method-assign]

    def forward(self, x: Tensor, state: None = None) -> Tensor:
        """The output of all steps, ``[T, B, *N]``, for ``x`` ``[T, B, *N]``, from the initial state.

        The output is the spikes, or the membranes of a read-out that never fires.

        Raises:
            ValueError: for an input that is not a tensor of floating point numbers with these axes, or a state.
        """
        from snnrun.sequence.run import run  # above this package; the one call upwards

        check_tensor(x, "a sequence [T, B, *N]")
        if state is not None:
            raise ArgumentError(
                "state",
                "none, since a neuron that is called runs a whole sequence from its initial state",
                Description(type(state).__name__),
                advice="use step(x, state) for a single step, or snnrun.sequence.run(neuron, x, state) to go on from a "
                "state",
            )
        if x.dim() < 3:
            raise ArgumentError(
                "x",
                "a sequence [T, B, *N] of at least three axes",
                Description(f"shape {list(x.shape)}"),
                advice="use step(x, state) for a single step [B, *N], and x[:, None] for a sequence without a batch",
            )
        trace, _ = run(self, x, membrane=not self.spiking)
        return trace.spikes if self.spiking else trace.membrane

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One time step: input ``[B, *N]`` and state in, spikes ``[B, *N]`` and state out.

        A neuron with more state than a membrane overrides this, with ``advance`` for the membrane's part.
        """
        u = self.advance(state, lambda v: self.integrate(v, x))
        spikes = self.fire(u)
        return self.emit(spikes), State(u, spikes)

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        """The next membrane, from the membrane ``v`` and the input ``x``, ``[B, *N]``, without firing or resetting."""
        raise NotImplementedError(f"{type(self).__name__} must define integrate(v, x), or step(x, state)")

    def advance(self, state: Any, integrate: Callable[[Tensor], Tensor]) -> Tensor:
        """The new membrane: the last spike's reset and ``integrate``, in the order of ``reset_timing``.

        ::

            same:     u[t] = integrate(after_reset(u[t-1], s[t-1]))
            delayed:  u[t] = after_reset(integrate(u[t-1]), s[t-1])
        """
        return self.land(integrate(self.start(state)), state)

    def start(self, state: Any) -> Tensor:
        """The membrane at the start of a step; a delayed reset comes later."""
        return state.membrane if self.delayed else self.after_reset(state.membrane, state.spikes)

    def land(self, membrane: Tensor, state: Any) -> Tensor:
        """The integrated membrane, less the reset of the last spike if that is delayed."""
        return self.after_reset(membrane, state.spikes) if self.delayed else membrane

    def initial_state(self, x: Tensor) -> State:
        """The state before the first step, without a spike, like one step of input ``x`` ``[B, *N]``."""
        return State(self.initial_membrane(x), torch.zeros_like(x))

    @property
    def shape(self) -> tuple[int, ...] | None:
        """``*N`` of the layer, if given."""
        return self._shape

    def initial_membrane(self, x: Tensor) -> Tensor:
        """The membrane before the first step, ``v_init`` or else ``v_rest``, like ``x`` ``[B, *N]``."""
        return torch.zeros_like(x) + (self.v_rest if self.v_init is None else self.v_init)

    def fire(self, membrane: Tensor) -> Tensor:
        """``s = H(u - θ)``: 1 if the membrane passes the threshold, else 0; backwards the surrogate."""
        return self.surrogate(membrane - self.threshold(), inclusive=self.inclusive)

    def emit(self, spikes: Tensor) -> Tensor:
        """The output of the neurons for their ``spikes``, ``[B, *N]``: the spikes themselves."""
        return spikes

    def after_reset(self, membrane: Tensor, spikes: Tensor) -> Tensor:
        """``v``: the membrane ``u`` after the reset.

        ``subtract``: ``u - θ s``; ``zero``: ``(1 - s) u + v_reset s``, several spikes counting as one; ``none``: ``u``.
        """
        s = spikes.detach() if self.detach_reset else spikes
        if self.reset == "subtract":
            return membrane - s * self.threshold()
        if self.reset == "zero":
            s = self.at_most_one(s)
            return (1 - s) * membrane + s * self.v_reset
        return membrane

    def at_most_one(self, spikes: Tensor) -> Tensor:
        """1 for one or more spikes, for effects that happen once per step even with a graded surrogate."""
        return spikes if self.surrogate.is_step else torch.clamp(spikes, max=1)

    def learnable_values(self) -> dict[str, Tensor]:
        """The value of each learnable parameter, by the name of its option: β itself, not its logit.

        ``[]`` if the layer shares one, else ``[*N]``. Weights of synapses inside the neuron (a recurrence, the gates of
        an LSTM) are left out.
        """
        values = {value.name: value() for value in self.modules() if isinstance(value, Value) and value.learn}
        own = {name: parameter for name, parameter in self.named_parameters(recurse=False) if parameter.requires_grad}
        return {name: torch.as_tensor(value).detach() for name, value in {**values, **own}.items()}

    def _value(self, name: str, value: Numbers, interval: str | Range, *, learn: bool = False) -> Value:
        # Text, a distribution, is a sequence too.
        spread = self._shape if self._per_neuron or isinstance(value, (Sequence, Distribution)) else None
        return Value(name, value, interval, learn=learn, shape=spread)

    def extra_repr(self) -> str:
        timing = "delayed" if self.delayed else "same"
        return (
            f"surrogate={self.surrogate}, fires_at={'>=' if self.inclusive else '>'}, reset={self.reset}, "
            f"v_reset={self.v_reset:g}, reset_timing={timing}, detach_reset={self.detach_reset}"
        )


class LinearNeuron(Neuron):
    """A neuron whose membrane is linear between spikes. A subclass states ``linear()``; the rest is here."""

    #: With a delayed ``zero`` reset: True if the step in which it lands also loses its input.
    reset_drops_input = False

    def linear(self) -> LinearUpdate:
        """The membrane's equation as data; differentiable in the neuron's learnable parameters."""
        raise NotImplementedError(f"{type(self).__name__} must define linear()")

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        decay, gain, offset = self.linear()
        return decay * v + (gain * x + offset)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not (self.delayed and self.reset == "zero") or self.reset_drops_input:
            return super().step(x, state)
        decay, gain, offset = self.linear()
        u = self.after_reset(decay * self.start(state), state.spikes) + (gain * x + offset)
        spikes = self.fire(u)
        return self.emit(spikes), State(u, spikes)
