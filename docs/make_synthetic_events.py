"""Draws the figures of ``docs/synthetic_events.md``: samples of ``moving_bars`` and ``spoken_tones``.

``python docs/make_synthetic_events.py``
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.style
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Generator, Tensor

from snnrun.report.style import STYLE, TRAINING, VALIDATION
from snnrun.task import Batch, MovingBars, SpokenTones

IMAGES = Path(__file__).resolve().parent / "images"
WAYS = ("right", "down", "left", "up")
SHOWN = (1, 4, 7, 10)  # frames


def main() -> None:
    with matplotlib.style.context(STYLE):
        save(bars(), "moving_bars.png")
        save(words(), "spoken_tones.png")


def some(task: MovingBars | SpokenTones, num_steps: int) -> Batch:
    data = task.load(Path("unused"), num_steps, torch.device("cpu"), Generator().manual_seed(0))
    return next(data.test.batches(task.test_samples))


def save(figure: Figure, name: str) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(IMAGES / name, dpi=120)


def bars() -> Figure:
    """A row for each direction: some frames, and the sum over time."""
    batch = some(MovingBars(test_samples=40), 12)
    assert batch.target is not None
    figure = Figure(figsize=(8, 6.6), layout="constrained")
    axes = figure.subplots(len(WAYS), len(SHOWN) + 1)
    for label, way in enumerate(WAYS):
        events = batch.x[:, (batch.target == label).nonzero()[0, 0]]
        frames = [events[t] for t in SHOWN] + [events.sum(0)]
        for axis, frame in zip(axes[label], frames, strict=True):
            axis.imshow(coloured(frame).numpy())
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(True)
        axes[label, 0].set_ylabel(way)
    for axis, title in zip(axes[0], [f"step {t + 1}" for t in SHOWN] + ["sum of all 12"], strict=True):
        axis.set_title(title)
    figure.suptitle("task=moving_bars   blue: ON, brighter; red: OFF, darker", fontsize=10)
    return figure


def coloured(frame: Tensor) -> Tensor:
    """``[H, W, 3]`` of events ``[2, H, W]``: white without any, darker with more."""
    most = frame.max()
    picture = torch.ones(*frame.shape[1:], 3)
    for share, colour in zip(frame / most, (TRAINING, VALIDATION), strict=True):
        rgb = torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        picture *= 1 - share[..., None] * (1 - rgb)
    return picture


def words() -> Figure:
    """Two words and the same words backwards: events, and how many each channel has."""
    task = SpokenTones(test_samples=200)
    batch = some(task, 100)
    assert batch.target is not None
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots(2, 3, width_ratios=(3, 3, 1.4))
    for row, word in zip(axes, (0, 1), strict=True):
        for axis, label, colour in zip(row, (word, word + 10), (TRAINING, VALIDATION), strict=False):
            of_class = (batch.target == label).nonzero().flatten()
            step, channel = batch.x[:, of_class[0]].nonzero().T
            axis.plot(step.numpy(), channel.numpy(), linestyle="none", marker="s", markersize=1.2, color=colour)
            backwards = f": {word} backwards" if label > 9 else ""
            axis.set(xlim=(0, 100), ylim=(0, 700), title=f"class {label}{backwards}")
            counts = batch.x[:, of_class].sum(0).mean(0).view(70, 10).sum(1)
            row[2].plot(counts.numpy(), range(5, 700, 10), color=colour, linewidth=1.2)
        row[0].set_ylabel("channel")
        row[2].set(ylim=(0, 700), yticklabels=[], title="counts (mean)")
    for axis, label in zip(axes[1], ("step", "step", "events"), strict=True):
        axis.set_xlabel(label)
    figure.suptitle("task=spoken_tones", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
