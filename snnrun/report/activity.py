"""Warnings about layers that cannot learn: nearly all of their neurons never fire, or fire at every step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from snnrun.report.remedies import advice, learning_rate

# Share of a layer's neurons above which it is worth a warning. A neuron may be silent since its features are rare;
# one that fires at every step of every sample says nothing.
LIMITS = {"silent": 0.9, "saturated": 0.5}

# What helps, most helpful first, and the key of the config that it needs, if any.
_KINDS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "silent": (
        "never fired",
        (
            ("neuron.threshold", "a lower neuron.threshold, such as 0.3"),
            ("neuron.decay_input", "neuron.decay_input=false, where the input is scaled down by the leak"),
            ("neuron.beta", "a slower leak (a larger neuron.beta)"),
            ("encoder.gain", "a stronger input (encoder.gain)"),
            ("model.norm", "model.norm=batch"),
            ("model.bias_init", "'model.bias_init=\"uniform(0,1)\"'"),
            ("optimizer.lr", "more epochs, or a larger optimizer.lr"),
            ("surrogate.alpha", "a wider surrogate (surrogate=atan with a smaller alpha)"),
        ),
    ),
    "saturated": (
        "fired at every step",
        (
            ("neuron.threshold", "a higher neuron.threshold"),
            ("neuron.beta", "a faster leak (a smaller neuron.beta)"),
            ("encoder.gain", "a weaker input (encoder.gain)"),
            ("model.norm", "model.norm=batch"),
            ("optimizer.lr", "a smaller optimizer.lr"),
            ("", "regulariser=rate_bounds"),
        ),
    ),
}


def activity_warnings(
    epoch_record: Mapping[str, Any],
    seen: set[tuple[str, str]],
    config: Mapping[str, Any],
    *,
    silence_is_the_target: bool = False,
    before: Sequence[Mapping[str, Any]] = (),
    analogue: Collection[str] = (),
) -> list[str]:
    """The warnings that an epoch record calls for, each naming the layer and the remedies.

    ``seen`` holds the pairs (layer, kind) that were warned of already and is added to: each is told once per run.
    ``config``: of the run; only what it holds is advised to be changed.
    ``before``: records of earlier epochs, which must show the same: many a network is silent at first, and learns.
    ``analogue``: layers whose neurons pass on real numbers; that they are never 0 is no fault.
    ``silence_is_the_target``: silent layers are what the task asks for, and no reason to warn.
    """
    found = []
    off = learning_rate(config)
    for layer, activity in (epoch_record.get("layers") or {}).items():
        for kind, (what, remedies) in _KINDS.items():
            if (kind == "silent" and silence_is_the_target) or (kind == "saturated" and layer in analogue):
                continue
            shares = [((each.get("layers") or {}).get(layer) or {}).get(kind) for each in before]
            share = activity.get(kind)
            lasting = all(each is not None and each > LIMITS[kind] for each in (*shares, share))
            if lasting and (layer, kind) not in seen:
                seen.add((layer, kind))
                # One decimal: 90.2 % must not read "90 %", nor 99.9 % "100 %".
                neurons = "all" if share == 1 else f"{100 * share:.1f} %"
                helps = advice([*([off] if off else []), *remedies], config)
                epoch = epoch_record["epoch"]
                found.append(f"layer {layer!r}: {neurons} of its neurons {what} in epoch {epoch}. Try: {helps}.")
    return found
