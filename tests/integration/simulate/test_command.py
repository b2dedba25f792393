"""`snnrun simulate` and `snnrun plot`: what they leave, and how they refuse; globbing every part there is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from snnrun.config.build import build
from snnrun.config.catalogue import conf_folder
from snnrun.job.validate import MOST_CURVES
from support.command import Command, Folder

QUICK = ["style.format=png", "style.dpi=40"]


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def test_the_record_of_a_simulation(command: Command, folder: Folder) -> None:
    outcome = command("simulate", "neuron=lapicque", "input.amplitude=0.3", "num_steps=200")
    assert (outcome.code, outcome.err) == (0, "")
    record = folder()
    entries = sorted(path.relative_to(record).as_posix() for path in record.rglob("*") if ".hydra" not in path.parts)
    files = ["config.yaml", "figures", "figures/traces.png", "figures/traces.svg", "manifest.json", "result.json"]
    assert entries == [*files, "run.log", "traces.csv", "traces.npz"]
    config = yaml.safe_load((record / "config.yaml").read_text())
    assert config["neuron"]["reset"] == "subtract" and config["num_steps"] == 200
    manifest = json.loads((record / "manifest.json").read_text())
    assert manifest["command"] == ["snnrun", "simulate", "neuron=lapicque", "input.amplitude=0.3", "num_steps=200"]
    result = json.loads((record / "result.json").read_text())
    assert (result["status"], result["dt"], result["spikes"]) == ("finished", 0.001, 38)
    assert result["rate"] == pytest.approx(190) and result["first_spike"] == pytest.approx(0.014)
    assert result["interval_mean"] == pytest.approx(0.005) and result["interval_cv"] == pytest.approx(0, abs=1e-9)
    assert (record / "run.log").read_text() == outcome.out
    assert "38 spikes  rate 190  (0.19 per step)  first spike at 0.014  interval 0.005  CV 0.000" in outcome.out
    with np.load(record / "traces.npz") as traces, (record / "traces.csv").open() as file:
        rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["step", "time", "neuron", "input", "membrane", "threshold", "spikes"]
        for name in ("input", "membrane"):
            column = np.array([row[name] for row in rows], dtype=np.float32)
            np.testing.assert_array_equal(column, traces[name][:, 0])
        assert [int(row["spikes"]) for row in rows] == traces["spikes"][:, 0].tolist()


def test_the_same_command_leaves_the_same_numbers_and_pictures(command: Command, tmp_path: Path) -> None:
    for _ in range(2):
        assert command("simulate", "input=noise", "num_neurons=3", "style.format=[png,svg,pdf]").code == 0
    first, second = (path.parent for path in tmp_path.glob("outputs/*/*/manifest.json"))
    for name in ("traces.csv", "figures/traces.png", "figures/traces.svg", "figures/traces.pdf"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("current", [name for name in names("input") if name != "file"])
def test_every_input_drives_a_neuron(current: str, command: Command, folder: Folder) -> None:
    outcome = command("simulate", f"input={current}", "style.theme=dark", *QUICK)
    assert outcome.code == 0, outcome.err
    with np.load(folder() / "traces.npz") as traces:
        assert traces["input"].shape == (100, 1)


def test_a_file_sets_the_number_of_steps(command: Command, folder: Folder, tmp_path: Path) -> None:
    np.save(tmp_path / "given.npy", np.full((17, 2), 0.5))
    assert command("simulate", "input=file", "input.path=given.npy", "num_neurons=2", *QUICK).code == 0
    assert yaml.safe_load((folder() / "config.yaml").read_text())["num_steps"] == 17


def test_a_missing_file_is_missing_data(command: Command, tmp_path: Path) -> None:
    outcome = command("simulate", "input=file", "input.path=nowhere.npy")
    assert (outcome.code, outcome.err) == (3, "snnrun: nowhere.npy: cannot be read: No such file or directory\n")
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_ends_with_an_overlay(command: Command, tmp_path: Path) -> None:
    outcome = command("simulate", "-m", "neuron.reset=subtract,zero,none", *QUICK)
    assert outcome.code == 0, outcome.err
    assert len(list(tmp_path.glob("outputs/multirun/*/*/*-lif-step/figures/traces.png"))) == 3
    assert len(list(tmp_path.glob("outputs/multirun/*/*/overlay.png"))) == 1
    assert "overlay of 3 simulations" in outcome.out


def test_silence_is_shown_with_a_remedy(command: Command) -> None:
    outcome = command("simulate", "input.amplitude=0.01", *QUICK)
    for fact in ("no spikes", "0.198", "threshold is 1", "input.amplitude"):
        assert fact in outcome.out


@pytest.mark.parametrize(("theme", "paper"), [("light", (255, 255, 255)), ("dark", (22, 25, 29))])
def test_the_theme_and_the_resolution(theme: str, paper: tuple[int, ...], command: Command, folder: Folder) -> None:
    assert command("simulate", f"style.theme={theme}", "style.format=png", "style.dpi=50").code == 0
    with Image.open(folder() / "figures" / "traces.png") as picture:
        assert picture.convert("RGB").getpixel((1, 1)) == paper
        assert picture.width == 400


def test_surrogates_are_drawn_over_each_other(command: Command, folder: Folder) -> None:
    outcome = command("plot", "surrogate=atan,sigmoid,heaviside", *QUICK)
    assert outcome.code == 0, outcome.err
    record = folder()
    assert [path.name for path in (record / "figures").iterdir()] == ["surrogate.png"]
    assert json.loads((record / "result.json").read_text())["curves"] == ["atan", "sigmoid", "heaviside"]
    targets = [
        yaml.safe_load((record / name).read_text())["surrogate"]["_target_"]
        for name in ("config.yaml", "config-3.yaml")
    ]
    assert targets == ["snnrun.surrogate.ATan", "snnrun.surrogate.Heaviside"]
    with np.load(record / "curves.npz") as curves:
        x, step = curves["atan.x"], curves["atan.step"]
        assert (x[0], x[200], x[-1]) == (-2, 0, 2)
        assert step.tolist() == (x > 0).tolist()
        np.testing.assert_allclose(curves["heaviside.derivative"], x > 0)
        rise = np.gradient(curves["sigmoid.primitive"], x)
        np.testing.assert_allclose(rise[1:-1], curves["sigmoid.derivative"][1:-1], atol=1e-3)


@pytest.mark.long
def test_every_surrogate_is_drawn(command: Command) -> None:
    every = names("surrogate")
    for start in range(0, len(every), MOST_CURVES):
        outcome = command("plot", f"surrogate={','.join(every[start : start + MOST_CURVES])}", *QUICK)
        assert outcome.code == 0, outcome.err


@pytest.mark.long
@pytest.mark.parametrize(("task", "kind"), [("digits", "takes_still"), ("zeros", "takes_sequence")])
def test_every_encoder_is_drawn(task: str, kind: str, command: Command) -> None:
    files = {name: conf_folder() / "encoder" / f"{name}.yaml" for name in names("encoder")}
    parts = {name: build(yaml.safe_load(path.read_text()), name) for name, path in files.items()}
    fits = [name for name, part in parts.items() if getattr(part, kind)]
    for start in range(0, len(fits), 4):
        # The task first: it may choose an encoder, and the one that is named wins.
        outcome = command("plot", f"task={task}", f"encoder={','.join(fits[start : start + 4])}", *QUICK)
        assert outcome.code == 0, outcome.err


def test_an_encoder_in_motion(command: Command, folder: Folder) -> None:
    outcome = command("plot", "encoder=latency", "task=digits", "format=gif", "num_steps=7", *QUICK)
    assert outcome.code == 0, outcome.err
    assert "class" not in outcome.err
    with Image.open(folder() / "figures" / "encoder.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 7
    with np.load(folder() / "curves.npz") as curves:
        assert curves["Latency.train"].shape == (7, 1, 8, 8)
        assert (curves["Latency.train"].sum(axis=0) == 1).all()


def test_the_f_i_curve(command: Command, folder: Folder) -> None:
    outcome = command("plot", "neuron=lif", "neuron.beta=0.8,0.9", *QUICK)
    assert outcome.code == 0, outcome.err
    with np.load(folder() / "curves.npz") as curves:
        for beta in (0.8, 0.9):
            current, rate = curves[f"neuron.beta={beta}.current"], curves[f"neuron.beta={beta}.rate"]
            silent = current * (1 / (1 - beta)) < 0.99  # the membrane ends at I / (1 - β)
            assert not rate[silent].any() and rate[current / (1 - beta) > 1.05].all()


FAULTS = {
    "plot": ["subject: ", "a surrogate, an encoder or a neuron", "snnrun plot neuron=lif"],
    "plot neuron=lif format=gif": ["format: ", "null", "got 'gif'"],
    "plot encoder=delta": ["does not take the input of task=digits"],
    "plot surrogate=atan surrogate.alpha=-1": ["surrogate.alpha: ", "above 0", "got -1"],
    "plot surrogate=atan surrogate.alpha=range(1,30)": ["at most 12 curves", "got 29", "-m"],
    "plot surrogate=attan": ["did you mean surrogate=atan?"],
    "plot neuron=lif epochs=3": ["there is no key epochs"],
    "simulate input=stp": ["did you mean input=step?"],
    "simulate input.onset=-1": ["input.onset: ", "at least 0", "got -1"],
    "simulate input=file": ["input.path: ", ".csv or .npy", "got null"],
    "simulate neuron=lif,if": ["neuron=lif,if: ", "needs -m"],
    "simulate num_neurons=0": ["num_neurons: ", "whole number of at least 1"],
    "simulate style.format=gif": ["style.format: ", "png, svg or pdf", "a list", "got 'gif'"],
    "simulate style.theme=black": ["style.theme: ", "'light' or 'dark'", "got 'black'"],
    "simulate encoder=rate": ["encoder ", "goes with snnrun and snnrun plot"],
    "simulate neuron.beta=2": ["neuron.beta: "],
    "input=step": ["input ", "goes with snnrun simulate"],
    "simulat neuron=lif": ["write `snnrun simulate neuron=lif`"],
    "neuron=lif plot": ["`snnrun plot`"],
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_fault_is_shown_before_anything_is_done(words: str, command: Command, tmp_path: Path) -> None:
    outcome = command(*words.split())
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert "1 fault in the command; nothing was started" in outcome.err
    for part in FAULTS[words]:
        assert part in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_all_faults_come_in_one_message(command: Command) -> None:
    outcome = command("simulate", "num_steps=0", "neuron.beta=2", "input.onset=-1", "inputt=3", "style.dpi=x")
    assert "5 faults" in outcome.err
    outcome = command("plot", "surrogate=atan", "surrogate.alpha=-1", "sample=-1", "style.dpi=1")
    assert "3 faults" in outcome.err


def test_help_and_config(command: Command) -> None:
    for name, key in (("simulate", "num_neurons=1"), ("plot", "subject=null")):
        outcome = command(name, "--help")
        assert outcome.code == 0 and f"usage: snnrun {name}" in outcome.out and key in outcome.out
        assert "style.theme=light" in outcome.out and "epochs" not in outcome.out
        assert f"snnrun {name}" in command("--help").out
    assert "step*" in command("list", "input").out
    config = yaml.safe_load(command("plot", "encoder=rate", "--cfg", "job").out)
    assert config["subject"] == "encoder" and "epochs" not in config
