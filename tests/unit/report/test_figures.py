"""The figures, read back as data: what lies on which axes, in which unit. No picture is compared with another."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import Tensor

from snnrun.config.settings import Style
from snnrun.report import figures, raster
from snnrun.report.confusion import confusion_figure, draw_confusion
from snnrun.report.raster import Example, StepLabels
from snnrun.report.style import DARK, LIGHT, sheet
from snnrun.training.confusion import Confusion
from snnrun.training.records import LogRecord, record_of

PNG = Style(format=("png",))


class Trace(NamedTuple):
    spikes: Tensor
    membrane: Tensor


def records(epochs: int = 4, steps: int = 3, accuracy: bool = True) -> list[LogRecord]:
    rows: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            rows.append({"kind": "step", "epoch": epoch, "step": step, "loss": 2.0 / step})
            rows[-1].update({"accuracy": 0.5} if accuracy else {})
        layers = {
            "hidden1": {"firing_rate": 0.1 * epoch, "silent": 0.25, "saturated": 0.0},
            "output": {"firing_rate": 0.2, "silent": 0.0, "saturated": 0.5},
        }
        rows.append({"kind": "epoch", "epoch": epoch, "step": epoch * steps, "train_loss": 1.0 / epoch})
        rows[-1].update(validation_loss=1.5 / epoch, best=epoch <= 2, layers=layers)
        rows[-1].update({"train_accuracy": 0.6, "validation_accuracy": 0.7} if accuracy else {})
    return [record for values in rows if (record := record_of(values)) is not None]


def change(record: LogRecord, **values: Any) -> LogRecord:
    return replace(record, **values)


def traces(steps: int = 6, sizes: tuple[int, ...] = (5, 3), batch: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    values: dict[str, Any] = {"input": torch.randint(0, 2, (steps, batch, 4), generator=generator).float()}
    for i, size in enumerate(sizes):
        membrane = torch.randn(steps, batch, size, generator=generator)
        name = "output" if i == len(sizes) - 1 else f"hidden{i + 1}"
        values[name] = Trace((membrane > 1).float(), membrane)
    return values


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines()}


def list_of_lines(axes: Any) -> list[Any]:
    return list(axes.get_lines())


def ticks(axes: Any) -> set[tuple[float, float]]:
    """(time step, neuron) of each spike drawn."""
    return {
        (float(segment[0][0]), float(segment[:, 1].mean()))
        for collection in axes.collections
        for segment in collection.get_segments()
    }


def test_loss_has_steps_epochs_and_the_best_on_one_axis() -> None:
    figure = figures.draw_loss(records())
    assert figure is not None
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "loss", "linear")
    curves = lines(axes)
    np.testing.assert_allclose(curves["training, single steps"].get_xdata(), np.arange(1, 13) / 3)
    np.testing.assert_allclose(curves["training, single steps"].get_ydata(), 2.0 / np.arange(1, 13))
    np.testing.assert_allclose(curves["training, mean of the epoch"].get_xydata(), [(e, 1 / e) for e in range(1, 5)])
    np.testing.assert_allclose(curves["validation"].get_xydata(), [(e, 1.5 / e) for e in range(1, 5)])
    np.testing.assert_allclose(curves["best epoch: 2 (0.75)"].get_xydata(), [(2, 0.75)])


def test_accuracy_is_in_percent() -> None:
    figure = figures.draw_accuracy(records())
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_ylabel() == "accuracy (%)"
    assert set(lines(axes)["validation"].get_ydata()) == {70.0}
    assert "best epoch: 2 (70.0 %)" in lines(axes)


def test_one_quantity_has_one_colour() -> None:
    loss, accuracy = figures.draw_loss(records()), figures.draw_accuracy(records())
    assert loss is not None and accuracy is not None
    first, second = lines(loss.axes[0]), lines(accuracy.axes[0])
    assert (
        first["validation"].get_color()
        == second["validation"].get_color()
        != first["training, single steps"].get_color()
    )
    rate, raster_figure = figures.draw_firing_rate(records()), figures.draw_raster(traces())
    assert rate is not None and raster_figure is not None
    colour = lines(rate.axes[0])["output"].get_color()
    spikes: Any = raster_figure.axes[2].collections[0]
    assert tuple(spikes.get_edgecolor()[0]) == matplotlib.colors.to_rgba(colour)


def test_a_single_epoch_is_drawn_in_steps() -> None:
    figure = figures.draw_loss(records(epochs=1, steps=5))
    assert figure is not None
    assert figure.axes[0].get_xlabel() == "step"
    np.testing.assert_allclose(lines(figure.axes[0])["training, single steps"].get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(lines(figure.axes[0])["validation"].get_xydata(), [(5, 1.5)])


def test_an_epoch_cut_short_is_as_long_as_the_one_before() -> None:
    figure = figures.draw_loss(records(epochs=3, steps=4)[:-4])  # epoch 3: one step, and no end
    assert figure is not None
    assert lines(figure.axes[0])["training, single steps"].get_xdata()[-1] == pytest.approx(2.25)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_finite_is_a_gap(value: float | None) -> None:
    data = records()
    data[1] = change(data[1], loss=value)
    data[3] = change(data[3], validation_loss=value)
    figure = figures.draw_loss(data)
    assert figure is not None
    curves = lines(figure.axes[0])
    assert np.flatnonzero(np.isnan(curves["training, single steps"].get_ydata())).tolist() == [1]
    assert np.flatnonzero(np.isnan(curves["validation"].get_ydata())).tolist() == [0]


@pytest.mark.parametrize(("last", "scale"), [(0.03, "linear"), (0.01, "log"), (0.0, "linear"), (-1.0, "linear")])
def test_log_axis_only_beyond_two_decades_and_above_zero(last: float, scale: str) -> None:
    data = records()
    data[-1] = change(data[-1], validation_loss=last)
    figure = figures.draw_loss(data)
    assert figure is not None
    assert figure.axes[0].get_yscale() == scale


def test_firing_rate_has_a_panel_for_each_quantity_and_a_line_for_each_layer() -> None:
    figure = figures.draw_firing_rate(records())
    assert figure is not None
    rate, silent, saturated = figure.axes
    assert rate.get_ylabel().replace("\n", " ") == "spikes per neuron and step"
    assert silent.get_ylabel() == saturated.get_ylabel() == "neurons (%)"
    assert saturated.get_xlabel() == "epoch"
    np.testing.assert_allclose(lines(rate)["hidden1"].get_ydata(), [0.1, 0.2, 0.3, 0.4])
    assert set(lines(silent)["hidden1"].get_ydata()) == {25.0}
    assert set(lines(saturated)["output"].get_ydata()) == {50.0}


def test_nothing_to_show_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    assert not figures.accuracy_figure(records(accuracy=False), folder, PNG)
    assert not figures.loss_figure([], folder, PNG)
    assert not figures.firing_rate_figure([], folder, PNG)
    assert not figures.membrane_figure({"input": torch.zeros(2, 1, 3)}, {}, folder, PNG)
    assert not figures.raster_figure({}, folder, PNG)
    assert not confusion_figure(None, folder, PNG)
    assert list(tmp_path.iterdir()) == []


def test_raster_shows_the_spikes_of_the_sample_and_no_other() -> None:
    layers = traces()
    figure = figures.draw_raster(layers, sample=1)
    assert figure is not None
    assert figure.axes[-1].get_xlabel() == "time step"
    for axes, spikes in zip(
        figure.axes, (layers["input"], layers["hidden1"].spikes, layers["output"].spikes), strict=True
    ):
        assert ticks(axes) == {(float(t), float(n)) for t, n in spikes[:, 1].nonzero().tolist()}


@pytest.mark.parametrize(("prediction", "verdict"), [(2, "correct"), (0, "wrong")])
def test_raster_and_membrane_name_the_sample(prediction: int, verdict: str) -> None:
    layers, names = traces(), ("shoe", "$bag_{", "7")
    example = Example(12, names, 2, prediction)
    for figure in (figures.draw_raster(layers, 1, example), figures.draw_membrane(layers, {}, 1, 3, example)):
        assert figure is not None
        assert figure.get_suptitle() == f"test sample 12: class 7, prediction {names[prediction]} ({verdict})"


def test_a_sample_without_a_label_has_its_number_alone() -> None:
    assert Example(4).words() == "test sample 4"
    assert Example(4, ("a", "b"), 1, None).words() == "test sample 4"
    assert Example(0, ("a", "b"), 1, 5).words() == "test sample 0: class b, prediction 5 (wrong)"
    assert Example(0, "ab", 0, 0, tied=2).words() == (
        "test sample 0: class a, prediction a (a tie of 2 classes, the first counts)"
    )
    assert len(Example(0, ("a" * 1000, "\x1b[31m\nb"), 0, 1).words()) < 100
    assert "class b," in Example(0, ("a", "\x1b[31m\nb"), 1, 0).words()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_stands_beside_the_raster(channels: int) -> None:
    image = np.linspace(0, 1, channels * 6, dtype=np.float32).reshape(channels, 2, 3)
    figure = figures.draw_raster(traces(), 0, Example(0, image=image))
    assert figure is not None
    *panels, beside = figure.axes
    assert len(panels) == 3 and [axes.get_subplotspec().colspan.start for axes in panels] == [0, 0, 0]  # type: ignore[union-attr]
    (picture,) = beside.get_images()
    np.testing.assert_array_equal(picture.get_array(), image[0] if channels == 1 else image.transpose(1, 2, 0))
    assert picture.get_clim() == (0, 1)
    assert not figures.draw_raster(traces(), 0, Example(0)).axes[-1].get_images()  # type: ignore[union-attr]


def test_labels_over_time_stand_below_the_raster(tmp_path: Path) -> None:
    labels = StepLabels(np.array([0, 0, -1, 2, 2, 1]), np.array([0, 1, 1, 2, 2, 2]))
    assert labels.score() == (3, 5)
    example = Example(3, ("a", "b", "c"), steps=labels)
    figure = figures.draw_raster(traces(), 0, example)
    assert figure is not None
    *panels, below = figure.axes
    assert len(panels) == 3 and below.get_xlim() == panels[0].get_xlim()
    true, predicted = (np.asarray(patch.get_data().values) for patch in below.patches)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(true, [0, 0, np.nan, 2, 2, 1])
    np.testing.assert_array_equal(predicted, [0, 1, 1, 2, 2, 2])
    assert [text.get_text() for text in below.get_yticklabels()] == ["a", "b", "c"]
    raster.save_raster({}, torch.zeros(6, 1, 3), tmp_path / "raster.npz", example=example)
    with np.load(tmp_path / "raster.npz") as arrays:
        assert arrays["step_labels"].tolist() == labels.true.tolist()
        assert arrays["step_predictions"].tolist() == labels.predicted.tolist()


def colours_of(figure: Any) -> set[str]:
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    ticks = [colour for axes in figure.axes for each in axes.collections for colour in each.get_edgecolor()]
    return {matplotlib.colors.to_hex(colour).upper() for colour in (*(line.get_color() for line in lines), *ticks)}


def test_a_dark_figure_has_dark_colours_alone() -> None:
    layers = traces()
    for draw in (
        lambda colours: figures.draw_loss(records(), colours),
        lambda colours: figures.draw_firing_rate(records(), colours),
        lambda colours: figures.draw_raster(layers, colours=colours),
        lambda colours: figures.draw_membrane(layers, dict.fromkeys(layers, 1.0), colours=colours),
    ):
        light, dark = colours_of(draw(LIGHT)), colours_of(draw(DARK))
        for used_colours, palette in ((light, LIGHT), (dark, DARK)):
            allowed_colours = (palette.ink, palette.input, palette.training, palette.validation, *palette.layers)
            assert used_colours <= {colour.upper() for colour in allowed_colours}
        assert light != dark


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_every_format_and_dpi(tmp_path: Path, kind: str) -> None:
    (path,) = figures.raster_figure(traces(), tmp_path / "figures", Style(dpi=50, format=(kind,), theme="dark"))
    assert path == tmp_path / "figures" / f"raster.{kind}"
    content = path.read_bytes()
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])
    assert kind != "png" or int.from_bytes(content[16:20], "big") == 400  # 8 inches of 50 dots
    assert kind != "svg" or DARK.paper.lower() in content.decode().lower()


def test_raster_thins_large_layers_evenly_and_shows_their_number() -> None:
    figure = figures.draw_raster({"output": Trace(torch.ones(3, 1, 991), torch.ones(3, 1, 991))})
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "output (100 of 991 neurons shown): 1 spikes per neuron and step"
    rows = sorted({neuron for _, neuron in ticks(axes)})
    np.testing.assert_allclose(rows, np.arange(0, 991, 10))


def test_raster_names_currents_and_negative_spikes() -> None:
    current = figures.draw_raster({"input": torch.rand(4, 1, 6)})
    assert current is not None
    image: Any = current.axes[0].images[0].get_array()
    assert image.shape == (6, 4)  # neurons up, time to the right
    assert "current" in current.axes[0].get_title(loc="left")
    with_signs = figures.draw_raster({"input": torch.tensor([[[1.0, 0.0]], [[0.0, -1.0]]])})
    assert with_signs is not None
    assert ticks(with_signs.axes[0]) == {(0.0, 0.0), (1.0, 1.0)}
    assert "negative spikes in orange" in with_signs.axes[0].get_title(loc="left")


def test_membrane_is_in_units_of_its_threshold_most_active_neuron_first() -> None:
    membrane = torch.tensor([[0.0, 4.0, 1.0], [0.0, 4.0, 3.0]])[:, None]
    spikes = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]])[:, None]
    figure = figures.draw_membrane({"output": Trace(spikes, membrane)}, {"output": torch.tensor([1.0, 2.0, 4.0])})
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["output, neuron 1: 2 spikes", "output, neuron 2: 1 spike", "output, neuron 0: 0 spikes"]
    level, trace = list_of_lines(figure.axes[1])
    assert set(level.get_ydata()) == {1.0} and level.get_linestyle() == "--"
    np.testing.assert_allclose(trace.get_ydata(), [0.25, 0.75])
    assert [x for x, _ in sorted(ticks(figure.axes[1]))] == [1.0]
    assert figure.get_supylabel() == "membrane before the reset (threshold units)"
    assert figure.axes[-1].get_xlabel() == "time step"


def test_membrane_without_a_threshold_is_drawn_as_it_is() -> None:
    silent = Trace(torch.zeros(3, 1, 1), torch.full((3, 1, 1), 7.0))
    for thresholds in ({}, {"output": math.inf}):
        figure = figures.draw_membrane({"output": silent}, thresholds)
        assert figure is not None
        (trace,) = list_of_lines(figure.axes[0])
        assert set(trace.get_ydata()) == {7.0}
        assert figure.get_supylabel() == "membrane before the reset"


@pytest.mark.parametrize(("steps", "sizes"), [(1, (1,)), (5, (3, 1)), (1, (40,) * 8), (5, (40,) * 8)])
def test_unusual_shapes_make_a_picture(tmp_path: Path, steps: int, sizes: tuple[int, ...]) -> None:
    layers = traces(steps, sizes)
    layers["output"].membrane[:] = math.nan
    example = Example(3, ("a", "b" * 300), 0, 1, np.ones((3, 2, 2), np.float32))
    assert figures.raster_figure(layers, tmp_path, PNG, example)
    assert figures.membrane_figure(layers, dict.fromkeys(layers, 1.0), tmp_path, PNG, example)
    for name in ("raster.png", "membrane.png"):
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert int.from_bytes(content[16:20], "big") == 1200  # 8 inches of 150 dots


def test_settings_of_the_user_neither_count_nor_change(tmp_path: Path) -> None:
    (plain,) = figures.loss_figure(records(), tmp_path / "plain", PNG)
    with matplotlib.rc_context({"font.size": 31.0, "lines.linewidth": 9.0, "figure.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        (own,) = figures.loss_figure(records(), tmp_path / "own", PNG)
        assert dict(matplotlib.rcParams) == before
    assert plain.read_bytes() == own.read_bytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_saved_raster_holds_the_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    layers = {
        name: Trace(value.spikes.to(dtype), value.membrane.to(dtype).requires_grad_())
        for name, value in traces().items()
        if name != "input"
    }
    current = torch.rand(6, 2, 2, 2).to(dtype)
    raster.save_raster(layers, current, tmp_path / "raster.npz", sample=1)
    with np.load(tmp_path / "raster.npz") as arrays:
        assert set(arrays) == {"input", "hidden1.spikes", "hidden1.membrane", "output.spikes", "output.membrane"}
        assert arrays["hidden1.spikes"].dtype == np.uint8 and arrays["hidden1.membrane"].dtype == np.float32
        np.testing.assert_array_equal(arrays["hidden1.spikes"], layers["hidden1"].spikes[:, 1].float().numpy())
        membrane = layers["output"].membrane[:, 1].detach().float().numpy()
        np.testing.assert_array_equal(arrays["output.membrane"], membrane)
        np.testing.assert_array_equal(arrays["input"], current[:, 1].float().flatten(1).numpy())


def test_saved_raster_names_the_sample(tmp_path: Path) -> None:
    train = torch.zeros(2, 1, 3)
    raster.save_raster({}, train, tmp_path / "raster.npz", example=Example(5, ("a", "b"), 1, 0))
    with np.load(tmp_path / "raster.npz") as arrays:
        facts = {name: int(arrays[name]) for name in set(arrays) - {"input"}}
    assert facts == {"sample": 5, "label": 1, "prediction": 0, "tied": 1}
    raster.save_raster({}, train, tmp_path / "raster.npz", example=Example(5))
    with np.load(tmp_path / "raster.npz") as arrays:
        assert set(arrays) == {"input", "sample"}
    image = np.array([[[0.0, 0.5, 2.0]]], np.float32)
    raster.save_raster({}, train, tmp_path / "raster.npz", example=Example(5, image=image))
    with np.load(tmp_path / "raster.npz") as arrays:
        assert arrays["image"].dtype == np.uint8 and arrays["image"].tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize(("low", "kind"), [(0, np.uint8), (-1, np.int8)])
def test_saved_input_spikes_are_small_whole_numbers(tmp_path: Path, low: int, kind: type) -> None:
    train = torch.randint(low, 2, (9, 1, 9), generator=torch.Generator().manual_seed(0)).float()
    raster.save_raster({}, train, tmp_path / "raster.npz")
    with np.load(tmp_path / "raster.npz") as arrays:
        assert arrays["input"].dtype == kind
        np.testing.assert_array_equal(arrays["input"], train[:, 0].numpy())


def confusion(size: int, name: str = "class {}") -> Confusion:
    counts = tuple(tuple(7 if i == j else int(j == (i + 1) % size) for j in range(size)) for i in range(size))
    return Confusion(tuple(name.format(i) for i in range(size)), counts, tuple(map(sum, counts)))


def test_the_confusion_matrix_has_counts_and_accuracies() -> None:
    matrix = Confusion(("cat", "do$g", "eel"), ((3, 1, 0), (0, 0, 2), (0, 0, 0)), (4, 4, 0))
    counts, accuracies = draw_confusion(matrix).axes
    assert [[label.get_text() for label in axis.get_ticklabels()] for axis in (counts.xaxis, counts.yaxis)] == [
        ["cat", "do$g", "eel"]
    ] * 2
    (image,) = counts.get_images()
    np.testing.assert_array_equal(image.get_array(), [[0.75, 0.25, 0], [0, 0, 0.5], [0, 0, 0]])
    assert {(text.get_position(), text.get_text()) for text in counts.texts} == {
        ((0, 0), "3"),
        ((1, 0), "1"),
        ((2, 1), "2"),
    }
    assert [bar.get_width() for bar in accuracies.patches] == [75.0, 0.0, 0.0]  # type: ignore[attr-defined]
    assert [text.get_text() for text in accuracies.texts] == ["75.0", "0.0", "no samples"]
    assert draw_confusion(matrix).get_suptitle().startswith("Test set: 8 labels, accuracy 37.5 %")


@pytest.mark.parametrize(
    ("size", "theme"), [(1, "light"), (2, "dark"), (20, "light"), (21, "dark"), (41, "light"), (100, "dark")]
)
def test_a_confusion_matrix_of_any_size_is_a_picture(tmp_path: Path, size: int, theme: str) -> None:
    (path,) = confusion_figure(confusion(size), tmp_path, Style(format=("png",), theme=theme))
    content = path.read_bytes()
    assert int.from_bytes(content[16:20], "big") == 1200
    assert 300 < int.from_bytes(content[20:24], "big") < 1500


def test_of_many_classes_counts_and_then_names_are_left_out() -> None:
    for size, counts, names in ((20, True, True), (21, False, True), (40, False, True), (41, False, False)):
        matrix, accuracies = draw_confusion(confusion(size)).axes
        assert bool(matrix.texts) == counts
        assert (len(accuracies.texts) == size) == names
        assert ("class 1" in [label.get_text() for label in matrix.yaxis.get_ticklabels()]) == names


@pytest.mark.parametrize("name", ["学习 {}", "\x1b[31m{}", "x" * 300 + "{}", "$\\frac{{{}}}"])
def test_any_name_of_a_class(tmp_path: Path, name: str) -> None:
    assert confusion_figure(confusion(5, name), tmp_path, PNG)
    example = Example(0, (name.format(0), name.format(1)), 0, 1)
    assert figures.raster_figure(traces(), tmp_path, PNG, example)


@pytest.mark.parametrize("size", [2, 10, 40])
def test_no_name_is_cut_off_at_the_edge(size: int) -> None:
    example = Example(123456, ("m" * 50, "w" * 50), 0, 1, np.ones((1, 8, 8), np.float32))
    with sheet(PNG):
        for figure in (
            draw_confusion(confusion(size, "an unusually long name {}")),
            figures.draw_raster(traces(sizes=(size, 3)), 0, example),
            figures.draw_membrane(traces(), {}, example=example),
        ):
            assert figure is not None
            FigureCanvasAgg(figure).draw()
            whole = figure.get_tightbbox()  # inches
            assert whole.x0 >= 0 and whole.x1 <= 8.0
            assert whole.y0 >= 0 and whole.y1 <= figure.get_figheight()
