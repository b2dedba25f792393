"""Warnings about layers that cannot learn: nearly all of their neurons never fire, or fire at every step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from snnrun.report.remedies import LESS, MORE, Remedy, advice, lower_threshold, more_steps, unusual_values
from snnrun.training.records import EpochRecord, LayerActivity

# Share of a layer's neurons above which a warning is due. A neuron may be silent because its features are rare;
# a neuron that fires at every step of every sample carries no information.
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
    """Returns the warnings for an epoch record. Each names the layer and the remedies.

    ``seen``: the pairs (layer, kind) that already had a warning, extended in place; each is reported once per run.
    ``config``: of the run; a remedy changes only keys that it has.
    ``before``: records of earlier epochs that must show the same. Many networks are silent at first and still learn.
    ``analogue``: layers whose neurons pass on real numbers; they may be nonzero at every step.
    ``silence_is_the_target``: the task asks for silent layers, so they cause no warning.
    ``kinds``: the kinds to report: "silent", "saturated"; default both.

    After a layer was saturated, no remedy makes neurons fire more; after one was silent, none makes them fire less.
    """
    problems = []
    for layer, activity in record.layers.items():
        history = [each.layers.get(layer) for each in before]
        for kind in _KINDS:
            if (kind == "silent" and silence_is_the_target) or (kind == "saturated" and layer in analogue):
                continue
            lasting = all(each is not None and _share(each, kind) > LIMITS[kind] for each in (*history, activity))
            if lasting and kind in kinds and (layer, kind) not in seen:
                seen.add((layer, kind))
                problems.append((layer, kind, _share(activity, kind)))
    # The remedies depend on all kinds of the run, which are complete only now.
    everything = {kind for _, kind in seen}
    return [
        _text(layer, kind, share, record.epoch, _remedies(kind, config, everything)) for layer, kind, share in problems
    ]


def _share(activity: LayerActivity, kind: str) -> float:
    return activity.silent if kind == "silent" else activity.saturated


def _text(layer: str, kind: str, share: float, epoch: int, helps: str) -> str:
    # One decimal: 90.2 % must not read "90 %", nor 99.9 % "100 %".
    neurons = "all" if share == 1 else f"{100 * share:.1f} %"
    return f"layer {layer!r}: {neurons} of its neurons {_KINDS[kind]} in epoch {epoch}. Try: {helps}."


def _remedies(kind: str, config: Mapping[str, Any], kinds: Collection[str]) -> str:
    """The most helpful first. Values far from the usual ones come alone."""
    if far := unusual_values(config, kinds):
        return advice(far, config, kinds)
    norm = Remedy("model.norm", "model.norm=batch")
    if kind == "saturated":
        remedies = [
            Remedy("neuron.threshold", "a higher neuron.threshold", LESS),
            Remedy("neuron.beta", "a faster leak (a smaller neuron.beta)", LESS),
            Remedy("encoder.gain", "a weaker input (encoder.gain)", LESS),
            norm,
            Remedy("optimizer.lr", "a smaller optimizer.lr", LESS),
            Remedy("", "regulariser=rate_bounds"),
        ]
    else:
        leak = "neuron.decay_input=false, where the input is scaled down by the leak"
        remedies = [
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
    return advice(remedies, config, kinds)
