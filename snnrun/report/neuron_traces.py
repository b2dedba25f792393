"""A neuron over time: its state, the gradient of a single step, and statistics of its spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnrun.neuron import Neuron, SequenceNeuron
from snnrun.sequence import Trace, run

Array = NDArray[Any]


class Traces(NamedTuple):
    """Input, state and output of a neuron; arrays ``[T, N]``, T first as everywhere."""

    dt: float
    input: Array  # float32
    spikes: Array  # float32, 0 or 1; the output of a neuron whose spikes are graded
    membrane: Array  # float32, the one that was compared with the threshold
    threshold: Array | None  # float32; None for a read-out that never fires
    states: dict[str, Array]  # the rest of the state: synaptic current, adaptation, ...
    gradients: dict[str, Array]  # of the sum of the spikes of a single step: [1, N]
    units: Mapping[str, str] = {}  # of "time", "input" and "membrane", if the neuron states them

    @property
    def time(self) -> Array:
        """The time of each step, ``[T]``, in the unit of dt."""
        return np.arange(len(self.input)) * self.dt

    @property
    def fired(self) -> Array:
        """True where there was a spike, ``[T, N]``."""
        return self.spikes != 0

    def arrays(self) -> dict[str, Any]:
        """All arrays by name, as in the saved file."""
        arrays: dict[str, Any] = {"time": self.time, "input": self.input, **self.states, "membrane": self.membrane}
        if self.threshold is not None:
            arrays["threshold"] = self.threshold
        binary = bool(np.isin(self.spikes, (0, 1)).all())
        return {**arrays, "spikes": self.spikes.astype(np.uint8) if binary else self.spikes, **self.gradients}


def record(neuron: Neuron, x: Tensor, dt: float = 1.0) -> Traces:
    """Drive ``neuron`` with ``x`` ``[T, 1, N]`` step by step; a single step also gives the gradients.

    A neuron that is defined over a whole sequence has no step, and gives spikes and membranes only.
    """
    gradients = {}
    with torch.no_grad():
        if isinstance(neuron, SequenceNeuron):
            trace = drive(neuron, x)
            fields = {"spikes": list(trace.spikes), "membrane": list(trace.membrane)}
        else:
            fields = _steps(neuron, x)
    if len(x) == 1 and not isinstance(neuron, SequenceNeuron):
        gradients = _gradients(neuron, x[0])
    stacked = {name: _array(torch.stack(values)) for name, values in fields.items()}
    spikes, membrane = stacked.pop("spikes"), stacked.pop("membrane")
    fixed = neuron.threshold()
    fixed = fixed.detach().float() if isinstance(fixed, Tensor) else torch.tensor(float(fixed))
    threshold = stacked.pop("threshold", None)
    if threshold is None and neuron.spiking and bool(fixed.isfinite().all()):
        threshold = np.broadcast_to(fixed.reshape(-1).numpy(), membrane.shape).copy()
    return Traces(dt, _array(x), spikes, membrane, threshold, stacked, gradients, neuron.units)


def drive(neuron: Neuron, x: Tensor) -> Trace:
    """Spikes and membranes of ``neuron`` for ``x`` ``[T, B, *N]``."""
    return run(neuron, x, backend="reference")[0]


def _steps(neuron: Neuron, x: Tensor) -> dict[str, list[Tensor]]:
    state = neuron.initial_state(x[0])
    fields: dict[str, list[Tensor]] = {}
    for x_t in x:
        spikes, state = neuron.step(x_t, state)
        for name, value in {**state._asdict(), "spikes": spikes}.items():
            if isinstance(value, Tensor) and value.shape == spikes.shape:
                fields.setdefault(name, []).append(value)
    return fields


def _gradients(neuron: Neuron, x: Tensor) -> dict[str, Array]:
    """Gradients of the sum of the first step's spikes with respect to the input and every state before it."""
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        start = neuron.initial_state(x.detach())
        before = {
            name: value.detach().clone().requires_grad_()
            for name, value in start._asdict().items()
            if isinstance(value, Tensor) and value.shape == x.shape and value.is_floating_point()
        }
        spikes, _ = neuron.step(x, start._replace(**before))
        if not spikes.requires_grad:
            return {}
        inputs = {"input": x, **before}
        grads = torch.autograd.grad(spikes.sum(), list(inputs.values()), allow_unused=True)
    return {
        f"{name}_gradient": _array((torch.zeros_like(x) if grad is None else grad)[None])
        for name, grad in zip(inputs, grads, strict=True)
    }


def _array(values: Tensor) -> Array:
    """``[T, 1, N]`` to ``[T, N]``."""
    return values.detach().float()[:, 0].reshape(len(values), -1).numpy()


def statistics(traces: Traces) -> dict[str, Any]:
    """Spike count, rates, first spike, and the intervals between the spikes of each neuron, over all neurons.

    Times are in the unit of dt. ``rate``: spikes per neuron and unit of dt; ``firing_rate``: per neuron and step.
    ``interval_cv`` is the standard deviation of the intervals over their mean: 0 for a clock, 1 for a Poisson process.
    A value that does not exist, such as an interval of one spike, is None.
    """
    fired = traces.fired
    steps, count = fired.shape
    counts = fired.sum(axis=0)
    when, _ = np.nonzero(fired)
    # Neuron by neuron, so that no interval spans two neurons.
    which, ordered = np.nonzero(fired.T)
    gaps = np.diff(ordered)[np.diff(which) == 0] * traces.dt
    mean = float(gaps.mean()) if gaps.size else None
    return {
        "spikes": int(counts.sum()),
        "silent_neurons": int((counts == 0).sum()),
        "rate": float(counts.sum() / (count * steps * traces.dt)),
        "firing_rate": float(counts.sum() / (count * steps)),
        "first_spike": float(when.min() * traces.dt) if when.size else None,
        "interval_mean": mean,
        "interval_cv": float(gaps.std() / mean) if gaps.size > 1 and mean else None,
        "spike_counts": [int(number) for number in counts[:1000]],
    }
