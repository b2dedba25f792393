"""The content of the page of one run, as values for its template and its plots."""

from __future__ import annotations

from collections.abc import Mapping

from snnrun.report.raster import thin, tie
from snnrun.run.classes import ClassRow, worst
from snnrun.run.command_line import command_of, remark
from snnrun.run.layers import ParameterRow
from snnrun.sweep.page.curves import MOST_POINTS, trim
from snnrun.sweep.page.environment import environment
from snnrun.sweep.page.gather import CURVES, ENDED_EARLY, JobSummary, LayerCurves
from snnrun.sweep.page.html import page
from snnrun.sweep.page.matrix import matrix_of
from snnrun.sweep.page.ranking import measure_of
from snnrun.sweep.page.raster import picture, rasters, sample_of
from snnrun.sweep.page.sweep import count
from snnrun.system.format import figure, percent
from snnrun.system.safe_read import Unreadable, cut, head, printable_lines

MOST_CLASSES = 40  # in the table: the worst ones
SUMMARY = 1 << 16  # bytes of summary.txt


def run_page(job: JobSummary, settings: str, warnings: str) -> str:
    """The page; ``settings`` and ``warnings`` as in ``snnrun show``."""
    measure = measure_of([job])
    validation, test = job.validation.get(measure.name), job.test.get(measure.name)
    try:
        summary = printable_lines(head(job.folder, "summary.txt", SUMMARY))
    except Unreadable:
        summary = ""
    layers, shown = rasters(job.folder), sample_of(job.folder)
    context = {
        "title": f"Run {job.name}",
        "job": job,
        "started": str(job.manifest.get("started", ""))[:16].replace("T", " "),
        "progress": f"{job.epochs} of {job.epochs_asked} epochs" if job.epochs is not None else "",
        "measure": measure,
        "validation": measure.figure(validation),
        "test": measure.figure(test),
        "test_loss": "" if measure.name == "loss" else figure(job.test.get("loss")),
        "spikes": count(job.spikes),
        "parameters": count(job.parameters),
        "seconds": "" if job.seconds is None else f"{job.seconds:.1f} s",
        "command": command_of(job.words),
        "remark": remark(job.command),
        "settings": settings,
        "warnings": warnings,
        "layers": [_layer(layer, job) for layer in job.layers],
        "neuron_parameters": [_parameter(row) for row in job.neuron_parameters],
        "classes": [_class(row) for row in worst(job.classes, MOST_CLASSES)],
        "all_classes": len(job.classes),
        "matrix": matrix_of(job),
        "has_raster": bool(layers),
        "picture": picture(job.folder),
        "sample": _sample(shown, job),
        "summary": summary,
        "environment": environment([job]),
        "failed": job.status in ENDED_EARLY,
    }
    epochs = thin(max((len(curve) for curve in job.curves.values()), default=0), MOST_POINTS).tolist()
    data = {
        "kind": "run",
        "epochs": [i + 1 for i in epochs],
        "curves": {key: [trim(job.curves[key][i]) for i in epochs] if key in job.curves else [] for key in CURVES},
        "layers": [
            {
                "name": cut(layer.name, 60),
                **{key: [trim(v[i]) for i in epochs] for key, v in _activity(layer).items()},
            }
            for layer in job.layers
        ],
        "rasters": [raster._asdict() for raster in layers],
    }
    return page("run.html", context, data)


def _class(row: ClassRow) -> dict[str, str]:
    accuracy = percent(row.accuracy)
    return {"name": row.name, "samples": count(row.samples), "accuracy": accuracy, "mistaken": row.confusions}


def _sample(shown: Mapping[str, int], job: JobSummary) -> str:
    """The sample of a raster, with class and prediction if known."""
    if "sample" not in shown:
        return "one sample of the test set"
    words = f"sample {shown['sample']} of the test set"
    if "label" not in shown or "prediction" not in shown:
        return words
    label, prediction = (
        job.classes[value].name if 0 <= value < len(job.classes) else str(value)
        for value in (shown["label"], shown["prediction"])
    )
    tie_words = tie(shown.get("tied", 1))
    return f"{words}: class {label}, prediction {prediction}" + (f" ({tie_words})" if tie_words else "")


def _activity(layer: LayerCurves) -> dict[str, tuple[float | None, ...]]:
    return {"firing_rate": layer.firing_rate, "silent": layer.silent, "saturated": layer.saturated}


def _layer(layer: LayerCurves, job: JobSummary) -> dict[str, str]:
    """A layer in the best epoch, or else the last."""
    at = (job.best_epoch or 0) - 1
    last = {key: values[at] if values else None for key, values in _activity(layer).items()}
    share = {key: percent(last[key]) for key in ("silent", "saturated")}
    return {"name": layer.name, "neurons": count(layer.neurons), "rate": figure(last["firing_rate"]), **share}


def _parameter(row: ParameterRow) -> dict[str, str]:
    values = row.values
    numbers = {"first": row.first, "mean": values.mean, "sd": values.sd, "low": values.min, "high": values.max}
    figures = {key: figure(value) for key, value in numbers.items()}
    return {"layer": row.layer, "name": row.parameter, "histogram": row.histogram, **figures}
