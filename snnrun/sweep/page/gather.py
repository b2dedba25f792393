"""Reads runs and sweeps for a report. Their folders may be a stranger's, incomplete or damaged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snnrun.run import browse
from snnrun.run.browse import RunSummary
from snnrun.run.classes import ClassRow, class_rows, confusion_matrix
from snnrun.run.layers import ParameterRow, parameter_rows
from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable, flatten, number, printable, whole
from snnrun.training.records import EpochRecord, RunResult, best_of

PARTS = ("task", "model", "neuron", "surrogate", "encoder", "loss", "optimizer")
CURVES = (
    *("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "train_r2", "validation_r2"),
    "learning_rate",
)
MEASURES = ("accuracy", "r2", "loss")
LAST_LINES = 6  # of run.log, for a job that did not finish
LOG = 1 << 14  # bytes of it
MOST_JOBS = 5000
LONGEST = 200  # letters of a name or a line
LONGEST_WORD = 4000  # letters of a word of the command line, which is useless when cut
NOT_STARTED = "not started"
ENDED_EARLY = ("failed", "interrupted", "dead", "stalled")


@dataclass(frozen=True)
class LayerCurves:
    """The activity of a layer in every epoch; a missing number is None."""

    name: str
    neurons: int | None
    firing_rate: tuple[float | None, ...]  # spikes per neuron and time step
    silent: tuple[float | None, ...]
    saturated: tuple[float | None, ...]


@dataclass(frozen=True)
class JobSummary:
    """One run; an unknown value is None or empty."""

    number: int
    folder: Path
    status: str  # of the run, or "not started"
    words: tuple[str, ...]  # of the command line, for this job
    seed: int | None
    epochs: int | None = None
    epochs_asked: int | None = None
    test: Mapping[str, float] = field(default_factory=dict)  # by measure
    validation: Mapping[str, float] = field(default_factory=dict)  # by measure, at the best epoch
    best_epoch: int | None = None
    curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)  # a value for each epoch
    layers: tuple[LayerCurves, ...] = ()
    neuron_parameters: tuple[ParameterRow, ...] = ()  # in the best epoch, or else the last
    classes: tuple[ClassRow, ...] = ()  # of the test set
    confusion: tuple[tuple[int, ...], ...] = ()  # samples: a row per class, a column per prediction
    spikes: float | None = None  # of all layers for one sample, in the best epoch of training
    parameters: int | None = None
    seconds: float | None = None
    weights_sha256: str = ""
    failure: str = ""  # the error, in a line
    last_lines: tuple[str, ...] = ()  # of the log, if it did not finish
    manifest: Mapping[str, Any] = field(default_factory=dict)  # by dotted keys
    place: str = ""  # path in the folder of its sweep

    @property
    def name(self) -> str:
        return printable(self.place or self.folder.name, LONGEST)

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the run, from its manifest."""
        return texts(self.manifest.get("command"))

    @property
    def overrides(self) -> dict[str, str]:
        """The words as key and value; the last of a key counts, as in Hydra."""
        pairs = (word.partition("=") for word in self.words if "=" in word)
        return {key.lstrip("+"): value for key, _, value in pairs}


@dataclass(frozen=True)
class SweepSummary:
    """The jobs of a sweep in order."""

    folder: Path
    jobs: tuple[JobSummary, ...]
    started: str = ""
    command: tuple[str, ...] = ()
    search: bool = False  # a sweeper chooses the jobs
    unread: int = 0  # jobs beyond the limit

    @property
    def name(self) -> str:
        return printable(self.folder.name, LONGEST)


def sweep(folder: Path) -> SweepSummary:
    """All jobs of the sweep in ``folder``: the jobs of ``sweep.json``, and other runs in it."""
    try:
        content = safe_read.json_object(folder, browse.SWEEP)
    except Unreadable:
        content = {}
    listed: dict[str, tuple[int, tuple[str, ...]]] = {}
    entries = content.get("jobs")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(name := entry.get("folder"), str) and _inside(folder, name):
            listed[name] = _number(entry.get("number"), name, len(listed)), texts(entry.get("overrides"))
    for run in browse.find(folder):
        name = run.relative_to(folder).as_posix()
        if name not in listed:
            listed[name] = _number(None, run.name, len(listed)), ()
    order = sorted(listed, key=lambda name: (listed[name][0], name))
    started = content.get("started")
    return SweepSummary(
        folder=folder,
        jobs=tuple(replace(job(folder / name, *listed[name]), place=name) for name in order[:MOST_JOBS]),
        started=printable(started, 40) if isinstance(started, str) else "",
        command=texts(content.get("command")),
        search=content.get("search") is True,
        unread=max(0, len(order) - MOST_JOBS),
    )


def job(folder: Path, number_: int = 0, words: tuple[str, ...] = ()) -> JobSummary:
    """Read the folder of a run; ``words``: its overrides in the list of the sweep."""
    words = words or _overrides(folder)
    if not browse.is_run(folder):
        seed = next((word[5:] for word in words if word.startswith("seed=")), "")
        return JobSummary(number_, folder, NOT_STARTED, words, int(seed) if seed.isdigit() and len(seed) < 19 else None)
    run = browse.read(folder)
    try:
        epochs = list(browse.epochs(folder))
    except Unreadable:
        epochs = []
    manifest: dict[str, Any] = {}
    with suppress(Unreadable):
        manifest = flatten(safe_read.json_object(folder, "manifest.json"))
    best = best_of(epochs)
    error, sha = run.result.error, run.result.weights_sha256 or ""
    over = run.status == "finished"
    return JobSummary(
        number=number_,
        folder=folder,
        status=run.status,
        words=words or _parts_and_seed(run),
        seed=run.seed,
        epochs=run.epochs,
        epochs_asked=run.max_epochs,
        test=_measures(run.result, "test_") if over else {},
        validation=_measures(epochs[best], "validation_") if best is not None else {},
        best_epoch=None if best is None else epochs[best].epoch,
        curves={key: tuple(number(getattr(record, key)) for record in epochs) for key in CURVES},
        layers=_layers(epochs),
        neuron_parameters=tuple(parameter_rows(epochs, -1 if best is None else best)),
        classes=tuple(class_rows(run.result)) if over else (),
        confusion=confusion_matrix(run.result) if over else (),
        spikes=_spikes(epochs[-1 if best is None else best], folder) if epochs else None,
        parameters=run.result.parameters,
        seconds=run.seconds,
        weights_sha256=sha if re.fullmatch(r"[0-9a-f]{1,64}", sha) else "",
        failure="" if error is None else printable(error, 600),
        last_lines=() if over or run.status == "running" else last_lines(folder),
        manifest=manifest,
    )


def last_lines(folder: Path, most: int = LAST_LINES) -> tuple[str, ...]:
    """The end of ``run.log``."""
    try:
        lines = [line.decode("utf-8", errors="replace") for line in safe_read.lines(folder, "run.log", LOG)]
    except Unreadable:
        return ()
    return tuple(text for line in lines[-most:] if (text := printable(line, LONGEST)))


def texts(value: Any, most: int = 200) -> tuple[str, ...]:
    """The texts of a list; empty for anything else."""
    words = value[:most] if isinstance(value, list) else []
    return tuple(printable(word, LONGEST_WORD) for word in words if isinstance(word, str))


def _overrides(folder: Path) -> tuple[str, ...]:
    """The words of ``.hydra/overrides.yaml``, a list of texts."""
    try:
        text = safe_read.head(folder, ".hydra/overrides.yaml")
    except Unreadable:
        return ()
    with suppress(Unreadable):
        # The reader takes a mapping only, so the list is put into one.
        block = "".join(f"  {line}\n" for line in text.splitlines() if line.strip() != "[]")
        return texts(safe_read.yaml_text(f"words:\n{block}").get("words"))
    return ()


def _parts_and_seed(run: RunSummary) -> tuple[str, ...]:
    """The parts and the seed, for a run without recorded words."""
    words = [f"{group}={run.choices[group]}" for group in PARTS if group in run.choices]
    return (*words, *(() if run.seed is None else (f"seed={run.seed}",)))


def _measures(values: RunResult | EpochRecord, prefix: str) -> dict[str, float]:
    measures = {name: number(getattr(values, prefix + name)) for name in MEASURES}
    return {name: value for name, value in measures.items() if value is not None}


def _layers(epochs: list[EpochRecord]) -> tuple[LayerCurves, ...]:
    names = list(dict.fromkeys(name for record in epochs for name in record.layers))[:100]

    def column(name: str, key: str) -> tuple[float | None, ...]:
        return tuple(number(getattr(record.layers.get(name), key, None)) for record in epochs)

    return tuple(
        LayerCurves(
            name=printable(name, 60),
            neurons=next((record.layers[name].neurons for record in epochs if name in record.layers), None),
            firing_rate=column(name, "firing_rate"),
            silent=column(name, "silent"),
            saturated=column(name, "saturated"),
        )
        for name in names
    )


def _spikes(record: EpochRecord, folder: Path) -> float | None:
    """Neurons x firing rate x time steps, summed over the layers."""
    try:
        steps = re.search(r"^num_steps: (\d{1,9})$", safe_read.head(folder, "config.yaml"), re.M)
    except Unreadable:
        return None
    counts = [(layer.neurons, number(layer.firing_rate)) for layer in record.layers.values()]
    if not steps or not counts or any(n is None or rate is None for n, rate in counts):
        return None
    return int(steps[1]) * sum((n or 0) * (rate or 0) for n, rate in counts)


def _number(number: Any, name: str, otherwise: int) -> int:
    begins = re.match(r"(\d{1,9})-", name)
    known = whole(number)
    return known if known is not None else int(begins[1]) if begins else otherwise


def _inside(folder: Path, name: str) -> bool:
    """True if the name is a path inside the folder, without ``..`` and without a link on the way."""
    pieces = name.split("/")
    if len(name) > 1000 or any(piece in ("", ".", "..") or {"\\", "\0"} & set(piece) for piece in pieces):
        return False
    try:
        return not any(folder.joinpath(*pieces[: i + 1]).is_symlink() for i in range(len(pieces)))
    except OSError:  # a name that is too long
        return False
