"""The settings of a run that belong to no part: the top-level keys of ``conf/config.yaml``, checked.

Plain Python: neither torch nor Hydra, so that a frozen config can be read by anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from snnrun import check
from snnrun.errors import ConfigError

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class Report:
    """What a run draws, prints and logs."""

    figures: bool
    summary: bool
    progress: bool
    log_every: int  # training steps between two step records


@dataclass(frozen=True)
class Settings:
    """The top-level keys; ``conf/config.yaml`` says what each is for."""

    seed: int
    device: str  # auto, cpu, cuda or cuda:N
    precision: str  # fp32 or bf16
    deterministic: bool
    backend: str  # auto, reference or fused
    num_steps: int
    epochs: int
    batch_size: int
    data_dir: str
    output_dir: str
    on_nonfinite: str  # stop or warn
    clip_grad_norm: float | None
    early_stopping: int | None  # epochs without improvement of the validation loss
    report: Report

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """The settings in a resolved config; its other keys are parts, and ignored here.

        Raises:
            ConfigError: with one line for each fault, of all the faults there are.
        """
        settings, faults = read(config)
        if settings is None:
            raise ConfigError("\n".join(faults))
        return settings


def read(config: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """The settings, or None and what is wrong with them, a line for each fault."""
    faults: list[str] = []
    values = _checked(config, _CHECKS, "", faults)
    report = config.get("report")
    if isinstance(report, Mapping):
        values["report"] = _checked(report, _REPORT_CHECKS, "report.", faults)
        faults += [
            f"report.{key}: there is no such key; there are {', '.join(_REPORT_CHECKS)}"
            for key in report
            if key not in _REPORT_CHECKS
        ]
    else:
        faults.append(f"report: expected the keys {', '.join(_REPORT_CHECKS)}, got {report!r}")
    if faults:
        return None, faults
    return Settings(**{**values, "report": Report(**values["report"])}), []


Check = Callable[[str, Any], Any]


def _checked(config: Mapping[str, Any], checks: Mapping[str, Check], prefix: str, faults: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, checked in checks.items():
        if key not in config:
            faults.append(f"{prefix}{key}: expected a value, but the key is missing")
            continue
        try:
            values[key] = checked(prefix + key, config[key])
        except ValueError as error:
            faults.append(str(error))
    return values


def _whole(low: int, high: int | None = None) -> Check:
    return lambda name, value: check.integer(name, value, low=low, high=high)


def _one_of(*options: str) -> Check:
    return lambda name, value: check.choice(name, value, options)


def _optional(checked: Check) -> Check:
    return lambda name, value: None if value is None else checked(name, value)


def _device(name: str, value: Any) -> str:
    if not isinstance(value, str) or not DEVICE.fullmatch(value):
        raise ValueError(f"{name}: expected auto, cpu, cuda, or cuda:N such as cuda:0, got {value!r}")
    return value


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"{name}: expected the path of a folder, got {value!r}")
    return value


_CHECKS: Mapping[str, Check] = {
    "seed": _whole(0, 2**63 - 1),  # what torch.Generator.manual_seed takes
    "device": _device,
    "precision": _one_of("fp32", "bf16"),
    "deterministic": check.flag,
    "backend": _one_of("auto", "reference", "fused"),
    "num_steps": _whole(1),
    "epochs": _whole(1),
    "batch_size": _whole(1),
    "data_dir": _path,
    "output_dir": _path,
    "on_nonfinite": _one_of("stop", "warn"),
    "clip_grad_norm": _optional(lambda name, value: check.number(name, value, above=0)),
    "early_stopping": _optional(_whole(1)),
}
_REPORT_CHECKS: Mapping[str, Check] = {
    "figures": check.flag,
    "summary": check.flag,
    "progress": check.flag,
    "log_every": _whole(1),
}

KEYS = tuple(field.name for field in fields(Settings))
