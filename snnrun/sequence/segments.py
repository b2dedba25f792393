"""Runs a layer over time in segments and stores only the state at the begin of each: less memory for more time.

Backwards, each segment runs again from its first state, and is differentiated by itself. With segments of √T steps the
memory would be the least, and grow as √T instead of T. The cost is a second forward pass, and products and sums of
gradients in pieces. So there are at most ``MOST`` segments, and hardly any smaller than ``SMALLEST``.
docs/performance.md has the times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence.arrays import like_steps
from snnrun.sequence.run import Trace, resolve_backend, run_resolved

#: Most segments: more of them hardly save memory, but every one has its own sum of the weights' gradient.
MOST = 6
#: Bytes of a segment's currents below which two segments are enough.
SMALLEST = 1 << 23


def trace_of(
    neuron: Neuron,
    x: Tensor,
    current: Callable[[Tensor], Tensor],
    parameters: Sequence[nn.Parameter],
    *,
    backend: str = "auto",
) -> Trace:
    """The trace of ``neuron`` for ``current(x)``, without membranes; neither they nor the current are stored.

    Args:
        neuron: without ``needs_all_steps``.
        x: ``[T, B, *M]``.
        current: maps some steps of ``x`` to the neuron's input, each step by itself.
        parameters: the learnable ones of ``current`` and ``neuron``.
        backend: see :func:`snnrun.sequence.run`.
    """
    output, fired = _Segments.apply(neuron, current, resolve_backend(neuron, backend), x, *parameters)
    return Trace(output, output.new_empty((0, *output.shape[1:])), fired)


def length_for(neuron: Neuron, x: Tensor) -> int:
    """The steps of a segment of ``x`` ``[T, B, *M]``."""
    steps, *others = x.shape
    size = steps * others[0] * math.prod(neuron.shape or others[1:]) * x.element_size()
    count = min(math.isqrt(max(steps - 1, 0)) + 1, MOST, max(2, size // SMALLEST))
    return -(-steps // count)


class _Segments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, neuron: Neuron, current: Any, backend: str, x: Tensor, *parameters: nn.Parameter
    ) -> tuple[Tensor, Tensor | None]:
        steps, length = x.shape[0], length_for(neuron, x)
        begins = range(0, steps, length)
        states: list[Tensor] = []
        random, output, state, fired = [], None, None, list[Tensor]()
        for begin in begins:
            random.append(_random_state(x.device))
            currents = current(x[begin : begin + length])
            state = neuron.initial_state(currents[0]) if state is None else state
            states.extend(state)
            trace, state = run_resolved(backend, neuron, currents, state, membrane=False)
            if output is None:
                output = like_steps(currents, steps)
            output[begin : begin + length] = trace.spikes
            fired += [] if trace.fired is None else [trace.fired]
            del currents, trace
        assert output is not None and state is not None
        ctx.save_for_backward(x, *states)
        ctx.run, ctx.parameters, ctx.begins, ctx.length = (neuron, current, backend), parameters, begins, length
        ctx.kind, ctx.random = type(state), random
        device = x.device.type
        ctx.autocast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        counts = torch.stack(fired).sum(0) if fired else None
        ctx.mark_non_differentiable(*([] if counts is None else [counts]))
        return output, counts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        x, *states = ctx.saved_tensors
        neuron, current, backend = ctx.run
        size = len(states) // len(ctx.begins)
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[3] else None
        grads: list[Tensor | None] = [None] * len(ctx.parameters)
        grad_state: tuple[Tensor | None, ...] = (None,) * size
        for i in reversed(range(len(ctx.begins))):
            begin, end = ctx.begins[i], ctx.begins[i] + ctx.length
            first = [_leaf(state) for state in states[i * size : (i + 1) * size]]
            piece = x[begin:end].detach().requires_grad_(grad_x is not None)
            with torch.enable_grad(), _as_before(x.device, ctx.random[i], ctx.autocast):
                trace, last = run_resolved(backend, neuron, current(piece), ctx.kind(*first), membrane=False)
            pairs = [(trace.spikes, grad[begin:end])]
            pairs += [(value, g) for value, g in zip(last, grad_state, strict=True) if g is not None]
            pairs = [(value, g) for value, g in pairs if value.requires_grad]
            if not pairs:  # nothing in this segment depends on anything
                grad_state = (None,) * size
                continue
            outputs, incoming = zip(*pairs, strict=True)
            leaves = [*(s for s in first if s.requires_grad), *ctx.parameters, *([piece] if grad_x is not None else [])]
            results = iter(torch.autograd.grad(outputs, leaves, incoming, allow_unused=True))
            grad_state = tuple(next(results) if state.requires_grad else None for state in first)
            rest = list(results)
            for j, more in enumerate(rest[: len(grads)]):
                if more is not None:
                    total = grads[j]
                    grads[j] = more if total is None else total.add_(more)
            if grad_x is not None and rest[-1] is not None:
                grad_x[begin:end] = rest[-1]
            del trace, last, pairs, outputs, incoming, leaves, results, rest
        return (None, None, None, grad_x, *grads)


def _leaf(state: Tensor) -> Tensor:
    return state.detach().requires_grad_(state.is_floating_point())  # not a counter of steps


def _random_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


class _as_before:
    """Context with torch's random state and autocast of the first run of the segment; restores both afterwards."""

    def __init__(self, device: torch.device, random: list[Tensor], autocast: tuple[str, torch.dtype, bool]) -> None:
        kind, dtype, enabled = autocast
        self._device, self._random = device, random
        self._fork = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        self._cast = torch.autocast(kind, dtype, enabled=enabled)

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.set_rng_state(self._random[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._random[1], self._device)
        self._cast.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._cast.__exit__(*error)
        self._fork.__exit__(*error)
