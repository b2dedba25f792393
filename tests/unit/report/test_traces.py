"""What is recorded of a neuron, what its spikes amount to, and how it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib.style
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from snnrun.config.settings import Style
from snnrun.neuron import IF, LIF, Neuron
from snnrun.report import draw_traces, marks, views
from snnrun.report.neuron_traces import Traces, record, statistics
from snnrun.report.style import DARK, LIGHT, Palette, palette, sheet
from snnrun.sequence import run
from snnrun.surrogate import Sigmoid


class Filtered(NamedTuple):
    membrane: Tensor
    spikes: Tensor
    current: Tensor
    adaptation: Tensor
    threshold: Tensor
    odd: Tensor  # of another shape: not a trace


class Everything(Neuron):
    """A neuron with all that a state may hold."""

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        current = 0.5 * state.current + x
        u = self.advance(state, lambda v: v + current)
        spikes = self.fire(u)
        return spikes, Filtered(u, spikes, current, state.adaptation + spikes, 1 + state.threshold, state.odd)

    def initial_state(self, x: Tensor) -> Any:
        zeros = torch.zeros_like(x)
        return Filtered(zeros, zeros, zeros, zeros, zeros, odd=torch.zeros(()))


def made(fired: Any, dt: float = 1.0) -> Traces:
    spikes = np.array(fired, dtype=np.float32)
    return Traces(dt, np.zeros_like(spikes), spikes, spikes, np.ones_like(spikes), {}, {})


@pytest.fixture(params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> Iterator[Palette]:
    with sheet(Style(theme=request.param)) as found:
        yield found


def test_the_record_is_that_of_a_run() -> None:
    x = torch.rand(20, 1, 3, generator=torch.Generator().manual_seed(0))
    found = record(LIF(0.9), x, dt=0.5)
    trace, _ = run(LIF(0.9), x)
    np.testing.assert_array_equal(found.spikes, trace.spikes[:, 0])
    np.testing.assert_allclose(found.membrane, trace.membrane[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(found.input, x[:, 0])
    assert found.time[-1] == 9.5 and found.threshold is not None and (found.threshold == 1).all()
    assert not found.states and not found.gradients


def test_all_of_the_state_is_recorded() -> None:
    found = record(Everything(), torch.ones(4, 1, 2))
    assert list(found.states) == ["current", "adaptation"]
    np.testing.assert_allclose(found.states["current"][:, 0], [1, 1.5, 1.75, 1.875])
    assert found.threshold is not None
    assert found.threshold[:, 1].tolist() == [1, 2, 3, 4], "a threshold that moves is the state's"
    assert list(found.arrays()) == ["time", "input", "current", "adaptation", "membrane", "threshold", "spikes"]


def test_the_gradient_of_a_single_step_is_the_surrogates() -> None:
    x = torch.linspace(0, 2, 9)[None, None]
    found = record(IF(surrogate=Sigmoid(4.0), detach_reset=False), x)
    expected = Sigmoid(4.0).derivative(x[0, 0] - 1)
    for name in ("input_gradient", "membrane_gradient"):
        np.testing.assert_allclose(found.gradients[name][0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.gradients["spikes_gradient"][0], -expected, rtol=1e-5)
    assert record(IF(detach_reset=True), x).gradients["spikes_gradient"].tolist() == [[0.0] * 9]


def test_statistics_by_hand() -> None:
    found = statistics(made([[0, 0], [1, 0], [0, 1], [1, 0], [0, 0], [0, 0], [1, 0], [0, 0]], dt=0.5))
    assert found["spikes"] == 4 and found["spike_counts"] == [3, 1] and found["silent_neurons"] == 0
    assert found["firing_rate"] == 4 / 16 and found["rate"] == 0.5 and found["first_spike"] == 0.5
    assert found["interval_mean"] == pytest.approx(1.25) and found["interval_cv"] == pytest.approx(0.25 / 1.25)


@pytest.mark.parametrize("fired", [[[0], [0]], [[0], [1]]])
def test_what_does_not_exist_is_none(fired: Any) -> None:
    found = statistics(made(fired))
    assert found["interval_mean"] is None and found["interval_cv"] is None
    assert (found["first_spike"] is None) == (found["spikes"] == 0)


def test_a_poisson_process_has_a_cv_of_one() -> None:
    fired = torch.rand(20000, 5, generator=torch.Generator().manual_seed(0)) < 0.02
    assert statistics(made(fired.numpy()))["interval_cv"] == pytest.approx(1, abs=0.05)


def every_axis_has_a_unit(figure: Figure) -> bool:
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    labels = [axes.get_ylabel() for axes in shown if axes.get_ylabel()] + [shown[-1].get_xlabel()]
    return all("(" in label for label in labels)


def test_the_figure_shows_each_quantity_in_its_colour(colours: Palette) -> None:
    found = record(Everything(), 0.3 * torch.ones(30, 1, 1))
    figure = draw_traces.draw_traces(found, "all", colours)
    given, current, adaptation, membrane = figure.axes
    assert given.get_lines()[0].get_color() == colours.input
    assert (current.get_lines()[0].get_color(), adaptation.get_lines()[0].get_color()) == colours.states[:2]
    trace, threshold = membrane.get_lines()
    assert (trace.get_color(), threshold.get_linestyle(), threshold.get_color()) == (
        colours.membrane,
        "--",
        colours.ink,
    )
    ticks = membrane.collections[0].get_segments()  # type: ignore[attr-defined]
    assert [segment[0][0] for segment in ticks] == np.flatnonzero(found.spikes[:, 0]).tolist()
    assert min(segment[0][1] for segment in ticks) > 0.85, "above the trace"
    assert every_axis_has_a_unit(figure)


def test_many_neurons_and_steps_are_thinned_and_it_is_said() -> None:
    generator = torch.Generator().manual_seed(0)
    found = record(IF(), torch.rand(5000, 1, 300, generator=generator))
    with sheet(Style()):
        figure = draw_traces.draw_traces(found, "many", LIGHT)
    assert "lowest to highest in 5 steps" in figure.axes[0].get_title(loc="left")
    caption = figure.axes[-1].get_title(loc="left")
    assert "100 of 300 neurons shown" in caption and "a mark is a spike or more in 5 steps" in caption
    assert max(len(line.get_xdata()) for axes in figure.axes for line in axes.get_lines()) <= 2 * marks.COLUMNS  # type: ignore[arg-type]
    assert sum(len(axes.collections) for axes in figure.axes) == 0, "a picture, not half a million lines"


def test_thinning_loses_no_peak() -> None:
    values = np.zeros(10_000)
    values[7777] = 3.0
    figure = Figure()
    axes = figure.add_subplot()
    assert marks.trace(axes, np.arange(10_000), values) == "traces: lowest to highest in 10 steps"
    line = np.asarray(axes.get_lines()[0].get_xydata())
    assert line[np.argmax(line[:, 1])].tolist() == [7770, 3]


def test_the_overlay_has_a_row_for_each_simulation(colours: Palette) -> None:
    x = 0.3 * torch.ones(30, 1, 1)
    given = {name: record(LIF(0.9, reset=name), x) for name in ("subtract", "zero", "none")}
    figure = draw_traces.draw_overlay(given, colours)
    top, middle, bottom = figure.axes
    assert len(top.get_lines()) == 1, "one input for all"
    assert [line.get_color() for line in middle.get_lines()[:3]] == list(colours.cycle[:3])
    assert [text.get_text() for text in bottom.get_yticklabels()] == [
        f"{name} ({int(each.spikes.sum())})" for name, each in given.items()
    ]
    many = {f"s{i}": record(LIF(0.9), (0.1 + 0.01 * i) * x) for i in range(30)}
    with sheet(Style()):
        assert "curves of the first 12 only" in draw_traces.draw_overlay(many, colours).axes[0].get_title(loc="left")


def test_the_step_figure_and_the_views_have_units(colours: Palette) -> None:
    step = draw_traces.draw_step(record(IF(), torch.linspace(0, 2, 9)[None, None]), "ramp", colours)
    assert "4 of 9 neurons fire" in step.axes[0].get_title(loc="left")
    x = np.linspace(-2, 2, 401)
    surrogate = views.draw_surrogates({"a": views.SurrogateCurve(x, x > 0, x, x)}, colours)
    rate = views.draw_rates({"a": views.RateCurve(x, x, 0.001, {"time": "s", "input": "A"})}, colours)
    assert (rate.axes[0].get_xlabel(), rate.axes[0].get_ylabel()) == ("input current (A)", "firing rate (Hz)")
    train = np.zeros((5, 1, 4, 4))
    train[2, 0, 1] = 1
    encoder = views.draw_encoders({"a": views.Encoded(train[:1], train)}, "title", colours)
    assert encoder.axes[2].get_title(loc="left") == "step of its spike"
    for figure in (step, surrogate, rate):
        assert every_axis_has_a_unit(figure)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_stands_out_from_the_paper(theme: str) -> None:
    found = palette(Style(theme=theme))
    for colour in (
        found.ink,
        found.caption,
        found.input,
        found.membrane,
        found.gradient,
        found.primitive,
        *found.cycle,
    ):
        light, dark = sorted((luminance(colour), luminance(found.paper)), reverse=True)
        least = 4.5 if colour in (found.ink, found.caption) else 1.9  # Okabe and Ito's orange and sky blue on white
        assert (light + 0.05) / (dark + 0.05) >= least, colour
    assert len(set(found.cycle)) == len(found.cycle)


def test_the_sheet_is_undone() -> None:
    before = dict(matplotlib.rcParams)
    with sheet(Style(theme="dark")) as found:
        assert found is DARK and matplotlib.rcParams["axes.facecolor"] == DARK.paper
    assert dict(matplotlib.rcParams) == before
