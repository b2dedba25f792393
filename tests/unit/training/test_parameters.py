"""What neurons learn, by the names and in the units of their options, in records, tables and the figure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue
from snnrun.model import MLP
from snnrun.neuron import LIF, PLIF, Alpha
from snnrun.report.parameters import draw_parameters
from snnrun.run.layers import blocks, layer_rows, parameter_rows
from snnrun.tracker import Csv
from snnrun.tracker.base import curves
from snnrun.training.layers import neuron_parameters
from snnrun.training.records import EpochRecord, LogRecord
from support.small import config_for, training

OWN = {"weight", "bias"}  # of the parallel neurons, which have no option for them


@pytest.mark.parametrize("name", sorted(Catalogue().groups["neuron"]))
def test_every_learnable_value_has_the_name_and_the_value_of_its_option(name: str) -> None:
    config = config_for(f"neuron={name}")["neuron"]
    config |= dict.fromkeys((key for key in config if key.startswith("learn")), True)
    if "learn_tau" in config and "learn_beta" in config:  # one of the two
        for_tau = {**config, "learn_beta": False, "tau": 4.0}
        assert "tau" in build(for_tau, "neuron")(shape=(3,)).learnable_values()
        del config["learn_tau"]
    neuron = build(config, "neuron")(shape=(3,))
    values = neuron.learnable_values()
    flags = {key.removeprefix("learn_") for key in config if key.startswith("learn_")} - {"adaptation"}
    assert flags <= set(values) <= set(config) | flags | OWN
    for key, value in values.items():
        assert isinstance(value, torch.Tensor) and not value.requires_grad
        if isinstance(config.get(key), float):
            torch.testing.assert_close(value.float(), torch.full_like(value.float(), config[key]))


def test_none_is_learnable_by_default() -> None:
    model = MLP((4,), 2, lambda shape: LIF(shape=shape), hidden=[3])
    assert neuron_parameters(model) == {}


def test_tau_and_beta_are_shown_and_not_what_stands_for_them() -> None:
    assert PLIF(tau=4.0).learnable_values()["tau"].item() == pytest.approx(4.0)
    values = Alpha(0.8, 0.4, learn_alpha=True).learnable_values()
    assert set(values) == {"alpha", "beta"}, "beta follows alpha"
    assert values["beta"].item() == pytest.approx(0.4)


def test_mean_spread_and_histogram() -> None:
    make = lambda shape: LIF(beta=[0.5, 0.6, 0.9, 0.8], learn_beta=True, shape=shape)  # noqa: E731
    summary = neuron_parameters(MLP((3,), 4, make, hidden=[]))["output"]["beta"]
    numbers = np.array([0.5, 0.6, 0.9, 0.8])
    for key, value in (("mean", numbers.mean()), ("sd", numbers.std()), ("min", 0.5), ("max", 0.9)):
        assert getattr(summary, key) == pytest.approx(value, abs=1e-6)
    assert summary.histogram is not None and len(summary.histogram) == 20 and sum(summary.histogram) == 4
    assert summary.histogram[0] == summary.histogram[-1] == 1
    of_layers = neuron_parameters(MLP((3,), 4, lambda shape: LIF(learn_beta=True, shape=shape), hidden=[]))
    assert set(of_layers["output"]["beta"].to_json()) == {"mean", "sd", "min", "max"}
    assert of_layers["output"]["beta"].sd == 0


def test_values_that_are_not_finite_are_left_out() -> None:
    neuron = LIF(beta=[0.5, 0.6, 0.7], learn_beta=True, shape=(3,))
    with torch.no_grad():
        neuron.beta.raw[0] = float("nan")
    model = MLP((2,), 3, lambda shape: neuron, hidden=[])
    assert neuron_parameters(model)["output"]["beta"].mean == pytest.approx(0.65)
    with torch.no_grad():
        neuron.beta.raw.fill_(float("nan"))
    assert np.isnan(neuron_parameters(model)["output"]["beta"].mean)


def records() -> list[LogRecord]:
    words = ("neuron.learn_beta=true", "neuron.per_neuron=true", "model.hidden=[20]", "num_steps=5", "epochs=2")
    return training(*words, "encoder=direct", "batch_size=700").fit()


def test_records_trackers_and_tables(tmp_path: Path) -> None:
    epochs = [record for record in records() if isinstance(record, EpochRecord)]
    for epoch in epochs:
        assert epoch.neuron_parameters is not None
        assert {name: set(layer) for name, layer in epoch.neuron_parameters.items()} == {
            "hidden1": {"beta"},
            "output": {"beta"},
        }
        beta = epoch.neuron_parameters["hidden1"]["beta"]
        assert 0.9 < beta.min <= beta.mean <= beta.max < 1
        assert EpochRecord.from_json(json.loads(json.dumps(epoch.to_json()))) == epoch
        scalars = dict(curves(epoch.to_json()))
        assert scalars["epoch/neuron_parameters/hidden1/beta/mean"] == beta.mean
        assert scalars["epoch/gradients/output/norm"] > 0
        assert not [name for name in scalars if "histogram" in name]
    tracker = Csv()
    tracker.begin(tmp_path, {}, {}, [epoch.to_json() for epoch in epochs])
    head = (tmp_path / "csv" / "epoch.csv").read_text().splitlines()[0].split(",")
    assert "neuron_parameters.output.beta.sd" in head and "gradients.hidden1.zero" in head

    rows = parameter_rows(epochs)
    assert [(row.layer, row.parameter) for row in rows] == [("hidden1", "beta"), ("output", "beta")]
    first, last = (epoch.neuron_parameters or {} for epoch in epochs)
    assert rows[0].first == first["hidden1"]["beta"].mean
    assert rows[0].values == last["hidden1"]["beta"]
    assert len(rows[0].histogram) == 20
    assert {row.layer: row.gradient for row in layer_rows(epochs[0])} == epochs[0].gradients


@pytest.mark.parametrize(
    "hostile",
    [
        {},
        {"neuron_parameters": 7, "layers": [1], "gradients": "x"},
        {"neuron_parameters": {"a": {"b": {"mean": "\x1b[2J", "histogram": ["x", None]}}}, "layers": {"l\x1b[2J": {}}},
        {"neuron_parameters": {"a": {"b": {"mean": 10**400, "histogram": [-1, 2]}}}, "gradients": {"l": {"norm": []}}},
    ],
)
def test_rows_of_a_strangers_record(hostile: dict[str, Any]) -> None:
    record = EpochRecord.from_json(hostile)
    rows = [*layer_rows(record), *parameter_rows([record])]
    assert "\x1b" not in repr(rows) + "".join(str(cell) for row in rows for cell in row)
    assert all(math.isnan(row.values.mean) and row.histogram == "" for row in parameter_rows([record]))


def test_blocks() -> None:
    assert blocks([0, 1, 7, 14]) == "▁▂▅█"
    assert blocks([]) == blocks([0, 0]) == ""


def test_the_figure_has_a_curve_a_band_and_a_histogram_for_each_layer() -> None:
    figure = draw_parameters(records())
    assert figure is not None
    curve, histogram = figure.axes
    assert curve.get_title(loc="left") == "beta"
    assert [line.get_label() for line in curve.lines] == ["hidden1", "output"]
    assert len(curve.collections) == 2 and len(histogram.patches) == 2
    assert [np.shape(line.get_xdata()) for line in curve.lines] == [(2,), (2,)]


def test_the_figure_of_one_value_for_each_layer_and_of_none() -> None:
    one_value = {"epoch": 1, "neuron_parameters": {"output": {"k": {"mean": None, "sd": 0.0}}}}
    figure = draw_parameters([EpochRecord.from_json(one_value)])
    assert figure is not None and len(figure.axes) == 1
    assert draw_parameters([]) is None
    assert draw_parameters([EpochRecord.from_json({"epoch": 1, "layers": {"output": {}}})]) is None
