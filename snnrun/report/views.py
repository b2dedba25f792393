"""The figures of ``snnrun plot``: surrogates, firing rate against current, and encoded samples."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from snnrun.config.settings import Style
from snnrun.report import marks
from snnrun.report.raster import is_spike_train, thin
from snnrun.report.style import DASHES, Palette, ink_map, palette, picture, save, sheet
from snnrun.system.files import write_bytes

Array = NDArray[Any]
FRAMES = 200  # limit of an animation
GIF_DPI = 80


class SurrogateCurve(NamedTuple):
    """A surrogate on a grid."""

    x: Array  # membrane minus threshold
    step: Array
    primitive: Array
    derivative: Array


class RateCurve(NamedTuple):
    """A neuron's firing rate for constant currents."""

    current: Array
    rate: Array  # spikes per step
    dt: float
    units: Mapping[str, str]


class Encoded(NamedTuple):
    """A sample and its encoding."""

    sample: Array  # [T or 1, *N]
    train: Array  # [T, *N]


def surrogate_figure(curves: Mapping[str, SurrogateCurve], folder: Path, style: Style) -> list[Path]:
    """Write ``surrogate``: step and primitive on the left, the derivative that backward uses on the right."""
    return save(lambda: draw_surrogates(curves, palette(style)), folder, "surrogate", style)


def rate_figure(curves: Mapping[str, RateCurve], folder: Path, style: Style) -> list[Path]:
    """Write ``rate``: the f-I curve, firing rate against constant current."""
    return save(lambda: draw_rates(curves, palette(style)), folder, "rate", style)


def encoder_figure(encoded: Mapping[str, Encoded], title: str, folder: Path, style: Style) -> list[Path]:
    """Write ``encoder``: the sample, its raster, and the spikes of each value over all steps."""
    return save(lambda: draw_encoders(encoded, title, palette(style)), folder, "encoder", style)


def draw_surrogates(curves: Mapping[str, SurrogateCurve], colours: Palette) -> Figure:
    """Two panels over the distance from the threshold. A single surrogate has a colour for each quantity."""
    figure = picture(3.9)
    left, right = figure.subplots(1, 2)
    first = next(iter(curves.values()))
    at = int(np.searchsorted(first.x, 0.0, side="right"))
    # As a jump: a line between two points of the grid would be a slope.
    x, step = np.insert(first.x, at, (0.0, 0.0)), np.insert(first.step, at, (0.0, 1.0))
    left.plot(x, step, color=colours.ink, lw=1.3, ls="--", label="step (forwards)")
    for i, (name, curve) in enumerate(curves.items()):
        one = len(curves) == 1
        dashes = DASHES[i // 6 % 4]
        shade = colours.cycle[i % 6]
        blue, red = (colours.primitive, colours.gradient) if one else (shade, shade)
        # Without a primitive the line is all NaN and empty, but the legend of several still shows its colour.
        label = f"{name}: primitive" if np.isfinite(curve.primitive).any() else f"{name}: no primitive"
        left.plot(curve.x, curve.primitive, color=blue, ls=dashes, label=label if one else name)
        right.plot(
            curve.x, curve.derivative, color=red, ls=dashes, label=f"{name}: derivative (backwards)" if one else ""
        )
    shown = np.concatenate([step, *(curve.primitive for curve in curves.values())])
    low, high = max(-1.25, float(np.nanmin(shown))), min(2.25, float(np.nanmax(shown)))
    left.set_ylim(min(-0.08, low - 0.08), max(1.08, high + 0.08))
    left.set_title("Step and primitive", loc="left")
    right.set_title("Derivative: the surrogate gradient", loc="left")
    left.set_ylabel("spike, primitive (no unit)")
    right.set_ylabel("derivative (1 / unit of the membrane)")
    for axes in (left, right):
        axes.set_xlabel("membrane − threshold (a.u.)")
        axes.axvline(0, color=colours.faint, lw=1.2, zorder=0.5)
    handles = [
        *left.get_legend_handles_labels()[0],
        *(right.get_legend_handles_labels()[0] if len(curves) == 1 else []),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(curves) > 1 else 3)
    return figure


def draw_rates(curves: Mapping[str, RateCurve], colours: Palette) -> Figure:
    """One curve for each neuron, per step, or per unit of time if dt is not 1."""
    figure = picture(4.0)
    axes = figure.add_subplot()
    dts = {curve.dt for curve in curves.values()}
    units = [curve.units for curve in curves.values()]
    scaled = len(dts) == 1 and dts != {1.0}
    time = units[0].get("time", "unit of dt")
    for i, (name, curve) in enumerate(curves.items()):
        rate = curve.rate / curve.dt if scaled else curve.rate
        colour = colours.membrane if len(curves) == 1 else colours.cycle[i % 6]
        axes.plot(curve.current, rate, color=colour, ls=DASHES[i // 6 % 4], label=name)
    axes.set_title("Firing rate for a constant current", loc="left")
    input_units = {each.get("input", "a.u.") for each in units}
    axes.set_xlabel(f"input current ({input_units.pop() if len(input_units) == 1 else 'unit of the neuron'})")
    per_time = "Hz" if time == "s" else f"spikes per {time}"
    axes.set_ylabel(f"firing rate ({per_time})" if scaled else "firing rate (spikes per step)")
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1e-3))
    if all(not curve.rate.any() for curve in curves.values()):
        axes.set_title("no spikes at any of these currents", loc="right", color=colours.caption, fontsize=9)
    axes.legend(loc="upper left")
    return figure


def draw_encoders(encoded: Mapping[str, Encoded], title: str, colours: Palette) -> Figure:
    """A row for each encoder: the sample (once), the raster over time, and the sum of the spikes as an image."""
    figure = picture(0.5 + (2.9 if len(encoded) == 1 else 2.1) * len(encoded))
    grid = figure.subplots(len(encoded), 3, width_ratios=(1, 2.6, 1), squeeze=False)
    for i, (name, each) in enumerate(encoded.items()):
        left, middle, right = grid[i]
        if i == 0:
            _show(
                figure,
                left,
                each.sample.mean(axis=0),
                "sample" if len(each.sample) == 1 else "sample, mean over time",
                colours,
            )
        else:
            left.set_axis_off()
        _draw_train(figure, middle, each.train, name, colours)
        _show(figure, right, *_over_time(each.train), colours)
        if i == len(encoded) - 1:
            middle.set_xlabel("time (steps)")
        else:
            middle.tick_params(labelbottom=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def encoder_animation(each: Encoded, title: str, folder: Path, style: Style) -> Path:
    """Write ``encoder.gif``: the spikes of each step as an image beside the raster, with a cursor that moves along.

    More than 200 steps are thinned evenly. A frame redraws only what changes, so hundreds of frames take a second.
    """
    from PIL import Image

    with sheet(style) as colours:
        figure = picture(3.0)
        figure.set_dpi(min(style.dpi, GIF_DPI))
        canvas = FigureCanvasAgg(figure)
        left, now, middle = figure.subplots(1, 3, width_ratios=(1, 1, 2.4))
        _show(figure, left, each.sample.mean(axis=0), "sample", colours, bar=False)
        images = np.stack([_as_image(step) for step in each.train])
        low = min(0.0, float(images.min()))
        paper = ink_map(colours)
        shown = now.imshow(
            images[0], cmap=paper, vmin=low, vmax=max(1e-9, float(images.max())), interpolation="nearest"
        )
        now.set(xticks=[], yticks=[])
        now.grid(False)
        now.spines[:].set(visible=True, color=colours.caption, linewidth=0.6)
        now.set_title("spikes now" if is_spike_train(each.train) else "now", loc="left")
        _draw_train(figure, middle, each.train, "", colours, bar=False)
        middle.set_xlabel("time (steps)")
        cursor = middle.axvline(0, color=colours.gradient, lw=1.5)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        for artist in (shown, cursor):
            artist.set_animated(True)
        canvas.draw()
        figure.set_layout_engine("none")  # keep the layout: it would be the slowest part of a frame
        background = canvas.copy_from_bbox(figure.bbox)
        frames = []
        for t in thin(len(images), FRAMES):
            canvas.restore_region(background)
            shown.set_data(images[t])
            cursor.set_xdata([t, t])
            now.draw_artist(shown)
            middle.draw_artist(cursor)
            # A copy: the next frame overwrites the canvas.
            frames.append(
                Image.fromarray(np.asarray(canvas.buffer_rgba()).copy()).convert("P", palette=Image.Palette.ADAPTIVE)
            )
    buffer = io.BytesIO()
    pause = max(40, min(200, 5000 // len(frames)))  # milliseconds: about five seconds in all
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0)
    path = folder / "encoder.gif"
    write_bytes(path, buffer.getvalue())
    return path


def _draw_train(figure: Figure, axes: Axes, train: Array, name: str, colours: Palette, bar: bool = True) -> None:
    flat = train.reshape(len(train), -1)
    time = np.arange(len(flat))
    if is_spike_train(flat):
        words = [
            f"{name}: {_mean(flat)}" if name else _mean(flat),
            marks.raster(axes, time, flat > 0, colours.ink, noun="value"),
        ]
        if (flat < 0).any():
            marks.raster(axes, time, flat < 0, colours.gradient, noun="value")
            words.append("negative in orange")
    else:
        rows, steps = thin(flat.shape[1], 400), thin(len(flat), marks.COLUMNS)
        image = axes.imshow(
            flat[steps][:, rows].T, aspect="auto", origin="lower", interpolation="nearest", cmap=ink_map(colours),
            extent=(-0.5, len(flat) - 0.5, -0.5, flat.shape[1] - 0.5),
        )  # fmt: skip
        words = [f"{name}: a current" if name else "a current"]
        if len(rows) < flat.shape[1] or len(steps) < len(flat):
            words.append(f"{len(rows)} of {flat.shape[1]:,} values, {len(steps)} of {len(flat):,} steps shown")
        if bar:
            figure.colorbar(image, ax=axes, label="value (no unit)", pad=0.02)
        axes.grid(False)
    axes.set_title("\n".join(word for word in words if word), loc="left", fontsize=9)
    axes.set_xlim(-0.5 - 0.005 * len(flat), len(flat) - 0.5 + 0.005 * len(flat))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))
    axes.set_ylabel("value (index)")


def _over_time(train: Array) -> tuple[Array, str]:
    """The number of spikes of each value, the step of its only spike, or the mean of its current."""
    if not is_spike_train(train):
        return train.mean(axis=0), "mean over time"
    total = np.abs(train).sum(axis=0)
    if total.max(initial=0) > 1:
        return total, "spikes of each value"
    # The earlier the darker: a value that never fires counts as after the last step.
    return np.where(total > 0, np.abs(train).argmax(axis=0), len(train)), "step of its spike"


def _mean(flat: Array) -> str:
    return f"{np.abs(flat).mean():.2g} spikes per value and step"


def _show(figure: Figure, axes: Axes, values: Array, title: str, colours: Palette, bar: bool = True) -> None:
    image = _as_image(values)
    low, cmap = min(0.0, float(image.min())), ink_map(colours)
    if title == "step of its spike":
        cmap = cmap.reversed()
    shown = axes.imshow(image, cmap=cmap, vmin=low, vmax=max(float(image.max()), 1e-9), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set(visible=True, color=colours.caption, linewidth=0.6)
    axes.set_title(title, loc="left", fontsize=9)
    if bar:
        place = axes.inset_axes((0.0, -0.1, 1.0, 0.045))  # right below, for any size of the axes
        whole = bool((image == image.round()).all() and image.max() > 1)
        ends = shown.get_clim()
        beside = figure.colorbar(shown, cax=place, orientation="horizontal", ticks=ends)
        beside.ax.set_xticklabels([f"{end:.0f}" if whole else f"{end:.2g}" for end in ends])
        beside.ax.tick_params(labelsize=8, length=2)
        beside.outline.set(edgecolor=colours.caption, linewidth=0.6)


def _as_image(values: Array) -> Array:
    """A sample as an image: channels side by side; a row of values folded into a block."""
    if values.ndim == 3:
        return np.concatenate(list(values), axis=1)
    if values.ndim == 2:
        return values
    width = int(np.ceil(np.sqrt(values.size)))
    return np.append(values.reshape(-1), np.zeros(-values.size % width)).reshape(-1, width)
