"""Warnings about layers that cannot learn: nearly all of their neurons never fire, or fire at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMIT = 0.9  # share of a layer's neurons above which it is worth a warning

_KINDS = {
    "silent": (
        "never fired",
        "lower neuron.threshold or raise the input (encoder.gain); leak more slowly (a larger neuron.beta or "
        "neuron.tau); start from model.bias_init=uniform(0,1), or take a wider surrogate (surrogate=atan with a "
        "smaller alpha)",
    ),
    "saturated": (
        "fired at every step",
        "raise neuron.threshold; leak faster (a smaller neuron.beta or neuron.tau); "
        "weaken the input (encoder.gain) or lower the learning rate (optimizer.lr)",
    ),
}


def activity_warnings(
    epoch_record: Mapping[str, Any], seen: set[tuple[str, str]], *, silence_is_the_target: bool = False
) -> list[str]:
    """The warnings that an epoch record calls for, each naming the layer and the remedies.

    ``seen`` holds the pairs (layer, kind) that were warned of already and is added to: each is told once per run.
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
                epoch = epoch_record["epoch"]
                found.append(f"layer {layer!r}: {neurons} of its neurons {what} in epoch {epoch}. Try: {remedies}.")
    return found
