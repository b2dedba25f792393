"""The settings outside of parts: the top-level keys of ``conf/config.yaml``, ``simulate.yaml`` and ``plot.yaml``.

A setting is one row: type, default, check and description. ``--help`` shows the rows, and a test compares the three
files with them. The module needs neither torch nor Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

from snnrun import check
from snnrun.errors import ArgumentError, ConfigError, Description, Fault

DEVICE = re.compile(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]{0,2}))?", re.ASCII)

FORMATS = ("png", "svg", "pdf")

SUBJECTS = ("surrogate", "encoder", "neuron")

#: The name of a run is a piece of the name of its folder.
NAME = re.compile(r"\w(?:[\w .+-]{0,62}[\w+-])?")
LONGEST_NAME = 150  # bytes; time and token come in addition

Check = Callable[[str, Any], Any]
T = TypeVar("T")


class SettingRow(NamedTuple):
    """A top-level key for ``--help``; a key in a section has a dotted name."""

    name: str
    default: Any
    about: str


def setting(default: Any, rule: Check, about: str) -> Any:
    """One row: a field of a class of settings."""
    return field(default=default, metadata={"check": rule, "about": about})


def keys(kind: type, prefix: str = "") -> Iterator[SettingRow]:
    """The rows of a class of settings, and of its sections."""
    for each in fields(kind):
        if _is_section(each):
            for key in keys(type(each.default), f"{each.name}."):
                yield key._replace(default=getattr(each.default, key.name.rpartition(".")[2]))
        else:
            yield SettingRow(prefix + each.name, each.default, each.metadata["about"])


def read_rows(kind: type[T], config: Any, section: str = "") -> tuple[T | None, list[Fault]]:
    """The settings, or None and their faults.

    ``section``: the key of the section, which may have no other keys. Other keys at the top are parts, and ignored.
    """
    rows = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    if section and not isinstance(config, Mapping):
        return None, [Fault.of(ArgumentError(section, f"the keys {', '.join(rows)}", config))]
    prefix = f"{section}." if section else ""
    checks = {name: each.metadata["check"] for name, each in rows.items() if not _is_section(each)}
    values, faults = check_keys(config, checks, prefix)
    for name, each in rows.items():
        if _is_section(each):
            values[name], wrong = read_rows(type(each.default), config.get(name), name)
            faults += wrong
    if section:
        there_are = f"there is no such key; there are {', '.join(rows)}"
        faults += [Fault(f"{prefix}{key}", there_are) for key in config if key not in rows]
    return (None, faults) if faults else (kind(**values), [])


def check_keys(
    config: Mapping[str, Any], checks: Mapping[str, Check], prefix: str = ""
) -> tuple[dict[str, Any], list[Fault]]:
    """The valid values of the keys in ``checks``, and the faults of the others."""
    values, faults = dict[str, Any](), list[Fault]()
    for key, rule in checks.items():
        if key not in config:
            faults.append(Fault(prefix + key, "expected a value, but the key is missing"))
            continue
        try:
            values[key] = rule(prefix + key, config[key])
        except ArgumentError as error:
            faults.append(Fault.of(error))
    return values, faults


def _is_section(each: Field[Any]) -> bool:
    return "check" not in each.metadata


def whole(low: int, high: int | None = None) -> Check:
    """A check for a whole number."""
    return lambda name, value: check.integer(name, value, low=low, high=high)


def one_of(*options: str) -> Check:
    """A check for one of a few words."""
    return lambda name, value: check.choice(name, value, options)


def optional(rule: Check) -> Check:
    """The check, or null."""
    return lambda name, value: None if value is None else rule(name, value)


def formats(name: str, value: Any) -> tuple[str, ...]:
    """A check for one format of figures, or a list of several."""
    kinds = value if isinstance(value, list) else [value]
    if not kinds or any(each not in FORMATS for each in kinds) or len(set(kinds)) < len(kinds):
        raise ArgumentError(name, f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or a list of them", value)
    return tuple(kinds)


def folder(name: str, value: Any) -> str:
    """A check for the path of a folder, which need not exist."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ArgumentError(name, "the path of a folder", value)
    return value


def run_name(name: str, value: Any) -> str:
    """A check for the name of a run, which must fit a folder."""
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value.encode()) > LONGEST_NAME:
        raise ArgumentError(
            name,
            "1 to 64 letters, digits, spaces or signs of ._+-, the first a letter or digit",
            value,
            advice="a number alone needs a letter",
        )
    return value


def _steps(name: str, value: Any) -> int | str:
    if value == MAX:
        return MAX
    try:
        return check.integer(name, value, low=1)
    except ArgumentError:
        raise ArgumentError(name, f"a whole number of at least 1, or {MAX}", value) from None


def _device(name: str, value: Any) -> str:
    if not isinstance(value, str) or not DEVICE.fullmatch(value):
        raise ArgumentError(name, "auto, cpu, mps, cuda, or cuda:N such as cuda:0", value)
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


def _subject(name: str, value: Any) -> str:
    if value is None:
        raise ArgumentError(
            name, "a surrogate, an encoder or a neuron to draw, as in `snnrun plot neuron=lif`", Description("nothing")
        )
    return check.choice(name, value, SUBJECTS)


def _positive(name: str, value: Any) -> float:
    return check.number(name, value, above=0)


def _decay(name: str, value: Any) -> float:
    return check.number(name, value, above=0, below=1)


SEED = whole(0, 2**63 - 1)  # the range of torch.Generator.manual_seed
# A million steps or neurons: more is a mistake, and would exhaust the memory.
MANY = whole(1, 1_000_000)


@dataclass(frozen=True)
class Checkpoint:
    """When to save the state of training, besides the end of every epoch; null: not by this measure."""

    every_steps: int | None = setting(None, optional(whole(1)), "save after so many training steps, or null")
    every_minutes: float | None = setting(10, optional(_positive), "save after so many minutes, or null")


@dataclass(frozen=True)
class Execution:
    """How a training step is executed; the results do not depend on it."""

    cuda_graph: bool = setting(
        False, check.flag, "on a CUDA device: record the kernels of a training step once, and replay them"
    )


#: ``num_steps`` for samples of any length.
MAX = "max"


@dataclass(frozen=True)
class Report:
    """The figures, lines and logs of a run."""

    figures: bool = setting(True, check.flag, "draw figures/")
    summary: bool = setting(True, check.flag, "write summary.txt, the table of layers")
    progress: bool = setting(True, check.flag, "show progress on the terminal")
    log_every: int = setting(1, whole(1), "training steps between two lines of metrics.jsonl")
    sample: int = setting(0, whole(0), "which sample of the test set raster and membranes show")
    test_every_epoch: bool = setting(False, check.flag, "record the test after every epoch; it chooses nothing")


@dataclass(frozen=True)
class Style:
    """The look of figures; ``snnrun.report.style`` has the style sheet."""

    dpi: int = setting(150, whole(30, 1200), "dots per inch of a PNG")
    format: tuple[str, ...] = setting(("png", "svg"), formats, "of the figures: png, svg or pdf, or a list of them")
    theme: str = setting("light", one_of("light", "dark"), "light or dark")


@dataclass(frozen=True)
class Settings:
    """The top-level keys of ``conf/config.yaml``."""

    seed: int = setting(0, SEED, "seeds every random stream: data order, encoding, initialisation, dropout")
    device: str = setting(
        "auto", _device, "auto (CUDA if there is any, else MPS, else the CPU), cpu, mps, cuda, or cuda:N"
    )
    threads: str | int = setting(
        "auto", _threads, "of the CPU: auto (as many as the network is worth; in a sweep 1 a job), or how many"
    )
    precision: str = setting("fp32", one_of("fp32", "bf16"), "fp32, or bf16 for the matrix products")
    deterministic: bool = setting(True, check.flag, "only algorithms that give the same result every time")
    backend: str = setting(
        "auto",
        one_of("auto", "reference", "fused"),
        "how neurons are run over time: auto, reference (step by step), or fused",
    )
    memory: str = setting(
        "full",
        one_of("full", "low"),
        "low: hidden layers keep less for the gradient, but take longer; for long sequences",
    )
    matmul: str = setting(
        "auto",
        one_of("auto", "default", "onednn"),
        "large float32 products on the CPU: default (torch's), onednn, or auto (the faster)",
    )
    events_below: str | float = setting(
        "auto", _share, "share of spikes up to which a product or convolution adds up its spikes only: 0 to 1, or auto"
    )
    execution: Execution = Execution()
    num_steps: int | str = setting(
        25, _steps, "T, the number of time steps of a sample; max: all, for tasks whose samples differ in length"
    )
    epochs: int = setting(20, whole(1), "passes over the training data")
    max_steps: int | None = setting(
        None, optional(whole(1)), "training steps after which training is over, mid-epoch included; or null"
    )
    batch_size: int = setting(128, whole(1), "samples of a batch")
    accumulate: int = setting(1, whole(1), "batches per training step; their gradients are averaged")
    drop_last: bool = setting(False, check.flag, "leave out the last batch of an epoch if it is smaller")
    data_dir: str = setting("data", folder, "folder in which data sets are looked for and kept")
    name: str | None = setting(
        None, optional(run_name), "of the run: its folder is named by it, and `snnrun show NAME` finds it; or null"
    )
    output_dir: str = setting("outputs", folder, "folder in which each run gets a folder of its own")
    init_from: str | None = setting(
        None,
        optional(folder),
        "start from the weights of this run, or of this .safetensors file, where they fit; or null",
    )
    on_nonfinite: str = setting(
        "stop", one_of("stop", "warn"), "at an infinite or NaN loss or gradient: stop, or warn and go on"
    )
    clip_grad_norm: float | None = setting(
        None, optional(_positive), "largest norm of the gradient, or null for no clipping"
    )
    clip_grad_value: float | None = setting(
        None, optional(_positive), "largest size of each component of the gradient, or null for no clipping"
    )
    ema: float | None = setting(
        None,
        optional(_decay),
        "decay of the moving average of weights that is evaluated and tested, such as 0.999; or null",
    )
    early_stopping: int | None = setting(
        None, optional(whole(1)), "stop after so many epochs without a better validation loss, or null"
    )
    max_seconds: float | None = setting(
        None, optional(_positive), "save and leave after so many seconds, for queues; `snnrun resume` goes on; or null"
    )
    checkpoint: Checkpoint = Checkpoint()
    report: Report = Report()
    style: Style = Style(format=("png",))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """The settings in a resolved config; its other keys are parts, and ignored.

        Raises:
            ConfigError: with one line for each fault.
        """
        settings, faults = read(config)
        if settings is None:
            raise ConfigError("\n".join(map(str, faults)))
        return settings


@dataclass(frozen=True)
class SimulateSettings:
    """The top-level keys of ``conf/simulate.yaml``."""

    seed: int = setting(0, SEED, "seeds every random stream: noise, Poisson spikes, initial values of the neuron")
    num_steps: int | None = setting(
        None, optional(MANY), "T, the number of time steps; null: as many as suit the input, mostly 100"
    )
    num_neurons: int = setting(1, MANY, "neurons side by side, not connected; random inputs are drawn for each")
    name: str | None = setting(
        None, optional(run_name), "its folder is named by it, and `snnrun show NAME` finds it; or null"
    )
    output_dir: str = setting("outputs", folder, "folder in which each simulation gets a folder of its own")
    style: Style = Style()


@dataclass(frozen=True)
class PlotSettings:
    """The top-level keys of ``conf/plot.yaml``."""

    subject: str = setting(
        None, _subject, "surrogate, encoder or neuron; null: the one that is named, as in `snnrun plot neuron=lif`"
    )
    seed: int = setting(0, SEED, "seeds every random stream: encoding, generated data, initial values of the neuron")
    num_steps: int | None = setting(None, optional(MANY), "T; null: 25 for an encoder, 1000 for a neuron")
    sample: int = setting(0, whole(0), "which sample of the task's test set an encoder gets")
    limit: float | None = setting(
        None,
        optional(_positive),
        "right end of the axis: of a surrogate (null: 2), or of a neuron's currents (null: by trial)",
    )
    format: str | None = setting(None, optional(one_of("gif")), "gif: an animation of the encoder as well")
    data_dir: str = setting("data", folder, "folder in which data sets are looked for and kept")
    name: str | None = setting(
        None, optional(run_name), "its folder is named by it, and `snnrun show NAME` finds it; or null"
    )
    output_dir: str = setting("outputs", folder, "folder in which each plot gets a folder of its own")
    style: Style = Style()


#: Name of a primary config -> its settings.
KINDS: Mapping[str, type] = {"config": Settings, "simulate": SimulateSettings, "plot": PlotSettings}
KEYS, SIMULATE_KEYS, PLOT_KEYS = (tuple(each.name for each in fields(kind)) for kind in KINDS.values())


#: Settings that runs of earlier versions lack, which may be resumed: the values that keep their behaviour.
_NEW_KEYS: Mapping[str, Any] = {
    "name": None, "init_from": None, "accumulate": 1, "clip_grad_value": None, "ema": None,
    "execution": {"cuda_graph": False},
}  # fmt: skip


def read(config: Mapping[str, Any]) -> tuple[Settings | None, list[Fault]]:
    """The settings of a training, or None and their faults."""
    config = {**_NEW_KEYS, **config}
    if isinstance(config.get("report"), Mapping):
        config["report"] = {"test_every_epoch": False, **config["report"]}  # newer than some runs, too
    settings, faults = read_rows(Settings, config)
    if settings and settings.clip_grad_norm is not None and settings.clip_grad_value is not None:
        advice = "clip by the norm of the whole gradient or by the values of its components, not by both"
        fault = ArgumentError("clip_grad_value", "null beside clip_grad_norm", settings.clip_grad_value, advice=advice)
        return None, [Fault.of(fault)]
    return settings, faults


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an earlier version. Keys that it lacks get values that keep its behaviour."""
    values = dict(config)
    if isinstance(report := values.get("report"), Mapping):
        values["report"] = {"sample": 0, **report}
    values.setdefault("init_from", None)
    values.setdefault("execution", {"cuda_graph": False})
    values.setdefault("style", {"dpi": 150, "format": ["png"], "theme": "light"})
    return values


def read_simulate(config: Mapping[str, Any]) -> tuple[SimulateSettings | None, list[Fault]]:
    """The settings of a simulation, or None and their faults."""
    return read_rows(SimulateSettings, config)


def read_plot(config: Mapping[str, Any]) -> tuple[PlotSettings | None, list[Fault]]:
    """The settings of a plot, or None and their faults."""
    settings, faults = read_rows(PlotSettings, config)
    if settings and settings.format == "gif" and settings.subject != "encoder":
        advice = f"only an encoder has an animation, not a {settings.subject}"
        return None, [Fault.of(ArgumentError("format", "null", "gif", advice=advice))]
    return settings, faults
