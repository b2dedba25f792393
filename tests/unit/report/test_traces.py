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


class FilterState(NamedTuple):
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
        return spikes, FilterState(u, spikes, current, state.adaptation + spikes, 1 + state.threshold, state.odd)

    def initial_state(self, x: Tensor) -> Any:
        zeros = torch.zeros_like(x)
        return FilterState(zeros, zeros, zeros, zeros, zeros, odd=torch.zeros(()))


def traces_of(spike_train: Any, dt: float = 1.0) -> Traces:
    spikes = np.array(spike_train, dtype=np.float32)
    return Traces(dt, np.zeros_like(spikes), spikes, spikes, np.ones_like(spikes), {}, {})


@pytest.fixture(params=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> Iterator[Palette]:
    with sheet(Style(theme=request.param)) as in_use:
        yield in_use


def test_the_record_is_that_of_a_run() -> None:
    x = torch.rand(20, 1, 3, generator=torch.Generator().manual_seed(0))
    traces = record(LIF(0.9), x, dt=0.5)
    trace, _ = run(LIF(0.9), x)
    np.testing.assert_array_equal(traces.spikes, trace.spikes[:, 0])
    np.testing.assert_allclose(traces.membrane, trace.membrane[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(traces.input, x[:, 0])
    assert traces.time[-1] == 9.5 and traces.threshold is not None and (traces.threshold == 1).all()
    assert not traces.states and not traces.gradients


def test_all_of_the_state_is_recorded() -> None:
    traces = record(Everything(), torch.ones(4, 1, 2))
    assert list(traces.states) == ["current", "adaptation"]
    np.testing.assert_allclose(traces.states["current"][:, 0], [1, 1.5, 1.75, 1.875])
    assert traces.threshold is not None
    assert traces.threshold[:, 1].tolist() == [1, 2, 3, 4], "a threshold that moves is the state's"
    assert list(traces.arrays()) == ["time", "input", "current", "adaptation", "membrane", "threshold", "spikes"]


def test_the_gradient_of_a_single_step_is_the_surrogates() -> None:
    x = torch.linspace(0, 2, 9)[None, None]
    traces = record(IF(surrogate=Sigmoid(4.0), detach_reset=False), x)
    expected = Sigmoid(4.0).derivative(x[0, 0] - 1)
    for name in ("input_gradient", "membrane_gradient"):
        np.testing.assert_allclose(traces.gradients[name][0], expected, rtol=1e-5)
    np.testing.assert_allclose(traces.gradients["spikes_gradient"][0], -expected, rtol=1e-5)
    assert record(IF(detach_reset=True), x).gradients["spikes_gradient"].tolist() == [[0.0] * 9]


def test_statistics_by_hand() -> None:
    numbers = statistics(traces_of([[0, 0], [1, 0], [0, 1], [1, 0], [0, 0], [0, 0], [1, 0], [0, 0]], dt=0.5))
    assert numbers["spikes"] == 4 and numbers["spike_counts"] == [3, 1] and numbers["silent_neurons"] == 0
    assert numbers["firing_rate"] == 4 / 16 and numbers["rate"] == 0.5 and numbers["first_spike"] == 0.5
    assert numbers["interval_mean"] == pytest.approx(1.25) and numbers["interval_cv"] == pytest.approx(0.25 / 1.25)


@pytest.mark.parametrize("spike_train", [[[0], [0]], [[0], [1]]])
def test_what_does_not_exist_is_none(spike_train: Any) -> None:
    numbers = statistics(traces_of(spike_train))
    assert numbers["interval_mean"] is None and numbers["interval_cv"] is None
    assert (numbers["first_spike"] is None) == (numbers["spikes"] == 0)


def test_a_poisson_process_has_a_cv_of_one() -> None:
    spike_train = torch.rand(20000, 5, generator=torch.Generator().manual_seed(0)) < 0.02
    assert statistics(traces_of(spike_train.numpy()))["interval_cv"] == pytest.approx(1, abs=0.05)


def every_axis_has_a_unit(figure: Figure) -> bool:
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    labels = [axes.get_ylabel() for axes in panels if axes.get_ylabel()] + [panels[-1].get_xlabel()]
    return all("(" in label for label in labels)


def test_the_figure_shows_each_quantity_in_its_colour(colours: Palette) -> None:
    traces = record(Everything(), 0.3 * torch.ones(30, 1, 1))
    figure = draw_traces.draw_traces(traces, "all", colours)
    input_axes, current, adaptation, membrane = figure.axes
    assert input_axes.get_lines()[0].get_color() == colours.input
    assert (current.get_lines()[0].get_color(), adaptation.get_lines()[0].get_color()) == colours.states[:2]
    trace, threshold = membrane.get_lines()
    assert (trace.get_color(), threshold.get_linestyle(), threshold.get_color()) == (
        colours.membrane,
        "--",
        colours.ink,
    )
    ticks = membrane.collections[0].get_segments()  # type: ignore[attr-defined]
    assert [segment[0][0] for segment in ticks] == np.flatnonzero(traces.spikes[:, 0]).tolist()
    assert min(segment[0][1] for segment in ticks) > 0.85, "above the trace"
    assert every_axis_has_a_unit(figure)


def test_many_neurons_and_steps_are_thinned_and_the_title_shows_it() -> None:
    generator = torch.Generator().manual_seed(0)
    traces = record(IF(), torch.rand(5000, 1, 300, generator=generator))
    with sheet(Style()):
        figure = draw_traces.draw_traces(traces, "many", LIGHT)
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
    simulations = {name: record(LIF(0.9, reset=name), x) for name in ("subtract", "zero", "none")}
    figure = draw_traces.draw_overlay(simulations, colours)
    top, middle, bottom = figure.axes
    assert len(top.get_lines()) == 1, "one input for all"
    assert [line.get_color() for line in middle.get_lines()[:3]] == list(colours.cycle[:3])
    assert [text.get_text() for text in bottom.get_yticklabels()] == [
        f"{name} ({int(each.spikes.sum())})" for name, each in simulations.items()
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
    of_theme = palette(Style(theme=theme))
    for colour in (
        of_theme.ink,
        of_theme.caption,
        of_theme.input,
        of_theme.membrane,
        of_theme.gradient,
        of_theme.primitive,
        *of_theme.cycle,
    ):
        light, dark = sorted((luminance(colour), luminance(of_theme.paper)), reverse=True)
        least = (
            4.5 if colour in (of_theme.ink, of_theme.caption) else 1.9
        )  # Okabe and Ito's orange and sky blue on white
        assert (light + 0.05) / (dark + 0.05) >= least, colour
    assert len(set(of_theme.cycle)) == len(of_theme.cycle)


def test_the_sheet_is_undone() -> None:
    before = dict(matplotlib.rcParams)
    with sheet(Style(theme="dark")) as in_use:
        assert in_use is DARK and matplotlib.rcParams["axes.facecolor"] == DARK.paper
    assert dict(matplotlib.rcParams) == before
