"""The settings that belong to no part: the top-level keys of ``conf/config.yaml``, checked.

Plain Python: neither torch nor Hydra, so that a frozen config can be read by anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from snnrun import check
from snnrun.errors import ArgumentError, ConfigError, Fault

DEVICE = re.compile(r"auto|cpu|cuda(:(0|[1-9][0-9]{0,2}))?", re.ASCII)

FORMATS = ("png", "svg", "pdf")

#: The name of a run is a piece of its folder's.
NAME = re.compile(r"\w(?:[\w .+-]{0,62}[\w+-])?")
LONGEST_NAME = 150  # bytes, for the time and the token go with it

Check = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Report:
    """What a run draws, prints and logs."""

    figures: bool
    summary: bool
    progress: bool
    log_every: int  # training steps between two step records
    sample: int = 0  # of the test part, in its order: that of the raster and the membranes


@dataclass(frozen=True)
class Checkpoint:
    """When the state of training is saved, besides the end of every epoch; null: not by this measure."""

    every_steps: int | None
    every_minutes: float | None


@dataclass(frozen=True)
class Style:
    """How figures look; one style sheet, in ``snnrun.report.style``, serves all of them."""

    dpi: int = 150
    format: tuple[str, ...] = ("png", "svg")  # a file of each
    theme: str = "light"  # light or dark


@dataclass(frozen=True)
class Settings:
    """The top-level keys; ``conf/config.yaml`` says what each is for."""

    seed: int
    device: str  # auto, cpu, cuda or cuda:N
    threads: str | int  # auto, or how many
    precision: str  # fp32 or bf16
    deterministic: bool
    backend: str  # auto, reference or fused
    memory: str  # full or low
    matmul: str  # auto, default or onednn
    events_below: str | float  # auto, or a share of spikes
    num_steps: int
    epochs: int
    max_steps: int | None  # training steps after which training is over, or None
    batch_size: int
    drop_last: bool  # leave out an epoch's last batch if it is smaller
    data_dir: str
    name: str | None = field(default=None, kw_only=True)  # of the run
    output_dir: str
    on_nonfinite: str  # stop or warn
    clip_grad_norm: float | None
    early_stopping: int | None  # epochs without improvement of the validation loss
    max_seconds: float | None  # of this process, after which the run is saved and left
    checkpoint: Checkpoint
    report: Report
    style: Style = Style(format=("png",))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """The settings in a resolved config; its other keys are parts, and ignored here.

        Raises:
            ConfigError: with one line for each fault, of all the faults there are.
        """
        settings, faults = read(config)
        if settings is None:
            raise ConfigError("\n".join(map(str, faults)))
        return settings


def read(config: Mapping[str, Any]) -> tuple[Settings | None, list[Fault]]:
    """The settings, or None and what is wrong with them."""
    sections = {"checkpoint": _CHECKPOINT_CHECKS, "report": _REPORT_CHECKS, "style": STYLE_CHECKS}
    # Runs of earlier versions have no name, and may be resumed.
    values, faults = read_keys({"name": None, **config}, _CHECKS, sections)
    if faults:
        return None, faults
    made = {
        "checkpoint": Checkpoint(**values["checkpoint"]),
        "report": Report(**values["report"]),
        "style": Style(**values["style"]),
    }
    return Settings(**{**values, **made}), []


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config that an earlier version recorded, and for the keys that it lacks what the run did without them."""
    found = dict(config)
    if isinstance(report := found.get("report"), Mapping):
        found["report"] = {"sample": 0, **report}
    return {**found, "style": found.get("style", {"dpi": 150, "format": ["png"], "theme": "light"})}


def read_keys(
    config: Mapping[str, Any], checks: Mapping[str, Check], sections: Mapping[str, Mapping[str, Check]]
) -> tuple[dict[str, Any], list[Fault]]:
    """The checked values of the keys in ``checks`` and, as mappings, of the ``sections``; and their faults."""
    faults: list[Fault] = []
    values = _checked(config, checks, "", faults)
    for name, section in sections.items():
        given = config.get(name)
        if not isinstance(given, Mapping):
            faults.append(Fault.of(ArgumentError(name, f"the keys {', '.join(section)}", given)))
            continue
        values[name] = _checked(given, section, f"{name}.", faults)
        faults += [
            Fault(f"{name}.{key}", f"there is no such key; there are {', '.join(section)}")
            for key in given
            if key not in section
        ]
    return values, faults


def _checked(
    config: Mapping[str, Any], checks: Mapping[str, Check], prefix: str, faults: list[Fault]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, checked in checks.items():
        if key not in config:
            faults.append(Fault(prefix + key, "expected a value, but the key is missing"))
            continue
        try:
            values[key] = checked(prefix + key, config[key])
        except ArgumentError as error:
            faults.append(Fault.of(error))
    return values


def whole(low: int, high: int | None = None) -> Check:
    """A check for a whole number."""
    return lambda name, value: check.integer(name, value, low=low, high=high)


def one_of(*options: str) -> Check:
    """A check for one of a few words."""
    return lambda name, value: check.choice(name, value, options)


def optional(checked: Check) -> Check:
    """The same check, which lets null pass."""
    return lambda name, value: None if value is None else checked(name, value)


def formats(name: str, value: Any) -> tuple[str, ...]:
    """One kind of picture, or a list of several."""
    given = value if isinstance(value, list) else [value]
    if not given or any(each not in FORMATS for each in given) or len(set(given)) < len(given):
        raise ArgumentError(name, f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or a list of them", value)
    return tuple(given)


def folder(name: str, value: Any) -> str:
    """The path of a folder, which need not exist."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ArgumentError(name, "the path of a folder", value)
    return value


def run_name(name: str, value: Any) -> str:
    """The name of a run, which a folder can have."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value.encode()) > LONGEST_NAME:
        raise ArgumentError(
            name,
            "1 to 64 letters, digits, spaces or signs of ._+-, the first a letter or digit",
            value,
            advice="a number alone needs a letter",
        )
    return value


def _device(name: str, value: Any) -> str:
    if not isinstance(value, str) or not DEVICE.fullmatch(value):
        raise ArgumentError(name, "auto, cpu, cuda, or cuda:N such as cuda:0", value)
    return value


def _share(name: str, value: Any) -> str | float:
    if isinstance(value, str) and value != "auto":
        raise ArgumentError(name, "auto, or a number from 0 to 1", value)
    return "auto" if value == "auto" else check.number(name, value, low=0, high=1)


def _threads(name: str, value: Any) -> str | int:
    if value == "auto":
        return "auto"
    try:
        return check.integer(name, value, low=1, high=1024)
    except ArgumentError:
        raise ArgumentError(name, "auto, or a whole number from 1 to 1024", value) from None


SEED = whole(0, 2**63 - 1)  # what torch.Generator.manual_seed takes

_CHECKS: Mapping[str, Check] = {
    "seed": SEED,
    "device": _device,
    "threads": _threads,
    "precision": one_of("fp32", "bf16"),
    "deterministic": check.flag,
    "backend": one_of("auto", "reference", "fused"),
    "memory": one_of("full", "low"),
    "matmul": one_of("auto", "default", "onednn"),
    "events_below": _share,
    "num_steps": whole(1),
    "epochs": whole(1),
    "max_steps": optional(whole(1)),
    "batch_size": whole(1),
    "drop_last": check.flag,
    "data_dir": folder,
    "name": optional(run_name),
    "output_dir": folder,
    "on_nonfinite": one_of("stop", "warn"),
    "clip_grad_norm": optional(lambda name, value: check.number(name, value, above=0)),
    "early_stopping": optional(whole(1)),
    "max_seconds": optional(lambda name, value: check.number(name, value, above=0)),
}
_CHECKPOINT_CHECKS: Mapping[str, Check] = {
    "every_steps": optional(whole(1)),
    "every_minutes": optional(lambda name, value: check.number(name, value, above=0)),
}
_REPORT_CHECKS: Mapping[str, Check] = {
    "figures": check.flag,
    "summary": check.flag,
    "progress": check.flag,
    "log_every": whole(1),
    "sample": whole(0),
}
STYLE_CHECKS: Mapping[str, Check] = {
    "dpi": whole(30, 1200),
    "format": formats,
    "theme": one_of("light", "dark"),
}

KEYS = tuple(each.name for each in fields(Settings))
