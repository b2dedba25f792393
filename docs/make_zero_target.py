"""Writes ``docs/images/zero_target.png`` from the folders of two runs: loss, gradient and lost neurons, step by step.

    snnrun experiment=zero_target
    snnrun experiment=zero_target_article
    python docs/make_zero_target.py RUN_OF_ZERO_TARGET RUN_OF_THE_ARTICLE

Everything is read from ``metrics.jsonl``. A gradient that is not finite is ``null`` there, and a gap with a mark here.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from snnrun.report.style import STYLE, TRAINING, VALIDATION

IMAGE = Path(__file__).resolve().parent / "images" / "zero_target.png"
Records = list[dict[str, Any]]


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: python docs/make_zero_target.py RUN_OF_ZERO_TARGET RUN_OF_THE_ARTICLE", file=sys.stderr)
        return 2
    detached, article = (records(Path(folder)) for folder in sys.argv[1:])
    with matplotlib.style.context(["default", STYLE]):
        figure = draw(detached, article)
        FigureCanvasAgg(figure).print_png(IMAGE, metadata={"Software": None})
    for name, run in (("detached", detached), ("article", article)):
        print(f"{name}: {summary(run)}")
    return 0


def records(folder: Path) -> Records:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def steps(run: Records) -> Records:
    return [record for record in run if record["kind"] == "step"]


def lost(run: Records) -> dict[int, int]:
    """Neurons with weights that are not finite, after each step."""
    told = {r["step"]: max(r["lost"].values(), default=0) for r in run if r["kind"] == "warning" and "lost" in r}
    found, count = {}, 0
    for record in steps(run):
        count = told.get(record["step"], count)
        found[record["step"]] = count
    return found


def draw(detached: Records, article: Records) -> Figure:
    figure = Figure(figsize=(8, 6.4), dpi=110, layout="constrained")
    top, middle, bottom = figure.subplots(3, sharex=True, height_ratios=[3, 3, 2])
    for run, color, label in (
        (article, VALIDATION, "as published: gradient through the reset"),
        (detached, TRAINING, "reset detached"),
    ):
        found = steps(run)
        x = [record["step"] for record in found]
        norms = [math.nan if record["gradient_norm"] is None else record["gradient_norm"] for record in found]
        top.plot(x, [record["loss"] for record in found], color=color, label=label)
        middle.plot(x, norms, color=color, marker="o", ms=3)
        gone = [step for step, norm in zip(x, norms, strict=True) if math.isnan(norm)]
        if gone:
            at_top = middle.get_xaxis_transform()
            middle.plot(gone, [0.96] * len(gone), "x", color=color, transform=at_top, clip_on=False)
            middle.text(gone[0] + 2, 0.86, f"not finite, from iteration {gone[0]} on", color=color, transform=at_top)
        bottom.step(x, list(lost(run).values()), where="mid", color=color)
    finish(top, "loss", "Loss: it falls, whatever becomes of the neurons")
    finish(middle, "2-norm", "Gradient")
    finish(bottom, "neurons", "Neurons lost: weights that are not finite, of 500")
    top.set_yscale("log")
    middle.set_yscale("log")
    bottom.set_xlabel("iteration")
    bottom.yaxis.get_major_locator().set_params(integer=True)
    top.legend(loc="lower left")
    return figure


def finish(axes: Axes, label: str, title: str) -> None:
    axes.set_ylabel(label)
    axes.set_title(title, loc="left")


def summary(run: Records) -> str:
    """The numbers that the pages quote."""
    found = steps(run)
    finite = [record for record in found if record["gradient_norm"] is not None]
    largest = max(finite, key=lambda record: record["gradient_norm"])
    return (
        f"loss {found[0]['loss']:.3f} to {found[-1]['loss']:.2e} in {len(found)} iterations; "
        f"largest finite gradient {largest['gradient_norm']:.3g} at iteration {largest['step']}; "
        f"not finite at {len(found) - len(finite)}; neurons lost {max(lost(run).values())}"
    )


if __name__ == "__main__":
    sys.exit(main())
