"""``run``: a neuron over a whole input sequence, by the backend asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from snnrun import check
from snnrun.neuron import LinearNeuron, Neuron
from snnrun.sequence import fused, reference

BACKENDS = ("auto", "reference", "fused")


class Trace(NamedTuple):
    """What a layer did: its spikes and the membranes that were compared with the threshold (before the reset)."""

    spikes: Tensor  # [T, B, *N], 0 or 1
    membrane: Tensor  # [T, B, *N]


def run(neuron: Neuron, x: Tensor, state: Any = None, *, backend: str = "auto") -> tuple[Trace, Any]:
    """Run ``neuron`` over ``x``, from ``state`` or its initial state.

    Args:
        neuron: any neuron.
        x: input of every step, ``[T, B, *N]``, T >= 1.
        state: of the neuron, or None.
        backend: ``reference``, the loop of ``step`` under autograd, for every neuron, differentiable twice;
            ``fused``, one pass over time with the adjoint written out, for linear neurons, differentiable once;
            ``auto``, fused where there is one.

    Returns:
        The trace, and the state after the last step.

    Raises:
        ValueError: for an unknown backend, ``fused`` where there is none, or an input without steps.
    """
    execution = fused if resolve_backend(neuron, backend) == "fused" else reference
    if x.dim() < 2 or x.shape[0] < 1:
        raise ValueError(f"x: expected a sequence [T, B, *N] of at least one step, got shape {list(x.shape)}")
    state = neuron.initial_state(x[0]) if state is None else state
    spikes, membrane, state = execution.run(neuron, x, state)
    return Trace(spikes, membrane), state


def resolve_backend(neuron: Neuron, backend: str) -> str:
    """The execution, ``fused`` or ``reference``, that ``backend`` means for ``neuron``.

    Raises:
        ValueError: for an unknown backend, or ``fused`` where there is none. Models ask before there is any input.
    """
    check.choice("backend", backend, BACKENDS)
    if backend == "fused" and _is_linear(neuron) and not neuron.surrogate.is_step:
        name = type(neuron.surrogate).__name__
        raise ValueError(
            f"backend: fused execution knows spikes of 0 or 1 that are not drawn at random, and {name} makes others; "
            "use backend=auto or backend=reference"
        )
    if backend == "fused" and not _is_linear(neuron):
        raise ValueError(
            f"backend: fused execution is for linear neurons, on any device, and {type(neuron).__name__} is not one; "
            "use backend=auto or backend=reference"
        )
    fusible = _is_linear(neuron) and neuron.surrogate.is_step
    return "fused" if fusible and backend != "reference" else "reference"


def _is_linear(neuron: Neuron) -> bool:
    # A subclass that changes the step itself is no longer what `linear()` says.
    steps = ("step", "integrate", "advance", "start", "land", "fire", "after_reset")
    return isinstance(neuron, LinearNeuron) and all(
        getattr(type(neuron), name) is getattr(LinearNeuron, name) for name in steps
    )
