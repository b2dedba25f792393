"""Remedies for a network that does not learn. Only changes that the run's config has room for are offered."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

MOST = 4
FAR = 4.0  # factor between a threshold and the usual one from which it is far off
#: Learning rates of conf/optimizer, by the class of the optimizer.
LEARNING_RATES: Mapping[str, float] = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 1e-3, "Adamax": 2e-3}
#: Thresholds of conf/neuron that are not 1, by the class of the neuron.
THRESHOLDS: Mapping[str, float] = {"CubaLIF": 0.5, "GLIF": 0.5, "SLSTM": 0.1, "SConv2dLSTM": 0.1}
FEW_STEPS = 10  # fewer are too few for a rate
_RATE_CODES = ("Rate", "Poisson", "Population")

# The effect of a remedy on the number of spikes, and the effect that must not be offered for a kind of layer.
MORE, LESS, NEITHER = "more", "less", ""
_AGAINST: Mapping[str, str] = {"saturated": MORE, "silent": LESS}


class Remedy(NamedTuple):
    """A change of the config that may help.

    Attributes:
        key: the config key that it needs; empty: none.
        words: its text.
        spikes: the intended effect on firing: ``MORE``, ``LESS`` or ``NEITHER``.
    """

    key: str
    words: str
    spikes: str = NEITHER


def advice(remedies: Sequence[Remedy], config: Mapping[str, Any], kinds: Collection[str] = ()) -> str:
    """The first few remedies that apply to this config, most helpful first.

    ``kinds``: the kinds of the run's layers, "silent" or "saturated". Saturated neurons must not fire more, and silent
    ones not less; with both kinds only neutral remedies are offered.
    """
    against = {_AGAINST[kind] for kind in kinds if kind in _AGAINST}
    # Remedies that a shell would split are in quotes.
    able = [
        each.words
        for each in remedies
        if each.spikes not in against
        and has(config, each.key)
        and each.words.translate({39: None, 34: None}) != f"{each.key}={value(config, each.key)}"
    ]
    return "; ".join(able[:MOST])


def has(config: Mapping[str, Any], key: str) -> bool:
    """True if the config has ``group.name``, unless it is False: a switch that is off is no remedy."""
    group, _, name = key.partition(".")
    part = config.get(group)
    return not key or (isinstance(part, Mapping) and name in part and part[name] is not False)


def value(config: Mapping[str, Any], key: str) -> Any:
    """The value of ``group.name``, or None."""
    group, _, name = key.partition(".")
    part = config.get(group)
    return part.get(name) if isinstance(part, Mapping) else None


def unusual_values(config: Mapping[str, Any], kinds: Collection[str] = ()) -> list[Remedy]:
    """Remedies that set unusual values back to the usual ones; they come before all others.

    Unusual is a learning rate ten times larger or smaller than the optimizer's usual one, and a threshold four times.
    ``kinds`` as for :func:`advice`: a threshold that cannot be their cause is left out.
    """
    unusual = []
    lr, usual = _positive(config, "optimizer.lr"), LEARNING_RATES.get(class_name(config, "optimizer"))
    if lr is not None and usual is not None and not usual / 10 < lr < usual * 10:
        words = f"optimizer.lr={usual:g}, the usual one of this optimizer, where {lr:g} is set"
        unusual.append(Remedy("optimizer.lr", words))
    threshold, usual = _positive(config, "neuron.threshold"), usual_threshold(config)
    if threshold is not None and usual is not None and not usual / FAR < threshold < usual * FAR:
        words = f"neuron.threshold={usual:g}, the usual one of this neuron, where {threshold:g} is set"
        unusual.append(Remedy("neuron.threshold", words, MORE if threshold > usual else LESS))
    return [each for each in unusual if each.spikes not in {_AGAINST.get(kind) for kind in kinds}]


def usual_threshold(config: Mapping[str, Any]) -> float | None:
    """The default threshold of the config's neuron; None for a user's neuron or one that does not rest at 0."""
    known = str(value(config, "neuron._target_")).startswith("snnrun.neuron.")
    return THRESHOLDS.get(class_name(config, "neuron"), 1.0) if known and _rests_at_0(config) else None


def lower_threshold(config: Mapping[str, Any]) -> Remedy:
    """A third of the current threshold."""
    threshold = _positive(config, "neuron.threshold")
    such = "" if threshold is None or not _rests_at_0(config) else f", such as {0.3 * threshold:.2g}"
    return Remedy("neuron.threshold", f"a lower neuron.threshold{such}", MORE)


def more_steps(config: Mapping[str, Any]) -> list[Remedy]:
    """More time steps, if the encoder is a rate code and there are few steps."""
    steps = config.get("num_steps")
    few = isinstance(steps, int) and steps < FEW_STEPS and class_name(config, "encoder") in _RATE_CODES
    return [Remedy("", "more time steps (num_steps=25)")] if few else []


def _rests_at_0(config: Mapping[str, Any]) -> bool:
    return value(config, "neuron.v_rest") in (None, 0)


def class_name(config: Mapping[str, Any], group: str) -> str:
    return str(value(config, f"{group}._target_")).rpartition(".")[2]


def _positive(config: Mapping[str, Any], key: str) -> float | None:
    number = value(config, key)
    usable = isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number) and number > 0
    return float(number) if usable else None
