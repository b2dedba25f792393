"""Warnings about gradients that vanish or explode on their way back through layers and time steps.

From the gradient of the last batch of an epoch, for each layer its norm and the share of its neurons without any:

======== ===========================================================================================================
kind      criterion
======== ===========================================================================================================
vanishes  more than half of a layer's neurons get no gradient at all, or the norm of the first layer is less than a
          thousandth of the last layer's
explodes  the norm of a layer is above 1,000 while ``clip_grad_norm`` is null, or that of the first layer is more than
          a thousand times the last layer's; not finite is found by ``on_nonfinite``
lost      in the last epoch, after 150 training steps or more, some output neurons were silent though the loss reads
          spikes: their classes are never the answer
======== ===========================================================================================================

A kind is worth a warning where it lasts for 150 training steps, or is there in the last epoch; gradients that explode
once per run, for the layer nearest to the input. Why a gradient explodes is mostly time: each step multiplies it by the
surrogate's derivative and by the path through the reset.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from snnrun.report.remedies import LESS, Remedy, advice, lower_threshold, put_back, value
from snnrun.training.records import EpochRecord

MOST_ZERO = 0.5
MOST_NORM = 1e3
MOST_RATIO = 1e3
LEAST_STEPS = 150  # before which an output neuron may still wake up

#: Losses that read the spikes of the output: a silent neuron is an answer that is never given.
_SPIKES_ARE_READ = ("CECount", "CERate", "MSECount", "MSERate")


def gradient_warnings(
    epochs: Sequence[EpochRecord], seen: set[tuple[str, str]], config: Mapping[str, Any], *, learns: bool = False
) -> list[str]:
    """The warnings that the last of ``epochs`` calls for, where the others show the same.

    Args:
        epochs: records of epochs; all of them must show what is warned of.
        seen: pairs (layer, kind) that were warned of already; is added to.
        config: of the run; only what it holds is advised to be changed.
        learns: the network learns all the same, or has nothing left to learn: its gradients are no reason to warn.
    """
    if not epochs or not all(record.gradients for record in epochs):
        return []
    found = [dict(_findings(record, config)) for record in epochs]
    texts = []
    for (layer, kind), what in found[-1].items():
        if (layer, kind) in seen or (learns and kind != "lost") or any((layer, kind) not in f for f in found):
            continue
        if kind == "explodes" and any(known == kind for _, known in seen):
            continue
        if kind != "explodes" and {(layer, each) for each in ("silent", "saturated", "vanishes")} & seen:
            continue  # one thing is wrong with the layer, and has been said
        seen.add((layer, kind))
        kinds = {known for _, known in seen}
        remedies = advice(_remedies(kind, config, kinds, deep=_hidden_layers(epochs[-1]) > 1), config, kinds)
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
        if norm > MOST_NORM and config.get("clip_grad_norm") is None:
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
    """Whether each output neuron stands for a class, whose answer is its spikes."""
    loss = str(value(config, "loss._target_")).rpartition(".")[2]
    return loss in _SPIKES_ARE_READ and value(config, "loss.population") == 1


def _hidden_layers(record: EpochRecord) -> int:
    """How many layers of neurons there are besides the output."""
    return len(record.layers or record.gradients or ()) - 1


def _remedies(kind: str, config: Mapping[str, Any], kinds: Collection[str], *, deep: bool) -> list[Remedy]:
    if far := put_back(config, kinds):
        return far
    fewer = [Remedy("", "fewer layers")] if deep else []
    wider = _surrogate(config)
    if kind == "lost":
        return [*wider, Remedy("", "readout=li loss=ce_membrane, which needs no spikes"), Remedy("", "more epochs")]
    if kind == "explodes":
        found: list[Remedy] = []
        if value(config, "neuron.detach_reset") is False:
            found.append(Remedy("", "neuron.detach_reset=true"))
        found += [*wider, *fewer]
        if config.get("clip_grad_norm") is None:
            found.append(Remedy("", "clip_grad_norm=1"))
        return [*found, Remedy("optimizer.lr", "a smaller optimizer.lr", LESS)]
    readout = [Remedy("neuron.activation", "readout=li loss=ce_membrane")] if config.get("readout") is None else []
    return [*readout, Remedy("model.norm", "model.norm=batch"), *wider, lower_threshold(config), *fewer]


def _surrogate(config: Mapping[str, Any]) -> list[Remedy]:
    """A derivative that is lower and reaches further: the arc tangent, or a wider one."""
    if str(value(config, "surrogate._target_")).rpartition(".")[2] != "ATan":
        return [Remedy("", "surrogate=atan, whose derivative is 0 nowhere")]
    alpha = value(config, "surrogate.alpha")
    if not isinstance(alpha, (int, float)):
        return []
    return [Remedy("", f"a wider surrogate (surrogate.alpha={alpha / 2:g})")]


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
