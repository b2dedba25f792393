"""What a valid command hands to the training, and how it ends whatever the training does."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from snnrun.config.settings import Settings
from snnrun.errors import DataError, NonFiniteError
from support.command import Command, Training


def test_the_defaults(command: Command, training: Training) -> None:
    outcome = command()
    assert outcome == (0, "", "")
    (call,) = training.calls
    assert (call["local"], call["resuming"], call["source"], call["words"]) == (call["config"], False, None, {})
    assert isinstance(call["settings"], Settings)
    assert call["settings"].num_steps == call["config"]["num_steps"] == 25
    assert call["command"] == ("snnrun",)
    parts = call["parts"]
    members = [parts.task, parts.encoder, parts.loss, parts.neuron(shape=(3,))]
    assert [type(part).__name__ for part in members] == ["Digits", "Rate", "CECount", "LIF"]
    assert "${" not in yaml.safe_dump(call["config"])
    assert call["config"]["neuron"]["fires_at"] == ">"


def test_the_run_folder(command: Command, training: Training) -> None:
    for _ in range(2):
        assert command("neuron=if", "surrogate=sigmoid", "output_dir=runs").code == 0
    first, second = (call["folder"] for call in training.calls)
    assert first != second  # though they started within one second, or nearly
    pattern = r"runs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-if-sigmoid-digits-[0-9a-f]{8}"
    for folder in (first, second):
        assert re.fullmatch(pattern, folder.relative_to(Path.cwd()).as_posix())
        assert sorted(path.name for path in folder.iterdir()) == [".hydra"]
        overrides = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
        assert overrides == ["neuron=if", "surrogate=sigmoid", "output_dir=runs"]


def test_a_folder_in_the_users_home(
    command: Command, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command('output_dir="~/my runs"').code == 0
    assert training.calls[0]["folder"].is_relative_to(tmp_path / "my runs")
    assert list(Path.cwd().iterdir()) == []


def test_parts_and_values_from_the_command_line(command: Command, training: Training) -> None:
    words = ["neuron=if", "neuron.threshold=0.5", "model.hidden=[7,5]", "convention=spikingjelly", "optimizer.lr=3e-4"]
    words += ['model.bias_init="uniform(0,1)"']
    assert command(*words).code == 0
    (call,) = training.calls
    neuron = call["parts"].neuron()
    assert (neuron.threshold(), neuron.inclusive, neuron.reset) == (0.5, True, "zero")
    assert call["config"]["model"]["hidden"] == [7, 5]
    assert call["config"]["optimizer"]["lr"] == 3e-4
    assert call["command"] == ("snnrun", *words)


def test_a_task_sets_what_suits_it_and_the_command_line_wins(command: Command, training: Training) -> None:
    assert command("task=zeros").code == 0
    assert command("task=zeros", "num_steps=3", "epochs=2").code == 0
    first, second = training.calls
    assert first["settings"].num_steps == 10
    assert first["config"]["loss"]["_target_"].endswith("MeanSquare")
    assert first["config"]["model"]["hidden"] == []
    assert not first["parts"].task.has_accuracy
    assert (second["settings"].num_steps, second["settings"].epochs) == (3, 2)


@pytest.mark.parametrize("model", ["convnet", "recurrent", "residual"])
def test_what_a_task_sets_for_one_model_is_not_set_for_another(
    model: str, command: Command, training: Training
) -> None:
    # The zeros are no images, so that a model for images has its own word to say; but not about model.hidden.
    outcome = command("task=zeros", f"model={model}")
    if model == "recurrent":
        assert outcome.code == 0
        assert training.calls[0]["config"]["model"]["hidden"] == [100]
    else:
        assert outcome.code == 2
        for fact in ("[C, H, W]", "shape [300]", "model=mlp"):
            assert fact in outcome.err
        assert "1 fault" in outcome.err
    assert command(f"model={model}").code == 0


def test_layers_from_the_command_line(command: Command, training: Training) -> None:
    assert command("model=convnet", "model.layers=[12c3p1,mp2,64c3s1,ap2s1,fc10]").code == 0
    call = training.calls[0]
    model = call["parts"].model((1, 8, 8), 10, call["parts"].neuron, "auto")
    assert list(model.layers) == ["hidden1", "hidden2", "output"]
    outcome = command("model=convnet", "model.layers=[12C3,mp2]")
    for fact in ("model.layers[0]: ", "got '12C3'", "write 12c3", "default is ['12c5p2'"):
        assert fact in outcome.err
    outcome = command("model=convnet", "model.layers=[12c5,mp8]")
    for fact in ("model.layers[1]: ", "at least 8x8 for mp8", "got one of 4x4"):
        assert fact in outcome.err
    outcome = command("model=recurrent", "neuron=rlif", "neuron.recurrence=convolution", "backend=fused")
    assert "backend: " in outcome.err and "auto or reference" in outcome.err
    outcome = command("model=recurrent", "neuron=psn")
    assert "neuron: " in outcome.err and "a step at once" in outcome.err


def test_a_named_set_up_replaces_anything_and_the_command_line_wins(
    command: Command, training: Training, own: Path
) -> None:
    assert command("--config-dir", str(own), "experiment=silence", "seed=8").code == 0
    (call,) = training.calls
    assert type(call["parts"].task).__name__ == "Zeros"
    assert (call["settings"].seed, call["settings"].num_steps) == (8, 4)


def test_a_part_of_ones_own(command: Command, training: Training, own: Path) -> None:
    assert command("--config-dir", str(own), "neuron=mine", "neuron.gain=3", "trust=[my_neuron_of_tests]").code == 0
    neuron = training.calls[0]["parts"].neuron(shape=(2,))
    assert (type(neuron).__name__, neuron.gain) == ("Mine", 3.0)
    assert "-mine-atan-digits-" in training.calls[0]["folder"].name


def test_a_sweep(command: Command, training: Training) -> None:
    outcome = command("-m", "neuron=if,lif", "seed=0,1")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[:4] == [
        "snnrun: job 1 of 4: neuron=if seed=0",
        "snnrun: job 2 of 4: neuron=if seed=1",
        "snnrun: job 3 of 4: neuron=lif seed=0",
        "snnrun: job 4 of 4: neuron=lif seed=1",
    ]
    assert [line.split()[:2] for line in lines[-2:]] == [["snnrun", "report"], ["snnrun", "best"]]
    folders = [call["folder"] for call in training.calls]
    assert [folder.name for folder in folders] == ["0-if-atan-s0", "1-if-atan-s1", "2-lif-atan-s0", "3-lif-atan-s1"]
    (sweep,) = {folder.parent for folder in folders}
    assert sweep.relative_to(Path.cwd()).parts[:2] == ("outputs", "multirun")
    assert all((folder / ".hydra").is_dir() for folder in folders)


def test_a_job_that_fails_does_not_hide_the_others(command: Command, training: Training) -> None:
    def behaviour(call: dict[str, Any]) -> None:
        if call["settings"].seed == 0:
            raise NonFiniteError("step 3: the loss is NaN; lower optimizer.lr")
        if call["settings"].seed == 1:
            raise RuntimeError("boom")

    training.behaviour = behaviour
    outcome = command("-m", "seed=0,1,2")
    assert outcome.code == 7
    assert [call["settings"].seed for call in training.calls] == [0, 1, 2]
    summary = outcome.err[outcome.err.index("snnrun: 2 of 3 jobs failed:") :]
    assert "job 1 of 3: seed=0\n    snnrun: step 3: the loss is NaN; lower optimizer.lr" in summary
    assert "job 2 of 3: seed=1\n    snnrun: RuntimeError: boom" in summary
    assert "seed=2" not in summary
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("no such file; try task=digits"), 3, "snnrun: no such file; try task=digits\n"),
        (NonFiniteError("the loss is NaN"), 4, "snnrun: the loss is NaN\n"),
        (RuntimeError("boom\nmore"), 1, "snnrun: RuntimeError: boom\nThis is a bug in snnrun or in a part of your own; "
         "run again with --debug for the traceback\n"),
        (KeyboardInterrupt(), 130, "snnrun: interrupted\n"),
    ],
)  # fmt: skip
def test_how_a_run_ends_badly(
    error: BaseException, code: int, message: str, command: Command, training: Training
) -> None:
    def behaviour(call: dict[str, Any]) -> None:
        raise error

    training.behaviour = behaviour
    assert command() == (code, "", message)


@pytest.mark.parametrize("by_flag", [True, False])
def test_a_traceback_is_shown_on_demand(
    by_flag: bool, command: Command, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behaviour(call: dict[str, Any]) -> None:
        raise RuntimeError("boom")

    training.behaviour = behaviour
    if not by_flag:
        monkeypatch.setenv("SNNRUN_DEBUG", "1")
    outcome = command(*(["--debug"] if by_flag else []))
    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert 'raise RuntimeError("boom")' in outcome.err


def test_the_process_is_left_as_it_was(command: Command, training: Training) -> None:
    argv = list(sys.argv)
    for words in (["-m", "seed=0,1"], ["epochs=0"], ["--cfg", "job"], []):
        command(*words)
        assert sys.argv == argv
    assert len(training.calls) == 3


def test_showing_the_config_runs_nothing(command: Command, training: Training) -> None:
    outcome = command("--cfg", "job", "neuron=if", "neuron.threshold=0.5")
    config = yaml.safe_load(outcome.out)
    assert outcome.code == 0
    assert config["neuron"]["threshold"] == 0.5
    assert config["neuron"]["reset"] == "${convention.reset}"
    assert "hydra" not in config
    values = yaml.safe_load(command("--cfg=job", "--resolve", "neuron=if").out)
    assert values["neuron"]["reset"] == "subtract"
    assert command("--cfg", "hydra").out.startswith("hydra:")
    assert training.calls == []
    assert list(Path.cwd().iterdir()) == []


def test_a_readout_that_never_fires_requires_a_loss_on_its_membrane(command: Command, training: Training) -> None:
    outcome = command("readout=li")
    assert outcome.code == 2
    for fact in ("loss: ", "loss=ce_count reads spikes", "readout=li never fires"):
        assert fact in outcome.err
    assert command("readout=li", "loss=ce_membrane").code == 0
    assert command("readout=li", "loss=ce_max_membrane", "model=recurrent").code == 0


def test_a_model_that_does_not_fit_into_memory(command: Command, training: Training) -> None:
    outcome = command("model.hidden=[100000,10000000]")
    assert outcome.code == 5
    assert "out of memory: this model does not fit" in outcome.err
