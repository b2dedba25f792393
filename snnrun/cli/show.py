"""``snnrun show RUN``: one run on one page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snnrun.cli.changes import UNKNOWN, Changes, config_of
from snnrun.run import browse
from snnrun.run.browse import RunSummary
from snnrun.run.classes import class_rows, worst
from snnrun.run.layers import layer_rows, parameter_rows
from snnrun.system import safe_read
from snnrun.system.format import PARTS, age, count, cut, duration, figure, pairs, percent, size, table, wrap
from snnrun.system.layout import columns
from snnrun.system.safe_read import Unreadable, flatten, printable, quote
from snnrun.training.records import EpochRecord, LayerActivity, RunResult, best_of

MOST_ROWS = 12  # epochs in the table of curves
MOST_CLASSES = 20
MOST_WARNINGS = 10
MOST_FILES = 40
MOST_SETTINGS = 60
LOG = 1 << 24  # bytes of run.log to read
NAMED = ("snnrun", "torch", "numpy", "llvmlite", "hydra-core", "omegaconf", "safetensors")  # all are in the file


def show(folder: Path) -> str:
    """The page, as wide as the terminal."""
    run, width = browse.read(folder), columns()
    sections = {
        "": head(run, width),
        "parts": _columns(_parts(run), width),
        "settings that are not the default": settings(run, width),
        "result": result(run, width),
        "classes": classes_of(run.result, width),
        "curves": curves(folder, width),
        "layers": layers(folder, width),
        "learned parameters of neurons": parameters(folder, width),
        "warnings": warnings(folder, width),
        "environment": environment(folder, width),
        "files": files(folder, width),
    }
    return "\n\n".join(f"{title}\n{body}" if title else body for title, body in sections.items() if body)


def head(run: RunSummary, width: int | None = None) -> str:
    """Folder and status of the run."""
    words = [run.status]
    if run.epochs is not None:
        words.append(f"{run.epochs} of {run.max_epochs} epochs" if run.max_epochs else f"{run.epochs} epochs")
    words += [f"took {duration(run.seconds)}"] if run.seconds is not None else []
    words.append(f"started {age(run.started)} ago")
    lines = [printable(run.folder)]
    lines += [f"name: {run.name}"] if run.name is not None else []
    lines.append(", ".join(words))
    if run.holder is not None:
        lines.append(f"written by {run.holder}, last beat {age_of(run.holder.silent)} ago")
    if run.resumable:
        lines.append("can go on from a checkpoint: `snnrun resume RUN`")
    return "\n".join(piece for line in lines for piece in wrap(line, width))


def _parts(run: RunSummary) -> dict[str, str]:
    """The parts by group, as far as known."""
    try:
        chosen = Changes().choices(run, config_of(run.folder))
    except Unreadable:
        chosen = dict(run.choices)
    return {group: chosen[group] for group in [*PARTS, *chosen] if group in chosen and "@" not in group}


def age_of(seconds: float) -> str:
    """A time; never negative, even if clocks disagree."""
    return duration(max(0.0, seconds))


def settings(run: RunSummary, width: int | None = None) -> str:
    """Keys with another value than in the parts' files; for a user's own parts the keys of the command line."""
    try:
        config = config_of(run.folder)
    except Unreadable as error:
        return f"  (config.yaml: {error})"
    rows = [
        (f"{printable(key, 80)}={quote(value)}", "" if default is UNKNOWN else f"default {quote(default)}")
        for key, value, default in Changes().values(run, config)
        if key != "name"  # shown at the top
    ]
    return _rows(rows, MOST_SETTINGS, width) if rows else "  (none)"


def result(run: RunSummary, width: int | None = None) -> str:
    """``result.json`` of any command."""
    try:
        values = safe_read.json_object(run.folder, "result.json")
    except Unreadable as error:
        return f"  ({error})"
    elsewhere = ("status", "test_accuracy_by_class", "test_confusion")
    return _columns({key: value for key, value in values.items() if key not in elsewhere}, width)


def classes_of(result: RunResult, width: int | None = None) -> str:
    """The accuracy and the most frequent mistake of each class of the test set; of many classes the worst."""
    classes = class_rows(result)
    rows = [
        (row.name, count(row.samples), percent(row.accuracy), row.confusions) for row in worst(classes, MOST_CLASSES)
    ]
    more = f"\n  the worst {len(rows)} of {len(classes)} classes" if len(rows) < len(classes) else ""
    names = ("class", "samples", "accuracy", "most often taken for")
    return table(names, rows, right=(1, 2), indent="  ", shrink=3, width=width) + more if rows else ""


def curves(folder: Path, width: int | None = None) -> str:
    """Evenly spread epochs with the first, the best and the last."""
    try:
        epochs = list(browse.epochs(folder))
    except Unreadable as error:
        return "" if error.missing else f"  (metrics.jsonl: {error})"
    if not epochs:
        return ""
    best = best_of(epochs)
    last = len(epochs) - 1
    indices = {round(i * last / (MOST_ROWS - 1)) for i in range(MOST_ROWS)} | ({best} if best is not None else set())
    rows = [(f"{epochs[i].epoch}" + "*" * (i == best), *_curve(epochs[i])) for i in sorted(indices)]
    names = ("epoch", "train loss", "validation loss", "accuracy", "learning rate", "samples/s")
    return table(names, rows, right=range(6), indent="  ", width=width, stack=True) + (
        "\n  * the best" if best is not None else ""
    )


def _curve(record: EpochRecord) -> tuple[str, ...]:
    return (
        figure(record.train_loss),
        figure(record.validation_loss),
        percent(record.train_accuracy if record.validation_accuracy is None else record.validation_accuracy, 2),
        figure(record.learning_rate),
        count(record.samples_per_second),
    )


def layers(folder: Path, width: int | None = None) -> str:
    """The activity of each layer in the best epoch of training, or else the last."""
    epochs, at = _epochs(folder)
    rows = [
        (row.layer, *_activity(row.activity), figure(None if row.gradient is None else row.gradient.norm))
        for row in (layer_rows(epochs[at]) if epochs else [])
    ]
    names = ("layer", "neurons", "firing rate", "silent", "saturated", "gradient")
    return table(names, rows, right=range(1, 6), indent="  ", shrink=0, width=width, stack=True) if rows else ""


def _activity(activity: LayerActivity | None) -> tuple[str, ...]:
    if activity is None:
        return "", "", "", ""
    shares = percent(activity.silent), percent(activity.saturated)
    return count(activity.neurons), figure(activity.firing_rate), *shares


def parameters(folder: Path, width: int | None = None) -> str:
    """The learned neuron parameters of each layer in the best epoch, or else the last."""
    epochs, at = _epochs(folder)
    rows = [
        (row.layer, row.parameter, *map(figure, (row.first, row.values.mean, row.values.sd)), row.histogram)
        for row in parameter_rows(epochs, at)
    ]
    names = ("layer", "parameter", "epoch 1", "mean", "sd", "histogram")
    shrink = {0: cut, 1: cut}
    return table(names, rows, right=range(2, 5), indent="  ", shrink=shrink, width=width, stack=True) if rows else ""


def _epochs(folder: Path) -> tuple[list[EpochRecord], int]:
    """The records of epochs, and the index of the best, or else the last."""
    try:
        epochs = list(browse.epochs(folder))
    except Unreadable:
        return [], -1
    return epochs, -1 if (best := best_of(epochs)) is None else best


def warnings(folder: Path, width: int | None = None) -> str:
    """Warnings and errors in the log."""
    counts: dict[str, int] = {}
    try:
        for line in safe_read.lines(folder, "run.log", LOG):
            if line.startswith((b"warning: ", b"error: ")):
                text = printable(line.decode("utf-8", errors="replace"))
                if text in counts or len(counts) < 1000:
                    counts[text] = counts.get(text, 0) + 1
    except Unreadable as error:
        return "" if error.missing else f"  (run.log: {error})"
    shown_ones = [f"  {text}" + (f" ({times} times)" if times > 1 else "") for text, times in counts.items()]
    more = len(shown_ones) - MOST_WARNINGS
    lines = [piece for line in shown_ones[:MOST_WARNINGS] for piece in wrap(line, width, "    ")]
    return "\n".join(lines + ([f"  ... and {more} more in run.log"] if more > 0 else []))


def environment(folder: Path, width: int | None = None) -> str:
    """Software and machine in ``manifest.json``."""
    try:
        manifest = safe_read.json_object(folder, "manifest.json")
    except Unreadable as error:
        return f"  (manifest.json: {error})"
    flat = flatten(manifest)
    versions = {"Python": "python.version", **{name: f"packages.{name}" for name in NAMED}}
    commit = quote(flat.get("git.commit"), 40)
    command = manifest.get("command")
    rows = {
        "command": " ".join(quote(word) for word in command[:40]) if isinstance(command, list) else command,
        "started": manifest.get("started"),
        "trains on": flat.get("parent.folder") or flat.get("parent.name"),
        "software": ", ".join(f"{name} {quote(flat[key])}" for name, key in versions.items() if key in flat),
        "execution": ", ".join(
            f"{key} {quote(manifest[key])}"
            for key in ("device", "backend", "precision", "threads", "deterministic")
            if key in manifest
        ),
        "machine": ", ".join(
            quote(flat[key]) for key in ("cpu.model", "gpu.name", "platform") if flat.get(key) is not None
        ),
        "git": commit + " and changes" * (flat.get("git.dirty") is True) if "git.commit" in flat else None,
        **{f"data {key[5:]}": value for key, value in flat.items() if key.startswith("data.")},
    }
    return _columns({key: value for key, value in rows.items() if value not in (None, "")}, width, limit=300)


def files(folder: Path, width: int | None = None) -> str:
    """The files in the folder with their sizes."""
    rows, total, number = [], 0, 0
    for name, bytes_ in walk(folder):
        total, number = total + bytes_, number + 1
        if number <= MOST_FILES:
            rows.append((printable(name, 80), size(bytes_)))
    if not rows:
        return ""
    more = f" ({number - MOST_FILES:,} more not shown)" if number > MOST_FILES else ""
    return table((), [*sorted(rows), ("all", size(total) + more)], indent="  ", shrink=0, width=width)


def walk(folder: Path, most: int = 100_000) -> Iterator[tuple[str, int]]:
    """At most ``most`` files below ``folder`` with their sizes; for a link its own size."""
    waiting, seen = [""], 0
    while waiting and seen < most:
        inside = waiting.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{inside}{entry.name}/")
                    else:
                        yield f"{inside}{entry.name}", entry.stat(follow_symlinks=False).st_size
                    if seen >= most:
                        return
        except OSError:
            continue


def _columns(values: Mapping[str, Any], width: int | None, limit: int = 100) -> str:
    return _rows([(printable(key, 40), quote(value, limit)) for key, value in values.items()], 200, width)


def _rows(rows: list[tuple[str, str]], most: int, width: int | None) -> str:
    more = [f"  ... and {len(rows) - most:,} more"] if len(rows) > most else []
    return "\n".join([pairs(rows[:most], "  ", width), *more])
