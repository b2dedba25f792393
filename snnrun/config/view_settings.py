"""The top-level keys of ``conf/simulate.yaml`` and ``conf/plot.yaml``, checked. Plain Python, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from snnrun import check
from snnrun.config.settings import (
    SEED,
    STYLE_CHECKS,
    Check,
    Style,
    folder,
    one_of,
    optional,
    read_keys,
    run_name,
    whole,
)
from snnrun.errors import ArgumentError, Description, Fault

SUBJECTS = ("surrogate", "encoder", "neuron")


@dataclass(frozen=True)
class SimulateSettings:
    """What ``snnrun simulate`` takes besides the parts; ``conf/simulate.yaml`` says what each is for."""

    seed: int
    num_steps: int | None
    num_neurons: int
    name: str | None
    output_dir: str
    style: Style


@dataclass(frozen=True)
class PlotSettings:
    """What ``snnrun plot`` takes besides the parts; ``conf/plot.yaml`` says what each is for."""

    subject: str
    seed: int
    num_steps: int | None
    sample: int
    limit: float | None
    format: str | None
    data_dir: str
    name: str | None
    output_dir: str
    style: Style


SIMULATE_KEYS = tuple(field.name for field in fields(SimulateSettings))
PLOT_KEYS = tuple(field.name for field in fields(PlotSettings))


def read_simulate(config: Mapping[str, Any]) -> tuple[SimulateSettings | None, list[Fault]]:
    """The settings, or None and what is wrong with them."""
    values, faults = read_keys(config, _SIMULATE, {"style": STYLE_CHECKS})
    return (None, faults) if faults else (SimulateSettings(**{**values, "style": Style(**values["style"])}), [])


def read_plot(config: Mapping[str, Any]) -> tuple[PlotSettings | None, list[Fault]]:
    """The settings, or None and what is wrong with them."""
    values, faults = read_keys(config, _PLOT, {"style": STYLE_CHECKS})
    if not faults and values["format"] == "gif" and values["subject"] != "encoder":
        advice = f"only an encoder has an animation, not a {values['subject']}"
        faults.append(Fault.of(ArgumentError("format", "null", "gif", advice=advice)))
    return (None, faults) if faults else (PlotSettings(**{**values, "style": Style(**values["style"])}), [])


def _subject(name: str, value: Any) -> str:
    if value is None:
        raise ArgumentError(
            name, "a surrogate, an encoder or a neuron to draw, as in `snnrun plot neuron=lif`", Description("nothing")
        )
    return check.choice(name, value, SUBJECTS)


# A million steps, or neurons: more is a mistake, and would only end without memory.
_SIMULATE: Mapping[str, Check] = {
    "seed": SEED,
    "num_steps": optional(whole(1, 1_000_000)),
    "num_neurons": whole(1, 1_000_000),
    "name": optional(run_name),
    "output_dir": folder,
}
_PLOT: Mapping[str, Check] = {
    "subject": _subject,
    "seed": SEED,
    "num_steps": optional(whole(1, 1_000_000)),
    "sample": whole(0),
    "limit": optional(lambda name, value: check.number(name, value, above=0)),
    "format": optional(one_of("gif")),
    "data_dir": folder,
    "name": optional(run_name),
    "output_dir": folder,
}
