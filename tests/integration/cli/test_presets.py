"""``experiment=NAME`` on the command line: what it sets, what wins over it, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnrun.config.catalogue import Catalogue
from support.command import Command, Training

NAMES = list(Catalogue().groups["experiment"])


def test_the_command_line_wins(command: Command, training: Training) -> None:
    words = ("experiment=snntorch_tutorial_5", "neuron=if", "optimizer=sgd", "optimizer.weight_decay=0.1", "epochs=2")
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    (call,) = training.calls
    config = call["config"]
    assert config["epochs"] == 2
    # What the set-up says of the neuron and the optimizer that it names is for those alone.
    assert config["neuron"]["_target_"] == "snnrun.neuron.IF"
    assert "beta" not in config["neuron"]
    assert (config["optimizer"]["lr"], config["optimizer"]["weight_decay"]) == (0.1, 0.1)
    # The rest is the set-up's.
    assert config["neuron"]["reset_timing"] == "delayed"
    assert (config["model"]["hidden"], config["drop_last"], config["task"]["validation"]) == ([1000], True, 0)
    assert "-snntorch_tutorial_5-if-atan-mnist-" in call["folder"].name


def test_its_values_for_its_own_parts_stay(command: Command, training: Training) -> None:
    # Named again, or set in part, the set-up's neuron is still its own.
    assert command("experiment=snntorch_tutorial_6", "neuron=lif", "neuron.threshold=2", "model.bias=false").code == 0
    config = training.calls[0]["config"]
    assert (config["neuron"]["beta"], config["neuron"]["threshold"]) == (0.5, 2)
    assert (config["model"]["layers"], config["model"]["bias"]) == (["12c5", "mp2", "64c5", "mp2"], False)


def test_a_key_of_the_part_that_was_replaced_is_unknown(command: Command, training: Training) -> None:
    outcome = command("experiment=snntorch_tutorial_5", "neuron=if", "neuron.beta=0.9")
    assert outcome.code == 2
    assert "neuron.beta=0.9: there is no key neuron.beta" in outcome.err


@pytest.mark.parametrize(
    ("words", "maximum"),
    [((), 25), (("delay=linear",), 25), (("delay=gaussian",), 10), (("delay=gaussian", "model=recurrent"), 10)],
)
def test_values_of_a_part_within_a_part_go_with_it(
    words: tuple[str, ...], maximum: int, command: Command, training: Training
) -> None:
    assert command("experiment=yin_yang_delays", *words).code == 0
    assert training.calls[0]["config"]["model"]["delay"]["maximum"] == maximum


@pytest.mark.parametrize("words", [(), ("model=recurrent",)])
def test_a_set_up_without_its_optional_part(words: tuple[str, ...], command: Command, training: Training) -> None:
    without = ("~delay", "optimizer.groups.delays.lr=null")
    assert command("experiment=yin_yang_delays", *without, *words).code == 0
    assert training.calls[0]["config"]["model"]["delay"] is None


def test_null_for_an_optional_part_is_a_fault_of_the_command(command: Command) -> None:
    outcome = command("experiment=yin_yang_delays", "delay=null")
    assert outcome.code == 2
    assert "~delay" in outcome.err


def test_the_config_that_is_shown_is_the_one_that_is_run(command: Command, training: Training) -> None:
    words = ("experiment=zero_target", "neuron=lif", "encoder=none")
    outcome = command("--cfg", "job", *words)
    assert (outcome.code, "beta: null" in outcome.out, "detach_reset: true" in outcome.out) == (0, True, True)
    assert command(*words).code == 0
    config = training.calls[0]["config"]
    assert (config["neuron"]["beta"], config["neuron"]["detach_reset"]) == (None, True)


def test_a_sweep_over_them(command: Command, training: Training) -> None:
    outcome = command("-m", "experiment=zero_target,snntorch_tutorial_5", "neuron=lif")
    assert outcome.code == 0, outcome.err
    jobs = [(call["folder"].name, call["config"]["neuron"]["beta"]) for call in training.calls]
    assert jobs == [
        ("0-zero_target-lif-heaviside-s0", None),
        ("1-snntorch_tutorial_5-lif-atan-s0", 0.95),
    ]


def test_a_wrong_name_gives_the_list(command: Command) -> None:
    outcome = command("experiment=snntorch_tutorial5")
    assert outcome.code == 2
    assert "did you mean experiment=snntorch_tutorial_5?" in outcome.err
    assert all(name in outcome.err for name in NAMES)


def test_the_list_shows_what_each_is_and_what_was_published(command: Command) -> None:
    lines = dict(line.split(None, 1) for line in command("list", "experiment").out.splitlines() if line[:2] == "  ")
    assert list(lines) == NAMES
    for name, figure in {
        "snntorch_tutorial_5": "93.87 %",
        "snntorch_tutorial_6": "95.70 %",
        "snntorch_population": "82.69 %",
        "spikingjelly_lif_fc": "92.9 %",
        "spikingjelly_csnn": "93.08 %",
    }.items():
        assert f"published: {figure}" in lines[name]
    assert NAMES[0] in command("--help").out


def test_all_about_one(command: Command) -> None:
    text = command("list", "experiment", "snntorch_tutorial_6").out
    assert "source: https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html" in text
    for line in ("neuron=lif", "neuron.beta=0.5", "max_steps=151", "model.layers=[12c5, mp2, 64c5, mp2]"):
        assert f"  {line}\n" in text


@pytest.mark.parametrize("setting", ["early_stopping=3", "scheduler=plateau"])
def test_what_needs_a_validation_part_is_refused_without_one(setting: str, command: Command, tmp_path: Path) -> None:
    outcome = command("experiment=snntorch_tutorial_5", setting)
    assert outcome.code == 2
    assert "there is no validation set to judge by" in outcome.err
    assert "task.validation=0.1" in outcome.err
