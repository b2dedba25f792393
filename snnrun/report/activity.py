"""Warnings about layers that cannot learn: nearly all of their neurons never fire, or fire at every step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from snnrun.report.remedies import LESS, MORE, Remedy, advice, lower_threshold, more_steps, put_back
from snnrun.training.records import EpochRecord, LayerActivity

# Share of a layer's neurons above which it is worth a warning. A neuron may be silent since its features are rare;
# one that fires at every step of every sample says nothing.
LIMITS = {"silent": 0.9, "saturated": 0.5}

_KINDS = {"silent": "never fired", "saturated": "fired at every step"}


def activity_warnings(
    record: EpochRecord,
    seen: set[tuple[str, str]],
    config: Mapping[str, Any],
    *,
    silence_is_the_target: bool = False,
    before: Sequence[EpochRecord] = (),
    analogue: Collection[str] = (),
    kinds: Collection[str] = tuple(_KINDS),
) -> list[str]:
    """The warnings that an epoch record calls for, each naming the layer and the remedies.

    ``seen`` holds the pairs (layer, kind) that were warned of already and is added to: each is told once per run.
    ``config``: of the run; only what it holds is advised to be changed.
    ``before``: records of earlier epochs, which must show the same: many a network is silent at first, and learns.
    ``analogue``: layers whose neurons pass on real numbers; that they are never 0 is no fault.
    ``silence_is_the_target``: silent layers are what the task asks for, and no reason to warn.
    ``kinds``: of which is warned: "silent", "saturated"; default both.

    No remedy makes neurons fire more once a layer of the run was saturated, nor less once one was silent.
    """
    found = []
    for layer, activity in record.layers.items():
        history = [each.layers.get(layer) for each in before]
        for kind in _KINDS:
            if (kind == "silent" and silence_is_the_target) or (kind == "saturated" and layer in analogue):
                continue
            lasting = all(each is not None and _share(each, kind) > LIMITS[kind] for each in (*history, activity))
            if lasting and kind in kinds and (layer, kind) not in seen:
                seen.add((layer, kind))
                found.append((layer, kind, _share(activity, kind)))
    # Only now are all kinds known, which decide what may be offered.
    everything = {kind for _, kind in seen}
    return [
        _text(layer, kind, share, record.epoch, _remedies(kind, config, everything)) for layer, kind, share in found
    ]


def _share(activity: LayerActivity, kind: str) -> float:
    return activity.silent if kind == "silent" else activity.saturated


def _text(layer: str, kind: str, share: float, epoch: int, helps: str) -> str:
    # One decimal: 90.2 % must not read "90 %", nor 99.9 % "100 %".
    neurons = "all" if share == 1 else f"{100 * share:.1f} %"
    return f"layer {layer!r}: {neurons} of its neurons {_KINDS[kind]} in epoch {epoch}. Try: {helps}."


def _remedies(kind: str, config: Mapping[str, Any], kinds: Collection[str]) -> str:
    """What helps, most helpful first; what is far from its usual value alone."""
    if far := put_back(config, kinds):
        return advice(far, config, kinds)
    norm = Remedy("model.norm", "model.norm=batch")
    if kind == "saturated":
        found = [
            Remedy("neuron.threshold", "a higher neuron.threshold", LESS),
            Remedy("neuron.beta", "a faster leak (a smaller neuron.beta)", LESS),
            Remedy("encoder.gain", "a weaker input (encoder.gain)", LESS),
            norm,
            Remedy("optimizer.lr", "a smaller optimizer.lr", LESS),
            Remedy("", "regulariser=rate_bounds"),
        ]
    else:
        leak = "neuron.decay_input=false, where the input is scaled down by the leak"
        found = [
            *more_steps(config),
            lower_threshold(config),
            Remedy("neuron.decay_input", leak, MORE),
            Remedy("neuron.beta", "a slower leak (a larger neuron.beta)", MORE),
            Remedy("encoder.gain", "a stronger input (encoder.gain)", MORE),
            norm,
            Remedy("model.bias_init", "'model.bias_init=\"uniform(0,1)\"'", MORE),
            Remedy("optimizer.lr", "more epochs, or a larger optimizer.lr", MORE),
            Remedy("surrogate.alpha", "a wider surrogate (surrogate=atan with a smaller alpha)"),
            Remedy("", "more epochs"),
        ]
    return advice(found, config, kinds)
