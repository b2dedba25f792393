"""The figure of delays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnrun.config.settings import Style
from snnrun.report.delays import MOST, LayerDelays, delays_figure, draw_delays

SYNAPSES = LayerDelays(np.array([[0.0, 1.2, 4.0], [0.9, 3.6, 4.0]]), 4)
AXONS = LayerDelays(np.array([2.0, 0.0, 2.4]), 5)


def test_each_layer_has_its_histogram_and_its_delays() -> None:
    figure = draw_delays({"hidden1": SYNAPSES, "output": AXONS})
    assert figure is not None
    histogram, matrix, other, order = figure.axes[:4]
    assert [bar.get_height() for bar in histogram.patches] == pytest.approx([100 / 6, 100 / 3, 0, 0, 50])  # type: ignore[attr-defined]
    assert [bar.get_height() for bar in other.patches] == pytest.approx([100 / 3, 0, 200 / 3, 0, 0, 0])  # type: ignore[attr-defined]
    (image,) = matrix.get_images()
    assert np.array_equal(image.get_array(), SYNAPSES.values)  # type: ignore[arg-type]
    assert image.get_clim() == (0, 4)
    assert np.array_equal(order.get_lines()[0].get_ydata(), [0, 2, 2.4])
    assert (histogram.get_title(loc="left"), other.get_xlabel()) == ("hidden1", "delay (steps)")


def test_many_layers_and_none(tmp_path: Path) -> None:
    figure = draw_delays({f"hidden{i}": AXONS for i in range(MOST + 3)})
    assert figure is not None
    assert len(figure.axes) == 2 * MOST
    assert delays_figure({}, tmp_path, Style()) == []
    (path,) = delays_figure({"output": AXONS}, tmp_path / "figures", Style(format=("png",)))
    assert path.name == "delays.png" and path.stat().st_size > 1000
