"""Accuracy or loss against the number of time steps: what is drawn, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnrun.config.settings import Style
from snnrun.report import evaluation_figure
from snnrun.report.evaluation import draw_evaluation
from snnrun.report.style import DARK


def test_a_curve_in_the_order_of_the_steps() -> None:
    figure = draw_evaluation({"": [(16, 0.8), (4, 0.5), (8, 0.7)]}, "accuracy", (10, 0.75))
    assert figure is not None
    (axes,) = figure.axes
    curve, mark = axes.lines
    assert np.array_equal(curve.get_xdata(), [4, 8, 16])
    assert np.array_equal(curve.get_ydata(), [50.0, 70.0, 80.0])
    assert np.array_equal(mark.get_xydata(), [[10, 75.0]])
    assert axes.get_ylabel() == "test accuracy (%)" and "T" in axes.get_xlabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["tested again", "recorded test, T = 10"]


def test_a_curve_for_each_label() -> None:
    figure = draw_evaluation({"encoder=rate": [(2, 0.5), (4, None)], "encoder=direct": [(2, 0.25)]}, "loss")
    assert figure is not None
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["encoder=rate", "encoder=direct"]
    assert np.array_equal(axes.lines[0].get_ydata(), [0.5, np.nan], equal_nan=True)
    assert len({line.get_color() for line in axes.lines}) == 2


@pytest.mark.parametrize("curves", [{}, {"": []}, {"": [(2, None)]}])
def test_nothing_to_draw(curves: dict[str, list[tuple[int, float | None]]], tmp_path: Path) -> None:
    assert not evaluation_figure(curves, "loss", tmp_path, Style())
    assert not list(tmp_path.iterdir())


def test_in_the_style(tmp_path: Path) -> None:
    style = Style(format=("svg", "pdf"), theme="dark")
    files = evaluation_figure({"": [(2, 0.5), (4, 0.6)]}, "accuracy", tmp_path, style)
    assert [path.name for path in files] == ["accuracy.svg", "accuracy.pdf"]
    assert DARK.paper.lower() in files[0].read_text(encoding="utf-8").lower()
