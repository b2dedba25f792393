"""The figures of a run: plain data in, a file for each format of the style out, readable at 100 %.

A ``draw_*`` function returns the Figure, or None if there is nothing to show. The ``*_figure`` function of the same
name writes it into a folder and returns the files. No pyplot, no display, no global setting that outlives a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from snnrun.config.settings import Style
from snnrun.report import marks, series
from snnrun.report.raster import Example, Floats, Row, StepLabels, is_spike_train, rows, thin, to_array
from snnrun.report.style import HEIGHT, LIGHT, STYLE, WIDTH, Palette, ink_map, palette, picture, save
from snnrun.system.format import plural
from snnrun.training.records import EpochRecord, LogRecord, StepRecord, best_of, of_kind

FEW = 40  # a curve of this many points or fewer shows each as a dot; a single point needs it
LONGEST_LINE = 78  # letters of a headline; a longer one is smaller
LABELS = 0.9  # inches, the height of labels over time
PICTURE = 1.15  # inches, the width of the image beside a raster


def loss_figure(records: Sequence[LogRecord], folder: Path, style: Style) -> list[Path]:
    """Write ``loss``: training and validation loss over the run. No file without a recorded loss."""
    return save(lambda: draw_loss(records, palette(style)), folder, "loss", style)


def accuracy_figure(records: Sequence[LogRecord], folder: Path, style: Style) -> list[Path]:
    """Write ``accuracy``: training and validation accuracy in % over the run. No file if the task has none."""
    return save(lambda: draw_accuracy(records, palette(style)), folder, "accuracy", style)


def firing_rate_figure(records: Sequence[LogRecord], folder: Path, style: Style) -> list[Path]:
    """Write ``firing_rate``: rate, silent and saturated share of each layer over the epochs. No file without epochs."""
    return save(lambda: draw_firing_rate(records, palette(style)), folder, "firing_rate", style)


def raster_figure(
    traces: Mapping[str, Any], folder: Path, style: Style, example: Example | None = None, sample: int = 0
) -> list[Path]:
    """Write ``raster``: every layer's spikes for one sample; ``traces`` as in ``raster.rows``. No file without layers.

    ``sample``: its index in the traces. ``example``: its description, for the title and the image beside the raster.
    """
    return save(lambda: draw_raster(traces, sample, example, palette(style)), folder, "raster", style)


def membrane_figure(
    traces: Mapping[str, Any],
    thresholds: Mapping[str, Any],
    folder: Path,
    style: Style,
    example: Example | None = None,
    sample: int = 0,
    neurons: int = 3,
) -> list[Path]:
    """Write ``membrane``: membranes of each layer's most active neurons for one sample. No file without layers.

    ``thresholds``: layer to number or tensor [*N]; a layer without one (a readout that never fires) gets no line.
    """
    return save(
        lambda: draw_membrane(traces, thresholds, sample, neurons, example, palette(style)), folder, "membrane", style
    )


def draw_loss(records: Sequence[LogRecord], colours: Palette = LIGHT) -> Figure | None:
    """Loss per step (thin) and per epoch; logarithmic where it spans more than two decades."""
    return _draw_curves(records, "loss", "Loss", "loss", 1.0, colours)


def draw_accuracy(records: Sequence[LogRecord], colours: Palette = LIGHT) -> Figure | None:
    """Accuracy in % per step (thin) and per epoch."""
    return _draw_curves(records, "accuracy", "Accuracy", "accuracy (%)", 100.0, colours)


def _draw_curves(
    records: Sequence[LogRecord], key: str, title: str, label: str, scale: float, colours: Palette
) -> Figure | None:
    steps, epochs = of_kind(records, StepRecord), of_kind(records, EpochRecord)
    time = series.timeline(records)
    per_step = scale * series.column(steps, key)
    training = scale * series.column(epochs, f"train_{key}")
    validation = scale * series.column(epochs, f"validation_{key}")
    everything = np.concatenate([per_step, training, validation])
    if not np.isfinite(everything).any():
        return None

    figure = picture()
    axes = figure.add_subplot(xlabel=time.label, ylabel=label)
    axes.set_title(title, loc="left")
    if np.isfinite(per_step).any():
        dot = "x" if len(per_step) == 1 else ""
        axes.plot(
            time.steps, per_step, marker=dot, color=colours.training, lw=0.8, alpha=0.5, label="training, single steps"
        )
    _curve(axes, time.epochs, training, color=colours.training, label="training, mean of the epoch")
    _curve(axes, time.epochs, validation, color=colours.validation, label="validation")
    best = best_of(epochs)
    if best is not None and np.isfinite(validation[best]):
        value = f"{validation[best]:.1f} %" if key == "accuracy" else f"{validation[best]:.3g}"
        axes.plot(
            time.epochs[best], validation[best], "o", ms=10, mfc="none", color=colours.ink, mew=1.4, clip_on=False,
            zorder=4, label=f"best epoch: {epochs[best].epoch} ({value})",
        )  # fmt: skip
    if key == "loss" and series.spans_decades(everything):
        axes.set_yscale("log")
    marks.whole_numbers(axes)
    _legend(figure, axes)
    return figure


def draw_firing_rate(records: Sequence[LogRecord], colours: Palette = LIGHT) -> Figure | None:
    """Three panels over one axis of epochs: firing rate, silent share, saturated share; a line per layer."""
    epochs = of_kind(records, EpochRecord)
    names = series.layer_names(epochs)
    if not names:
        return None
    figure = picture(6.0)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1))
    looks = _looks(names, colours)
    x = series.column(epochs, "epoch")
    texts = (
        ("firing_rate", "Firing rate", "spikes per neuron\nand step", 1.0),
        ("silent", "Silent: neurons without a spike in the epoch", "neurons (%)", 100.0),
        ("saturated", "Saturated: neurons that fire at every step", "neurons (%)", 100.0),
    )
    for axes, (key, title, label, scale) in zip(panels, texts, strict=True):
        for name in names:
            colour, dashes = looks[name]
            _curve(axes, x, scale * series.layer_column(epochs, name, key), color=colour, ls=dashes, label=name)
        axes.set_title(title, loc="left")
        axes.set_ylabel(label)
        if scale == 100.0:
            axes.set(ylim=(-6, 106), yticks=(0, 50, 100))
        else:
            top = max(
                (line.get_ydata().max(initial=0, where=np.isfinite(line.get_ydata())) for line in axes.lines), default=0
            )
            axes.set_ylim(0, 1.1 * top or 1)
    panels[-1].set_xlabel("epoch")
    figure.align_ylabels()
    marks.whole_numbers(panels[-1])
    _legend(figure, panels[0], always=True)
    return figure


def draw_raster(
    traces: Mapping[str, Any], sample: int = 0, example: Example | None = None, colours: Palette = LIGHT
) -> Figure | None:
    """A row per layer over one time axis; a tick is a spike, as large as time step and neuron allow.

    With an ``example`` the title describes the sample; the image of a still image stands on the right, and labels over
    time stand below.
    """
    layers = rows(traces, sample)
    if not layers:
        return None
    limit = max(30, 300 // max(3, len(layers)))  # neurons of a layer; each has 3 pixels or more
    shown = [thin(row.spikes.shape[1], limit) for row in layers]
    heights = [max(0.45, 0.02 * len(indices)) for indices in shown]
    image, labels = (None, None) if example is None else (example.image, example.steps)
    heights += [] if labels is None else [LABELS]
    figure = picture(max(HEIGHT, 0.8 + sum(heights) + 0.32 * len(heights)))
    width = WIDTH - 0.7 - (0 if image is None else PICTURE)  # inches of a panel
    grid = figure.add_gridspec(
        len(heights), 1 if image is None else 2, height_ratios=heights,
        width_ratios=(1.0,) if image is None else (width, PICTURE),
    )  # fmt: skip
    panels = [figure.add_subplot(grid[0, 0])]
    panels += [figure.add_subplot(grid[i, 0], sharex=panels[0]) for i in range(1, len(heights))]
    looks = _looks([row.name for row in layers], colours)
    steps = len(layers[0].spikes)
    for axes, row, indices in zip(panels[: len(layers)], layers, shown, strict=True):
        if is_spike_train(row.spikes):
            title = _draw_spikes(axes, row, indices, looks[row.name][0], colours.down, width)
        else:
            title = _draw_current(axes, row, colours)
        axes.set_title(title, loc="left")
        axes.grid(False)
        count = row.spikes.shape[1]
        margin = 0.75 * max(1.0, count / len(indices))
        axes.set(ylim=(-margin, count - 1 + margin), xlim=(-0.5 - 0.005 * steps, steps - 0.5 + 0.005 * steps))
        axes.set_yticks([0, count - 1] if count > 1 else [0])
        axes.tick_params(labelbottom=axes is panels[-1])
    if example is not None and labels is not None:
        _draw_labels(panels[-1], labels, example, colours)
    marks.whole_numbers(panels[-1])
    panels[-1].set_xlabel("time step")
    figure.supylabel("neuron", fontsize=STYLE["axes.labelsize"])
    if image is not None:
        _draw_image(figure.add_subplot(grid[:, 1]), image, colours)
    _headline(figure, example)
    return figure


def _draw_labels(axes: Axes, labels: StepLabels, example: Example, colours: Palette) -> None:
    """The class of each step as a wide line, with a gap where there is none, and the predicted class as a thin line."""
    time = np.arange(len(labels.true))
    for values, colour, width in ((labels.true, colours.input, 5.0), (labels.predicted, colours.down, 1.3)):
        shown = np.where(values >= 0, values, np.nan)
        # A line of levels only: a class lasts from half a step before its step to half a step after it.
        edges = np.concatenate((time - 0.5, time[-1:] + 0.5))
        axes.stairs(shown, edges, baseline=None, color=colour, lw=width, alpha=0.5 if width > 2 else 1.0)
    count = max(len(example.classes), int(max(labels.true.max(), labels.predicted.max())) + 1)
    every = range(count) if count <= 10 else (0, count - 1)
    axes.set(ylim=(count - 0.5, -0.5), yticks=every, yticklabels=[example.name_of(label) for label in every])
    axes.tick_params(axis="y", labelsize=7)
    axes.set_title("label of each step: true (wide, grey) and predicted (thin, orange)", loc="left")
    axes.grid(visible=False)


def _draw_image(axes: Axes, image: Floats, colours: Palette) -> None:
    """The image in its own shades in both themes: black is 0."""
    shown = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    axes.imshow(np.clip(shown, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_anchor("N")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set(visible=True, color=colours.caption, linewidth=0.6)


def _headline(figure: Figure, example: Example | None) -> None:
    if example is not None:
        words = example.words()
        size = 10 if len(words) <= LONGEST_LINE else 7
        # The name of a class may contain $, which must not start a formula.
        figure.suptitle(words, x=0.01, ha="left", fontsize=size, fontweight="bold", parse_math=False)


def _draw_spikes(axes: Axes, row: Row, indices: np.ndarray, colour: str, down: str, inches: float) -> str:
    steps, count = row.spikes.shape
    tick = 0.36 * max(1.0, count / len(indices))  # half its height, in neurons
    width = min(3.0, max(0.5, 0.4 * 72 * inches / steps))  # points; the rest of a step is a gap
    train = row.spikes[:, indices]
    for sign, shade in ((1, colour), (-1, down)):
        when, which = np.nonzero(train == sign)
        if len(when):
            at = indices[which]
            axes.vlines(when, at - tick, at + tick, colors=shade, lw=width, snap=False)
    neurons = f"{len(indices)} of {count} neurons shown" if len(indices) < count else plural(count, "neuron")
    rate = np.abs(row.spikes).mean()
    activity = f"{rate:.2g} spikes per neuron and step" if rate > 0 else "no spikes"
    downward = ", negative spikes in orange" if (train < 0).any() else ""
    return f"{row.name} ({neurons}): {activity}{downward}"


def _draw_current(axes: Axes, row: Row, colours: Palette) -> str:
    steps, count = row.spikes.shape
    values = np.where(np.isfinite(row.spikes), row.spikes, np.nan)
    axes.imshow(
        values.T, aspect="auto", origin="lower", cmap=ink_map(colours), interpolation="nearest",
        extent=(-0.5, steps - 0.5, -0.5, count - 0.5),
    )  # fmt: skip
    if np.isnan(values).all():
        return f"{row.name} ({plural(count, 'neuron')}): current, not finite"
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    first, last = ("white", "black") if colours.paper == LIGHT.paper else ("black", "white")
    return f"{row.name} ({plural(count, 'neuron')}): current, {low:.2g} ({first}) to {high:.2g} ({last})"


def draw_membrane(
    traces: Mapping[str, Any],
    thresholds: Mapping[str, Any],
    sample: int = 0,
    neurons: int = 3,
    example: Example | None = None,
    colours: Palette = LIGHT,
) -> Figure | None:
    """A panel per neuron: membrane before the reset, in units of its threshold (dashed), spikes as ticks above."""
    layers = [row for row in rows(traces, sample) if row.membrane is not None]
    if not layers:
        return None
    looks = _looks([row.name for row in layers], colours)
    if len(layers) > 6:
        layers = layers[:3] + layers[-3:]
    each = max(1, min(neurons, 6 // len(layers)))
    chosen = [(row, neuron) for row in layers for neuron in _most_active(row, each)]
    figure = picture(max(2.6, (0.9 if example is None else 1.2) + 0.95 * len(chosen)))
    panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    units = set()
    for axes, (row, neuron) in zip(panels, chosen, strict=True):
        threshold, colour = _threshold(thresholds, row, neuron), looks[row.name][0]
        units.add(_draw_neuron(axes, row, neuron, threshold, colour, colours.ink))
    unit = " (threshold units)" if units == {True} else "" if units == {False} else " (threshold units where dashed)"
    marks.whole_numbers(panels[-1])
    panels[-1].set_xlabel("time step")
    figure.supylabel(f"membrane before the reset{unit}", fontsize=STYLE["axes.labelsize"])
    _headline(figure, example)
    return figure


def _draw_neuron(axes: Axes, row: Row, neuron: int, threshold: float | None, colour: str, ink: str) -> bool:
    """One membrane. Returns True if it is in units of the threshold, which must be positive for that."""
    assert row.membrane is not None
    membrane, spikes = row.membrane[:, neuron], row.spikes[:, neuron]
    membrane = np.where(np.isfinite(membrane), membrane, np.nan)
    scaled = threshold is not None and threshold > 0
    if threshold is not None:
        membrane, level = (membrane / threshold, 1.0) if scaled else (membrane, threshold)
        axes.axhline(level, color=ink, ls="--", lw=0.9)
    time = np.arange(len(membrane))
    axes.plot(time, membrane, color=colour, lw=1.3, marker="." if len(time) <= FEW else "")
    # Room above the trace for the spikes.
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))
    when = np.nonzero(spikes)[0]
    width = min(2.0, max(0.6, 0.4 * 72 * (WIDTH - 1) / len(time)))
    above = blended_transform_factory(axes.transData, axes.transAxes)
    axes.vlines(when, 0.84, 0.98, colors=ink, lw=width, transform=above)
    axes.margins(x=0.01)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=(1, 2, 5, 10)))
    broken = ", not finite" if np.isnan(membrane).any() else ""
    axes.set_title(f"{row.name}, neuron {neuron}: {plural(len(when), 'spike')}{broken}", loc="left")
    return scaled


def _most_active(row: Row, limit: int) -> list[int]:
    """Neurons by number of spikes, then by highest membrane: a silent layer shows the neurons nearest to firing."""
    assert row.membrane is not None
    peak = np.where(np.isfinite(row.membrane), row.membrane, -np.inf).max(axis=0)
    return [int(i) for i in np.lexsort((-peak, -row.spikes.sum(axis=0)))[:limit]]


def _threshold(thresholds: Mapping[str, Any], row: Row, neuron: int) -> float | None:
    if thresholds.get(row.name) is None:
        return None
    values: Floats = to_array(thresholds[row.name]).reshape(-1)
    value = float(values[0] if values.size == 1 else values[neuron])
    return value if np.isfinite(value) else None


def _curve(axes: Axes, x: np.ndarray, y: np.ndarray, **options: Any) -> None:
    if np.isfinite(y).any():
        axes.plot(x, y, marker="o" if len(x) <= FEW else "", **options)


def _looks(names: Sequence[str], colours: Palette) -> dict[str, tuple[str, str]]:
    """Colour and dashes of each layer, the same in every figure: they depend only on its place after the input."""
    return {"input": (colours.input, "-"), **marks.looks([name for name in names if name != "input"], colours)}


def _legend(figure: Figure, axes: Axes, always: bool = False) -> None:
    """Above the axes, so never over data; none for a single curve, which the title names."""
    handles, labels = axes.get_legend_handles_labels()
    if always or len(handles) > 1:
        figure.legend(handles, labels, loc="outside upper right", ncols=min(4, len(handles)))
