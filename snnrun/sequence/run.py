"""``run``: a neuron over a whole input sequence, with a chosen backend."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from snnrun import check
from snnrun.config.catalogue import name_of
from snnrun.errors import ArgumentError, Description
from snnrun.neuron import Neuron
from snnrun.neuron.base import check_state, check_tensor
from snnrun.sequence import fused, reference
from snnrun.sequence.delayed_feedback import DelayedFeedback
from snnrun.sequence.record.tracer import Feedback, Unfusable, check_repeatable

BACKENDS = ("auto", "reference", "fused")


class Trace(NamedTuple):
    """A layer over time: its spikes and the membranes that were compared with the threshold (before the reset)."""

    spikes: Tensor  # [T, B, *N], 0 or 1
    membrane: Tensor  # [T, B, *N]; [0, B, *N] if not requested
    fired: Tensor | None = None  # [B, *N], the spike count of each neuron, if the execution counts


def run(
    neuron: Neuron,
    x: Tensor,
    state: Any = None,
    *,
    steps: int | None = None,
    backend: str = "auto",
    membrane: bool = True,
) -> tuple[Trace, Any]:
    """Run ``neuron`` over ``x``, from ``state`` or its initial state.

    Args:
        neuron: any neuron.
        x: input of every step, ``[T, B, *N]``, T >= 1.
        state: of the neuron, or None.
        steps: repeat an input of one step, ``[1, B, *N]``, this many times; None: take ``x`` as it is.
        backend: ``reference``, the loop of ``step`` under autograd, for every neuron, differentiable twice;
            ``fused``, one pass over time with an adjoint derived from ``step``, for neurons whose step is elementwise,
            differentiable once; ``auto``, fused if possible.
        membrane: the trace shall hold the membranes; without them the fused execution needs less memory and time.

    Returns:
        The trace, and the state after the last step.

    Raises:
        ValueError: for an unknown backend, ``fused`` if the neuron has no fused execution, an input that is not a
            floating point tensor, has no steps, or a number of steps that is neither ``steps`` nor 1, and an invalid
            state.
    """
    check_tensor(x, "a sequence [T, B, *N]")
    backend = resolve_backend(neuron, backend)
    if state is not None:
        check_state(state)
        if backend == "fused":
            fused.check_first(neuron, state, x)
    return run_resolved(backend, neuron, x, state, steps=steps, membrane=membrane)


def run_resolved(
    backend: str,
    neuron: Neuron,
    x: Tensor,
    state: Any = None,
    *,
    steps: int | None = None,
    membrane: bool = True,
    feedback: Feedback | DelayedFeedback | None = None,
) -> tuple[Trace, Any]:
    """:func:`run` with the result of :func:`resolve_backend`.

    ``feedback``: the output returns as input with it, ``x[t] + W s[t-1] + b``; s is 0 before the first step. One with
    delays is for the reference execution alone.
    """
    if x.dim() < 2 or x.shape[0] < 1:
        raise ArgumentError("x", "a sequence [T, B, *N] of at least one step", Description(f"shape {list(x.shape)}"))
    count = x.shape[0] if steps is None else check.integer("steps", steps, low=1)
    if x.shape[0] not in (1, count):
        raise ArgumentError("x", f"1 or steps={count} steps", x.shape[0])
    if backend == "fused":
        assert not isinstance(feedback, DelayedFeedback)
        spikes, membranes, fired, state = fused.run(neuron, x, state, count, membrane=membrane, feedback=feedback)
        return Trace(spikes, membranes, fired), state
    state = neuron.initial_state(x[0]) if state is None else state
    spikes, membranes, state = reference.run(neuron, x.expand(count, *x.shape[1:]), state, feedback)
    return Trace(spikes, membranes if membrane else membranes[:0].detach()), state


def resolve_backend(
    neuron: Neuron, backend: str, feedback: Feedback | None = None, *, returns_later: bool = False
) -> str:
    """The execution, ``fused`` or ``reference``, that ``backend`` means for ``neuron``, with the feedback of its layer.

    ``returns_later``: the feedback has delays, see :class:`DelayedFeedback`.

    Raises:
        ValueError: for an unknown backend, or ``fused`` if the neuron, or its feedback, has no fused execution.
    """
    check.choice("backend", backend, BACKENDS)
    if backend == "reference" or (returns_later and backend == "auto"):
        return "reference"
    if returns_later:
        raise ArgumentError(
            "backend",
            "auto or reference, since fused execution keeps the spikes of one step, and recurrent delays need several",
            backend,
            advice="use backend=auto, or delays of the input alone",
        )
    try:
        check_repeatable(neuron, feedback)
    except Unfusable as reason:
        if backend == "auto":
            return "reference"
        name = name_of(neuron, "neuron")
        raise ArgumentError(
            "backend",
            f"auto or reference, since fused execution is for neurons whose step is elementwise, and that of {name} "
            f"has {reason}",
            backend,
            advice="use backend=auto or backend=reference",
        ) from None
    return "fused"
