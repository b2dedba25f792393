"""Warnings about gradients that vanish or explode on their way back through layers and time steps.

The criteria use the gradient of an epoch's last batch: each layer's norm and its share of neurons without gradient.

======== ===========================================================================================================
kind      criterion
======== ===========================================================================================================
vanishes  more than half of a layer's neurons get no gradient at all, or the norm of the first layer is less than a
          thousandth of the last layer's
explodes  the norm of a layer is above 1,000 while ``clip_grad_norm`` and ``clip_grad_value`` are null, or the norm of
          the first layer is more than a thousand times the last layer's; ``on_nonfinite`` handles norms that are not
          finite
lost      in the last epoch, after 150 training steps or more, some output neurons were silent though the loss reads
          spikes: their classes are never predicted
======== ===========================================================================================================

A kind causes a warning if it lasts for 150 training steps or is there in the last epoch. Exploding gradients cause one
warning per run, for the layer nearest to the input. The usual cause is time: each step multiplies the gradient by the
surrogate's derivative and by the path through the reset.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from snnrun.report.remedies import LESS, Remedy, advice, class_name, lower_threshold, unusual_values, value
from snnrun.training.records import EpochRecord

MOST_ZERO = 0.5
MOST_NORM = 1e3
MOST_RATIO = 1e3
LEAST_STEPS = 150  # earlier, an output neuron may still start to fire

#: Losses that read the spikes of the output: the class of a silent neuron is never predicted.
_SPIKES_ARE_READ = ("CECount", "CERate", "MSECount", "MSERate")


def gradient_warnings(
    epochs: Sequence[EpochRecord], seen: set[tuple[str, str]], config: Mapping[str, Any], *, learns: bool = False
) -> list[str]:
    """Returns the warnings for the last of ``epochs``.

    Args:
        epochs: records of epochs; a warning needs the same finding in all of them.
        seen: pairs (layer, kind) that already had a warning; extended in place.
        config: of the run; a remedy changes only keys that it has.
        learns: the network learns all the same, or has nothing left to learn; then only "lost" causes a warning.
    """
    if not epochs or not all(record.gradients for record in epochs):
        return []
    findings = [dict(_findings(record, config)) for record in epochs]
    texts = []
    for (layer, kind), what in findings[-1].items():
        if (layer, kind) in seen or (learns and kind != "lost") or any((layer, kind) not in f for f in findings):
            continue
        if kind == "explodes" and any(reported == kind for _, reported in seen):
            continue
        if kind != "explodes" and {(layer, each) for each in ("silent", "saturated", "vanishes")} & seen:
            continue  # the layer already had a warning
        seen.add((layer, kind))
        kinds = {reported for _, reported in seen}
        deep = len(epochs[-1].layers or epochs[-1].gradients or ()) > 2  # two hidden layers or more
        remedies = advice(_remedies(kind, config, kinds, deep=deep), config, kinds)
        texts.append(f"layer {layer!r}: {what} in epoch {epochs[-1].epoch}. Try: {remedies}.")
    return texts


def _findings(record: EpochRecord, config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    gradients = record.gradients or {}
    names = list(gradients)
    norms = {name: _finite(gradient.norm) for name, gradient in gradients.items()}
    first, last = norms[names[0]], norms[names[-1]]
    for name in names:
        zero, norm = _finite(gradients[name].zero), norms[name]
        if zero > MOST_ZERO:
            share = "none" if zero == 1 else f"{100 * (1 - zero):.1f} %"
            yield (name, "vanishes"), f"the gradient vanishes: it reaches {share} of its neurons"
        if norm > MOST_NORM and not _clips(config):
            yield (name, "explodes"), f"the gradient explodes: its norm is {norm:.3g}"
    if first < last / MOST_RATIO:
        what = f"the gradient vanishes on its way to it: its norm is {first:.2g}, that of {names[-1]!r} {last:.2g}"
        yield (names[0], "vanishes"), what
    if last and first > last * MOST_RATIO:
        what = f"the gradient explodes on its way to it: its norm is {first:.2g}, that of {names[-1]!r} {last:.2g}"
        yield (names[0], "explodes"), what
    if record.epoch == config.get("epochs") and record.step >= LEAST_STEPS and _reads_spikes(config):
        activity = record.layers.get(names[-1])
        count = 0 if activity is None else activity.neurons or 0
        lost = 0 if activity is None else round(count * _finite(activity.silent))
        if lost:
            yield (names[-1], "lost"), f"{lost} of its {count} neurons never fired; their classes are never the answer"


def _reads_spikes(config: Mapping[str, Any]) -> bool:
    """True if the loss reads the spikes of one output neuron per class."""
    return class_name(config, "loss") in _SPIKES_ARE_READ and value(config, "loss.population") == 1


def _remedies(kind: str, config: Mapping[str, Any], kinds: Collection[str], *, deep: bool) -> list[Remedy]:
    if far := unusual_values(config, kinds):
        return far
    fewer = [Remedy("", "fewer layers")] if deep else []
    wider = _surrogate(config)
    if kind == "lost":
        return [*wider, Remedy("", "readout=li loss=ce_membrane, which needs no spikes"), Remedy("", "more epochs")]
    if kind == "explodes":
        remedies: list[Remedy] = []
        if value(config, "neuron.detach_reset") is False:
            remedies.append(Remedy("", "neuron.detach_reset=true"))
        remedies += [*wider, *fewer]
        if not _clips(config):
            remedies.append(Remedy("", "clip_grad_norm=1"))
        return [*remedies, Remedy("optimizer.lr", "a smaller optimizer.lr", LESS)]
    readout = [Remedy("neuron.activation", "readout=li loss=ce_membrane")] if config.get("readout") is None else []
    return [*readout, Remedy("model.norm", "model.norm=batch"), *wider, lower_threshold(config), *fewer]


def _surrogate(config: Mapping[str, Any]) -> list[Remedy]:
    """A lower and wider derivative: the arc tangent, or a wider arc tangent."""
    if class_name(config, "surrogate") != "ATan":
        return [Remedy("", "surrogate=atan, whose derivative is 0 nowhere")]
    alpha = value(config, "surrogate.alpha")
    if not isinstance(alpha, (int, float)):
        return []
    return [Remedy("", f"a wider surrogate (surrogate.alpha={alpha / 2:g})")]


def _clips(config: Mapping[str, Any]) -> bool:
    return config.get("clip_grad_norm") is not None or config.get("clip_grad_value") is not None


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
