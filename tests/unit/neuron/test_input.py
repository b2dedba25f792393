"""Inputs: what is given when, in the unit of dt; and what is refused."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from snnrun.config.build import PartError, build, locate
from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.errors import DataError
from snnrun.neuron import input as inputs
from support.refusals import refuses

NAMES = sorted(path.stem for path in (conf_folder() / "input").glob("*.yaml"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first_values(x: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in x[:, 0, 0].tolist()]


def make_input(name: str, tmp_path: Path, **options: Any) -> inputs.Input:
    config = {**yaml.safe_load((conf_folder() / "input" / f"{name}.yaml").read_text()), **options}
    if name == "file":
        np.save(tmp_path / "x.npy", np.ones(40))
        config["path"] = str(tmp_path / "x.npy")
    source = build(config, "input")
    assert isinstance(source, inputs.Input)
    return source


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dt", [1.0, 0.001, 0.25])
def test_every_input_keeps_the_contract(name: str, dt: float, tmp_path: Path) -> None:
    part = make_input(name, tmp_path, onset=5 * dt, duration=20 * dt)
    x = part(40, dt, 3, generator())
    assert x.shape == (40, 1, 3) and x.dtype == torch.float32 and bool(x.isfinite().all())
    assert not x[:5].any() and not x[25:].any(), "silent before onset and after duration"
    assert x[5:25].any()
    assert torch.equal(x, part(40, dt, 3, generator())), "no hidden state"
    part = make_input(name, tmp_path, onset=5 * dt, duration=20 * dt, amplitude=2 * part.amplitude)
    torch.testing.assert_close(part(40, dt, 3, generator()), 2 * x)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_shows_something_by_default_with_every_dt(name: str, tmp_path: Path) -> None:
    part = make_input(name, tmp_path)
    slow, fast = (part(200, dt, 1, generator()) for dt in (1.0, 1e-3))
    assert slow.any()
    torch.testing.assert_close(slow, fast)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [{"amplitude": "x"}, {"onset": -1}, {"duration": 0}, {"duration": True}])
def test_bad_arguments_are_named(name: str, bad: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PartError) as error:
        make_input(name, tmp_path, **bad)
    assert [error.value.path] == [f"input.{key}" for key in bad]


def test_every_yaml_names_its_arguments_and_its_line() -> None:
    assert {"step", "pulses", "ramp", "sine", "noise", "spikes", "file"} <= set(NAMES)
    for name in NAMES:
        assert Catalogue().describe("input", name)
        config = yaml.safe_load((conf_folder() / "input" / f"{name}.yaml").read_text())
        part = locate(config.pop("_target_"), "input")
        assert isinstance(part, type) and issubclass(part, inputs.Input)
        assert config == {field.name: field.default for field in fields(part)}


def test_step_in_the_unit_of_dt() -> None:
    assert first_values(inputs.Step(amplitude=3, onset=0.003, duration=0.002)(7, 0.001)) == [0, 0, 0, 3, 3, 0, 0]
    assert first_values(inputs.Step(amplitude=3)(100))[9:11] == [0, 3]
    assert first_values(inputs.Step(amplitude=3)(30))[2:4] == [0, 3], "a tenth of a short run"


def test_pulses() -> None:
    assert first_values(inputs.Pulses(amplitude=2, period=3)(7)) == [2, 0, 0, 2, 0, 0, 2]
    assert first_values(inputs.Pulses(period=4, width=2, onset=1)(7)) == [0, 1, 1, 0, 0, 1, 1]
    assert first_values(inputs.Pulses(period=2.5)(8)) == [1, 0, 0, 1, 0, 1, 0, 0], (
        "at 0, 2.5, 5 and 7.5, each on the next step"
    )
    with pytest.raises(ValueError, match="width: expected at most the period"):
        inputs.Pulses(period=2, width=3)


def test_ramp_over_time_and_over_neurons() -> None:
    assert first_values(inputs.Ramp(stop=2)(4)) == [0, 0.5, 1, 1.5]
    for count in (1, 2, 3, 7, 40, 1000):
        assert inputs.Ramp(start=-0.1, stop=0.7)(1, 1.0, count).shape == (1, 1, count)
        assert inputs.Ramp(start=0.7, stop=0.7, over="neurons")(1, 1.0, count).unique().item() == pytest.approx(0.7)
    over = inputs.Ramp(start=1, stop=2)(3, 1.0, 4)
    assert over[:, 0].tolist() == [[1, 1.25, 1.5, 1.75]] * 3
    assert inputs.Ramp(over="time")(2, 1.0, 2)[:, 0].tolist() == [[0, 0], [0.5, 0.5]]
    assert (inputs.Ramp().steps(40), inputs.Ramp().steps(1), inputs.Ramp(over="time").steps(40)) == (1, 100, 100)


def test_sine_has_its_period_in_the_unit_of_dt() -> None:
    x = inputs.Sine(amplitude=2, period=0.004, offset=0.5)(9, 0.001)
    assert first_values(x) == [1, 3, 1, -1, 1, 3, 1, -1, 1]


def test_noise_is_an_ornstein_uhlenbeck_process() -> None:
    x = inputs.Noise(amplitude=2, tau=5, mean=3, sd=0.5)(4000, 1.0, 200, generator())[:, 0].double()
    assert x.mean().item() == pytest.approx(6, abs=0.02)
    assert x.std().item() == pytest.approx(1, abs=0.02)
    deviation = x - 6
    assert (deviation[1:] * deviation[:-1]).mean().item() == pytest.approx(math.exp(-1 / 5), abs=0.02)
    assert x[0].std().item() == pytest.approx(1, abs=0.15), "stationary from the start"
    assert not torch.equal(x[:, 0], x[:, 1])


def test_spikes_are_poisson() -> None:
    x = inputs.Spikes(amplitude=2, rate=30)(2000, 0.01, 100, generator())[:, 0].double() / 2
    assert torch.equal(x, x.round())
    assert x.mean().item() == pytest.approx(0.3, abs=0.01)
    assert x.var().item() == pytest.approx(0.3, abs=0.01)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("first,second\n1,2\n3e0,4\n")
    part = inputs.File(path=str(tmp_path / "a.csv"))
    assert part.steps(2) == 2
    assert part(3, 1.0, 2)[:, 0].tolist() == [[1, 2], [3, 4], [0, 0]]
    np.save(tmp_path / "b.npy", np.array([1, 2, 3]))
    assert inputs.File(path=str(tmp_path / "b.npy"), onset=1.0)(3, 1.0, 2)[:, 0].tolist() == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "expected numbers"),
        ("a.csv", b"1,2\n3\n", "expected numbers"),
        ("a.csv", b"1\nnan\n", "expected finite numbers, got nan"),
        ("a.csv", b"1,2,3\n", "expected 1 column, or one for each of the 2 neurons, got 3; set num_neurons=3"),
        ("a.npy", b"\x93NUMPY", "expected numbers"),
    ],
)
def test_bad_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        inputs.File(path=str(tmp_path / name))(3, 1.0, 2)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="pickle"):
        inputs.File(path=str(tmp_path / "evil.npy"))(3)


@pytest.mark.parametrize("path", [None, 3, "a.txt"])
def test_a_file_of_another_kind_is_refused(path: Any) -> None:
    with refuses("path", path, ".csv or .npy"):
        inputs.File(path=path)
