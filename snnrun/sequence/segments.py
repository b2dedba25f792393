"""Runs a chain of layers over time in segments, and stores only the states between them: less memory for more time.

Backwards, each segment runs again from its first states, and is differentiated by itself; the last one ran just before
and need not. With segments of √T steps the memory would be the least, and grow as √T instead of T. The cost is a second
forward pass, and products and sums of gradients in pieces. So there are at most ``MOST`` segments, and hardly any
smaller than ``SMALLEST``. docs/performance.md has the times.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnrun.neuron import Neuron
from snnrun.sequence.arrays import like_steps
from snnrun.sequence.run import run_resolved

#: Most segments: more of them hardly save memory, but every one has its own sum of the weights' gradient.
MOST = 6
#: Bytes of a segment's currents below which two segments are enough.
SMALLEST = 3 << 22


class Stage(NamedTuple):
    """A layer of a chain.

    Attributes:
        current: maps some steps of the layer's input to its neurons' input, each step by itself.
        neuron: without ``needs_all_steps``.
        backend: ``fused`` or ``reference``.
    """

    current: Callable[[Tensor], Tensor]
    neuron: Neuron
    backend: str


class Chain(NamedTuple):
    """Layers, each of which gets the spikes of the one before.

    Attributes:
        stages: the layers.
        after: maps some steps of the last layer's spikes to the output, each step by itself; None: they are the output.
        parameters: the learnable ones of all this.
    """

    stages: tuple[Stage, ...]
    after: Callable[[Tensor], Tensor] | None
    parameters: tuple[nn.Parameter, ...]


def run(chain: Chain, x: Tensor, steps: int) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The output of ``chain`` ``[T, B, *M]``, and the spike counts ``[B, *N]`` of every layer.

    A layer whose spikes are the output has counts only if its execution counts; a graded spike counts as one.

    Args:
        chain: the layers.
        x: the input of the first one, ``[T, B, *K]``, or ``[1, B, *K]`` for a constant one.
        steps: T.
    """
    output, *counts = _Segments.apply(chain, steps, x, *chain.parameters)
    return output, tuple(counts)


def bounds_for(neurons: Iterable[Neuron], x: Tensor, steps: int) -> list[int]:
    """Where the segments of ``steps`` steps of ``x`` ``[*, B, *M]`` begin, and where the last one ends."""
    numbers = sum(math.prod(neuron.shape or x.shape[2:]) for neuron in neurons)
    size = steps * x.shape[1] * numbers * x.element_size()
    count = min(math.isqrt(max(steps - 1, 0)) + 1, MOST, max(2, size // SMALLEST))
    return [steps * i // count for i in range(count + 1)]  # a longer one is the last, which need not run again


class _Pass(NamedTuple):
    """The results of a segment: output, last state and spike counts of every layer."""

    output: Tensor
    states: list[Any]
    counts: list[Tensor | None]


def _pass(chain: Chain, x: Tensor, states: Sequence[Any], steps: int) -> _Pass:
    last, counts = [], []
    for stage, state in zip(chain.stages, states, strict=True):
        trace, state = run_resolved(stage.backend, stage.neuron, stage.current(x), state, steps=steps, membrane=False)
        x = trace.spikes
        last.append(state)
        is_output = chain.after is None and stage is chain.stages[-1]
        counts.append((x.detach() != 0).sum(0) if trace.fired is None and not is_output else trace.fired)
    return _Pass(x if chain.after is None else chain.after(x), last, counts)


class _Graph(NamedTuple):
    """A segment with its autograd graph: input, parts of the first states, output, and parts of the last states."""

    x: Tensor
    first: list[Tensor]
    output: Tensor
    last: list[Tensor]


def _graph(chain: Chain, x: Tensor, states: Sequence[Any], steps: int, for_x: bool) -> tuple[_Graph, _Pass]:
    with torch.enable_grad():
        x = x.detach().requires_grad_(for_x)
        states = [None if state is None else type(state)(*map(_leaf, state)) for state in states]
        results = _pass(chain, x, states, steps)
    return _Graph(x, _parts(states), results.output, _parts(results.states)), results


def _leaf(state: Tensor) -> Tensor:
    return state.detach().requires_grad_(state.is_floating_point())  # not a counter of steps


def _parts(states: Sequence[Any]) -> list[Tensor]:
    return [part for state in states if state is not None for part in state]


class _Segments(torch.autograd.Function):
    X = 2  # index among the arguments

    @staticmethod
    def forward(ctx: Any, chain: Chain, steps: int, x: Tensor, *parameters: nn.Parameter) -> tuple[Tensor | None, ...]:
        bounds = bounds_for((stage.neuron for stage in chain.stages), x, steps)
        states: list[Any] = [None] * len(chain.stages)
        stored, random, output, counts = list[Tensor](), [], None, list[list[Tensor | None]]()
        for begin, end in itertools.pairwise(bounds):
            count = end - begin
            random.append(_random_state(x.device))
            stored += _parts(states)
            piece = _piece(x, begin, count, steps)
            if end == steps:
                ctx.graph, results = _graph(chain, piece, states, count, ctx.needs_input_grad[_Segments.X])
            else:
                results = _pass(chain, piece, states, count)
            if output is None:
                output = like_steps(results.output, steps)
            output[begin:end] = results.output.detach()
            states = results.states
            counts.append(results.counts)
            del results, piece
        assert output is not None
        ctx.save_for_backward(x, *stored)
        ctx.chain, ctx.steps, ctx.bounds, ctx.random = chain, steps, bounds, random
        ctx.kinds = [(type(state), len(state)) for state in states]
        device = x.device.type
        ctx.autocast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        sums = [None if None in each else torch.stack(each).sum(0) for each in zip(*counts, strict=True)]
        ctx.mark_non_differentiable(*(each for each in sums if each is not None))
        return output, *sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, *stored = ctx.saved_tensors
        chain, steps, size = ctx.chain, ctx.steps, sum(count for _, count in ctx.kinds)
        for_x = ctx.needs_input_grad[_Segments.X]
        grad_x = torch.zeros_like(x) if for_x else None
        grads: list[Tensor | None] = [None] * len(chain.parameters)
        incoming: list[Tensor | None] = [None] * size  # of the last states
        for i, (begin, end) in reversed(list(enumerate(itertools.pairwise(ctx.bounds)))):
            count = end - begin
            graph, ctx.graph = ctx.graph, None
            if graph is None:
                states = _states(ctx.kinds, stored[(i - 1) * size : i * size] if i else [])
                with _as_before(x.device, ctx.random[i], ctx.autocast):
                    graph, _ = _graph(chain, _piece(x, begin, count, steps), states, count, for_x)
            leaves = [*graph.first, *chain.parameters, *([graph.x] if for_x else [])]
            results = _gradients(graph, leaves, grad[begin:end], incoming)
            incoming = [*results[: len(graph.first)], *[None] * (size - len(graph.first))]
            for j, more in enumerate(results[len(graph.first) :][: len(grads)]):
                if more is not None:
                    total = grads[j]
                    grads[j] = more if total is None else total.add_(more)
            if grad_x is not None and (more := results[-1]) is not None:
                _piece(grad_x, begin, count, steps).add_(more)
            del graph, leaves, results
        return (*(None,) * _Segments.X, grad_x, *grads)


def _gradients(
    graph: _Graph, leaves: Sequence[Tensor], grad: Tensor, incoming: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradient of each leaf, for the gradients of the output and of the last states; None: it has none."""
    pairs = [(graph.output, grad), *zip(graph.last, incoming, strict=True)]
    pairs = [(value, g) for value, g in pairs if g is not None and value.requires_grad]
    places = [j for j, leaf in enumerate(leaves) if leaf.requires_grad]
    results: list[Tensor | None] = [None] * len(leaves)
    if pairs and places:
        outputs, gradients = zip(*pairs, strict=True)
        found = torch.autograd.grad(outputs, [leaves[j] for j in places], gradients, allow_unused=True)
        for j, each in zip(places, found, strict=True):
            results[j] = each
    return results


def _piece(x: Tensor, begin: int, count: int, steps: int) -> Tensor:
    """Some steps of ``x``, which has ``steps`` steps, or one for a constant input."""
    return x[begin : begin + count] if x.shape[0] == steps else x


def _states(kinds: Sequence[tuple[type, int]], parts: Sequence[Tensor]) -> list[Any]:
    """The states of all layers; None, as before the first step, if there are no parts."""
    if not parts:
        return [None] * len(kinds)
    rest = iter(parts)
    return [kind(*(next(rest) for _ in range(count))) for kind, count in kinds]


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
