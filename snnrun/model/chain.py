"""A chain of layers: each gets the spikes of the one before, or what the same pass computed from them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Generator, Tensor, nn

from snnrun.model.layer import Layer, Passed
from snnrun.sequence import Trace, segments
from snnrun.sequence.segments import Chain


def through(layers: nn.ModuleDict, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
    """The trace of every layer of a chain, for the input ``x`` ``[T, B, *N]`` of the first.

    A layer whose plan needs no spikes may have a trace without steps, which holds their counts.
    """
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
