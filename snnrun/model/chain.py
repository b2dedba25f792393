"""A chain of layers: each gets the spikes of the one before, or what the same pass computed from them.

Skips pass on the spikes of earlier layers too::

    none      x[l+1] = s[l]               s[l]: the spikes of layer l
    add       x[l+1] = s[l] + x[l]        x[2] = s[1]: the input of the network is not added
    concat    x[l+1] = [s[1], ..., s[l]]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.model.layer import Layer, Passed
from snnrun.sequence import Trace, segments
from snnrun.sequence.segments import Chain

SKIPS = ("none", "add", "concat")


def input_sizes(inputs: int, hidden: Sequence[int], skips: str) -> list[int]:
    """The number of inputs of each layer of a chain, the one after the ``hidden`` layers included.

    Raises:
        ValueError: for unknown ``skips``, or ``add`` and layers of unequal size.
    """
    check.choice("skips", skips, SKIPS)
    if skips == "add" and len(set(hidden)) > 1:
        expected = "layers of equal size, since skips=add adds their spikes"
        raise ArgumentError("hidden", expected, list(hidden), advice="use equal sizes, or skips=concat")
    return [inputs, *(itertools.accumulate(hidden) if skips == "concat" else hidden)]


def through(
    layers: nn.ModuleDict, x: Tensor, generator: Generator | None = None, skips: str = "none"
) -> dict[str, Trace]:
    """The trace of every layer of a chain, for the input ``x`` ``[T, B, *N]`` of the first.

    A layer whose plan needs no spikes may have a trace without steps, which holds their counts.
    """
    return _without_skips(layers, x, generator) if skips == "none" else _with_skips(layers, x, generator, skips)


def _with_skips(layers: nn.ModuleDict, x: Tensor, generator: Generator | None, skips: str) -> dict[str, Trace]:
    traces: dict[str, Trace] = {}
    for name, layer in layers.items():
        traces[name] = trace = layer(x, generator)
        if len(traces) == 1:
            x = trace.spikes
        elif len(traces) < len(layers):
            x = trace.spikes + x if skips == "add" else torch.cat((x, trace.spikes), dim=2)
    return traces


def _without_skips(layers: nn.ModuleDict, x: Tensor, generator: Generator | None) -> dict[str, Trace]:
    traces: list[Trace] = []
    chain: list[Layer] = list(layers.values())  # type: ignore[arg-type]
    passed, steps = Passed(Trace(x, x[:0])), x.shape[0]
    while rest := chain[len(traces) :]:
        layer, *others = rest
        if passed.current is not None:
            passed = Passed(layer.fire(passed.current, steps))
        elif layer.trains_low:
            joint = [layer, *itertools.takewhile(lambda each: each.joins_segments, others)]
            passed, earlier = _in_segments(joint, others[len(joint) - 1 :], passed, generator)
            traces += earlier
        else:
            x, pooled = passed.entry()
            passed = layer.into(x, generator, others[0] if others else None, pooled=pooled)
        traces.append(passed.trace)
    return dict(zip(layers, traces, strict=True))


def _in_segments(
    layers: Sequence[Layer], others: Sequence[Layer], passed: Passed, generator: Generator | None
) -> tuple[Passed, list[Trace]]:
    """The result of the last of ``layers``, which train with ``memory=low``, and the traces of those before.

    All but the first have ``joins_segments``; then none of them records spikes. The synapses of the first of
    ``others``, the layers that follow, are computed with them if they can be.
    """
    first, *joint = layers
    x, pooled = passed.entry()
    steps, (x, begin) = x.shape[0], first.enter(x, generator, pooled=pooled)
    stages = (begin, *(layer.stage(generator) for layer in joint))
    following = [each for each in others[:1] if each.takes_steps and not first.plan.spikes]
    after = following[0].stage(generator).current if following else None
    parameters = dict.fromkeys(p for layer in (*layers, *following) for p in layer.parameters() if p.requires_grad)
    output, counts = segments.run(Chain(stages, after, tuple(parameters)), x, steps)
    traces = []
    for fired in counts[:-1] if after is None else counts:
        assert fired is not None
        nothing = output.new_empty((0, *fired.shape))
        traces.append(Trace(nothing, nothing, fired))
    if after is not None:
        *earlier, last = traces
        return Passed(last, current=output), earlier
    return Passed(Trace(output, output.new_empty((0, *output.shape[1:])), counts[-1])), traces
