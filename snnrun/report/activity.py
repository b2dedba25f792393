"""Warnings about layers that cannot learn: nearly all of their neurons never fire, or fire at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMIT = 0.9  # share of a layer's neurons above which it is worth a warning

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
            ("model.bias_init", "model.bias_init=uniform(0,1)"),
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
MOST_REMEDIES = 4


def activity_warnings(
    epoch_record: Mapping[str, Any],
    seen: set[tuple[str, str]],
    config: Mapping[str, Any],
    *,
    silence_is_the_target: bool = False,
) -> list[str]:
    """The warnings that an epoch record calls for, each naming the layer and the remedies.

    ``seen`` holds the pairs (layer, kind) that were warned of already and is added to: each is told once per run.
    ``config``: of the run; only what it holds is advised to be changed.
    ``silence_is_the_target``: silent layers are what the task asks for, and no reason to warn.
    """
    found = []
    for layer, activity in (epoch_record.get("layers") or {}).items():
        for kind, (what, remedies) in _KINDS.items():
            if kind == "silent" and silence_is_the_target:
                continue
            share = activity.get(kind)
            if share is not None and share > LIMIT and (layer, kind) not in seen:
                seen.add((layer, kind))
                # One decimal: 90.2 % must not read "90 %", nor 99.9 % "100 %".
                neurons = "all" if share == 1 else f"{100 * share:.1f} %"
                helps = "; ".join([words for key, words in remedies if _has(config, key)][:MOST_REMEDIES])
                epoch = epoch_record["epoch"]
                found.append(f"layer {layer!r}: {neurons} of its neurons {what} in epoch {epoch}. Try: {helps}.")
    return found


def _has(config: Mapping[str, Any], key: str) -> bool:
    group, _, name = key.partition(".")
    part = config.get(group)
    # A switch that is off already is no remedy.
    return not key or (isinstance(part, Mapping) and name in part and part[name] is not False)
