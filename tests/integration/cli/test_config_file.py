"""``snnrun --config FILE``: an edited config of a run as the command line's own words, beneath those that are typed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from snnrun.config.catalogue import Catalogue
from snnrun.job.compose import composer
from snnrun.job.config_file import ConfigFile
from support.command import Command, Training
from support.small import config_for

SEEDS = ("seed=0,1",)


def write(content: Any, name: str = "mine.yaml") -> str:
    Path(name).write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return name


def run_with(command: Command, training: Training, *words: str) -> dict[str, Any]:
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    return dict(training.calls[-1]["config"])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("neuron=if", "surrogate=sigmoid", "encoder=latency", "optimizer=sgd", "scheduler=cosine", "epochs=3"),
        ("neuron=synaptic", "neuron.reset=zero", "convention=spikingjelly", "surrogate=straight_through"),
        ("task=zeros", "encoder=none", "loss=mean_square"),
        ("task=zeros", "epochs=20", "batch_size=128", "num_steps=25"),
        ("readout=li", "loss=ce_membrane", "regulariser=[sparsity,rate_bounds]", "loss.regularisers.sparsity.weight=1"),
        ("delay=gaussian", "model.delay.of=axon", "optimizer.groups.delays.lr=0.1", "num_steps=12"),
        ("task=cifar10", "augmentation=[flip,crop]", "task.augmentation.crop.padding=1", "model=convnet"),
        ("tracker=[csv,tensorboard]", "model.hidden=[20,10]", "data_dir='a, b (c)'"),
        ("+optimizer.foreach=true", "optimizer.lr=1e-6", "clip_grad_norm=1"),
        ("optimizer._target_=torch.optim.Rprop", "~optimizer.betas", "~optimizer.eps", "~optimizer.weight_decay"),
        ("neuron.surrogate={_target_:snnrun.surrogate.Sigmoid,alpha:3.0}",),
        ("experiment=snntorch_tutorial_6",),
        ("experiment=spikingjelly_csnn", "neuron=if"),
        ("experiment=shd",),
    ],
    ids=" ".join,
)
def test_the_config_of_a_run_gives_that_config(command: Command, training: Training, words: tuple[str, ...]) -> None:
    config = config_for(*words)
    assert run_with(command, training, "--config", write(config)) == config


def test_choices_are_recognised(command: Command, training: Training) -> None:
    config = config_for("neuron=synaptic", "convention=snntorch", "task=zeros", "encoder=none", "loss=mean_square")
    assert command("--config", write(config)).code == 0
    folder = training.calls[0]["folder"]
    assert "-synaptic-atan-zeros-" in folder.name
    assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text()) == [
        "convention=snntorch",
        "neuron=synaptic",
        "task=zeros",
    ]


def test_what_was_edited_counts(command: Command, training: Training) -> None:
    config = config_for("neuron=if")
    config["neuron"]["threshold"], config["epochs"], config["optimizer"]["lr"] = 0.5, 3, "2e-3"
    actual = run_with(command, training, "--config", write(config), "seed=4")
    assert (actual["neuron"]["threshold"], actual["epochs"], actual["optimizer"]["lr"], actual["seed"]) == (
        0.5,
        3,
        0.002,
        4,
    )


def test_a_part_that_is_chosen_replaces_that_of_the_file_whole(command: Command, training: Training) -> None:
    config = config_for("neuron=synaptic", "neuron.threshold=0.5", "optimizer=sgd", "optimizer.lr=0.3", "epochs=7")
    actual = run_with(command, training, "--config", write(config), "neuron=lif", "neuron.beta=0.8", "optimizer.lr=0.1")
    assert actual == config_for("neuron=lif", "neuron.beta=0.8", "optimizer=sgd", "optimizer.lr=0.1", "epochs=7")


def test_the_values_of_the_file_win_over_those_of_a_task(command: Command, training: Training) -> None:
    # The task zeros sets these too, a loss and an encoder.
    file = write({"epochs": 20, "num_steps": 25, "batch_size": 128})
    actual = run_with(command, training, "--config", file, "task=zeros")
    assert actual == config_for("task=zeros", "epochs=20", "num_steps=25", "batch_size=128")


def test_an_augmentation_goes_with_its_group_and_not_with_the_task(command: Command, training: Training) -> None:
    file = write(config_for("task=cifar10", "augmentation=[crop]", "task.augmentation.crop.padding=2"))
    actual = run_with(command, training, "--config", file, "task=digits")
    assert actual["task"] == config_for("augmentation=crop", "task.augmentation.crop.padding=2")["task"]
    assert run_with(command, training, "--config", file, "~augmentation")["task"]["augmentation"] == {}


def test_references_are_kept(command: Command, training: Training) -> None:
    file = write(config_for("scheduler=cosine", "epochs=5"))
    words = ("epochs=9", "surrogate=sigmoid", "surrogate.alpha=2", "convention.reset=zero")
    assert run_with(command, training, "--config", file, *words) == config_for("scheduler=cosine", *words)


def test_a_file_with_references(command: Command, training: Training) -> None:
    file = write(config_for("neuron=if", "scheduler=cosine", resolve=False))
    actual = run_with(command, training, "--config", file, "epochs=9", "surrogate=sigmoid")
    assert actual == config_for("neuron=if", "scheduler=cosine", "epochs=9", "surrogate=sigmoid")


@pytest.mark.parametrize(
    ("key", "value", "warning"),
    [
        ("surrogate", {"_target_": "snnrun.surrogate.ATan", "alpha": 4.0}, "neuron.surrogate and surrogate differ"),
        ("epochs", 30, "scheduler.T_max and epochs differ"),
    ],
)
def test_an_edit_that_a_reference_hides(
    command: Command, training: Training, key: str, value: Any, warning: str
) -> None:
    config = {**config_for("scheduler=cosine"), key: value}
    outcome = command("--config", write(config))
    assert (outcome.code, outcome.err.count("warning")) == (0, 1)
    assert f"warning: mine.yaml: {warning}" in outcome.err
    assert training.calls[0]["config"] == config


def test_a_partial_file(command: Command, training: Training) -> None:
    file = write("neuron: if\naugmentation: [flip]\nsurrogate:\n  alpha: 3\noptimizer: {lr: 1e-2}\nepochs: 2\n")
    assert run_with(command, training, f"--config={file}") == config_for(
        "neuron=if", "augmentation=[flip]", "surrogate.alpha=3", "optimizer.lr=1e-2", "epochs=2"
    )


def test_an_empty_text_and_texts_with_signs(command: Command, training: Training) -> None:
    for text in ("a b", "it's", 'say "x"', "a\\", "a, b", "[x]", "{y}", "50%", "a=b", "$HOME", "学", "#c", "null", "3"):
        assert run_with(command, training, "--config", write({"data_dir": text}))["data_dir"] == text


def test_a_sweep(command: Command, training: Training) -> None:
    file = write(config_for("neuron=synaptic", "neuron.threshold=0.5", "epochs=2", "report.figures=false"))
    outcome = command("-m", "--config", file, "neuron=if,lif", "seed=0,1")
    assert outcome.code == 0, outcome.err
    actual = [call["config"] for call in training.calls]
    expected = [
        config_for(f"neuron={n}", f"seed={s}", "epochs=2", "threads=1", "report.figures=false")
        for n in ("if", "lif")
        for s in (0, 1)
    ]
    assert actual == expected
    assert "job 1 of 4: neuron=if seed=0\n" in outcome.out


def test_a_sweep_over_tasks_that_set_what_the_file_sets(command: Command, training: Training) -> None:
    file = write({"epochs": 20, "loss": {"_target_": "snnrun.loss.CECount"}})
    assert command("-m", "--config", file, "task=digits,mnist").code == 0
    assert [call["config"]["epochs"] for call in training.calls] == [20, 20]


def test_a_sweep_goes_on_only_with_the_same_file(command: Command, training: Training) -> None:
    file = write({"epochs": 2})
    words = ("-m", "--config", file, *SEEDS, "hydra.sweep.dir=sweep")
    assert command(*words).code == 0
    assert command(*words, "--resume").code == 0
    assert command("-m", *SEEDS, "hydra.sweep.dir=sweep", "--resume").code == 2
    write({"epochs": 3})
    outcome = command(*words, "--resume")
    assert (outcome.code, "epochs was 2 and is now 3" in outcome.err) == (2, True)


def test_the_record_names_the_file(command: Command, training: Training) -> None:
    file = write(config_for(), "some config.yaml")
    assert command("--config", file, "epochs=2").code == 0
    source = {"name": file, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
    assert training.calls[0]["source"] == source
    assert list(training.calls[0]["command"]) == ["snnrun", "--config", file, "epochs=2"]
    assert command("-m", "--config", file, *SEEDS).code == 0
    assert [call["source"] for call in training.calls[1:]] == [source, source]


QUICK = ("epochs=1", "num_steps=3", "model.hidden=[8]", "report.figures=false", "threads=1")


def test_a_run_from_an_edited_file_is_reproduced(command: Command) -> None:
    assert command(*QUICK, "hydra.run.dir=first").code == 0
    config = yaml.safe_load(Path("first/config.yaml").read_text())
    config["neuron"]["beta"] = 0.7
    assert command("--config", write(config), "seed=2", "hydra.run.dir=second").code == 0
    manifest = json.loads(Path("second/manifest.json").read_text())
    assert manifest["config_file"]["name"] == "mine.yaml"
    assert manifest["command"][:3] == ["snnrun", "--config", "mine.yaml"]
    Path("mine.yaml").unlink()
    outcome = command("reproduce", "second")
    assert (outcome.code, "match: all" in outcome.out) == (0, True), outcome.err
    (verdict,) = Path("outputs").glob("*/*-reproduced-*/reproduction.json")
    assert json.loads(verdict.read_text())["environment"] == {}, "where a config is from is no environment"
    # What goes on is from the same file.
    Path("second/result.json").unlink()
    assert command("resume", "second").code == 0
    assert json.loads(Path("second/manifest.json").read_text())["config_file"] == manifest["config_file"]


def test_the_composed_config_is_shown(command: Command) -> None:
    out = command("--cfg", "job", "--config", write({"epochs": 3}), "neuron=if").out
    assert "epochs: 3\n" in out and "snnrun.neuron.IF" in out


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ("neuron:\n  bet: 0.9\n", ["mine.yaml: neuron.bet: ", "did you mean beta?"]),
        ("epohcs: 3\n", ["mine.yaml: epohcs: ", "did you mean epochs?"]),
        ("optimzer:\n  lr: 0.1\n", ["mine.yaml: optimzer: ", "did you mean optimizer?"]),
        ("epochs: 3\nseed: 1\nepochs: 1\n", ["mine.yaml: epochs: ", "line 1", "line 3"]),
        ("neuron: {beta: 0.5, beta: 0.9}\n", ["mine.yaml: neuron.beta: ", "line 1 and again"]),
        ("neuron: {x: [{a: 1, a: 2}]}\n", ["mine.yaml: neuron.x[0].a: ", "line 1 and again"]),
        ("epochs: many\nseed: true\n", ["mine.yaml: epochs: ", "mine.yaml: seed: "]),
        ("neuron: liff\n", ["neuron=liff: ", "did you mean neuron=lif?"]),
        ("neuron: null\n", ["neuron=null: ", "needs a neuron"]),
        ("neuron: 3\n", ["neuron=3: ", "no neuron"]),
        ("neuron:\n  threshold: -1\nepochs: 0\n", ["mine.yaml: neuron.threshold: ", "mine.yaml: epochs: "]),
        ("hydra: {run: {dir: /tmp}}\n", ["mine.yaml: hydra: ", "the config of a run"]),
        ("defaults: [a]\n", ["mine.yaml: defaults: "]),
        ("trust: [mine]\n", ["trust: ", "cannot trust itself"]),
        ("experiment: shd\n", ["mine.yaml: experiment: ", "parts and values"]),
        ("data_dir: ${oc.env:HOME}\n", ["mine.yaml: data_dir: ", "a reference"]),
        ("data_dir: ${hydra:runtime.cwd}\n", ["mine.yaml: data_dir: ", "a reference"]),
        ("data_dir: 2026-01-01\n", ["mine.yaml: data_dir: ", "a plain value"]),
        ("a=b,hydra.run.dir: 1\n", ["mine.yaml: a=b,hydra.run.dir: ", "a key"]),
        ("neuron: {1: 2}\n", ["mine.yaml: neuron.1: ", "a key"]),
        ("clip_grad_norm: .inf\n", ["clip_grad_norm: ", "finite number"]),
        ("optimizer: {_target_: os.system, command: ls}\n", ["optimizer._target_: os.system "]),
        ("neuron: {_target_: mine.Mine}\n", ["neuron._target_: ", "trust=mine"]),
        ("a: &a [1]\nb: *a\n", ["--config: ", "aliases"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["cannot be read: no plain YAML"]),
        ("".join(f"a{i}: 1\n" for i in range(1001)), ["mine.yaml: ", "at most 1,000 values"]),
        ("- 1\n", ["cannot be read: no mapping"]),
        ("a: [", ["cannot be read: no plain YAML"]),
        ("", ["cannot be read: it is empty"]),
    ],
)
def test_faults(command: Command, training: Training, content: str, faults: list[str]) -> None:
    outcome = command("--config", write(content))
    assert (outcome.code, outcome.out, training.calls) == (2, "", [])
    for fault in faults:
        assert fault in outcome.err
    assert not Path("outputs").exists()


def test_a_fault_of_a_typed_word_is_not_that_of_the_file(command: Command) -> None:
    err = command("--config", write({"neuron": {"beta": 0.9}}), "optimizer.lr=-1", "neuron.threshold=-1").err
    assert "\n  neuron.threshold: " in err and "\n  optimizer.lr: " in err and "mine.yaml" not in err


def test_all_faults_come_in_one_message(command: Command) -> None:
    outcome = command("--config", write({"epochs": 0, "neuron": {"bet": 1}}), "surrogate=atn", "optimizer.lr=-1")
    assert outcome.code == 2
    for fault in ("surrogate=atn: ", "mine.yaml: epochs: ", "mine.yaml: neuron.bet: ", "optimizer.lr"):
        assert fault in outcome.err


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (("--config", "nowhere.yaml"), ["--config: ", "config.yaml of a run", "got 'nowhere.yaml'"]),
        (("--config", "."), ["--config: ", "got '.'", "write ./config.yaml"]),
        (("--config",), ["--config: ", "config.yaml of a run", "got ''"]),
        (("simulate", "--config", "mine.yaml"), ["--config: ", "training runs only"]),
        (("runs", "--config", "mine.yaml"), ["runs: ", "no flags"]),
        (("resume", "run", "--config", "mine.yaml"), ["resume: ", "no flags"]),
        (("--config", "mine.yaml", "experiment=shd"), ["experiment=shd: ", "--config"]),
        (("--config", "mine.yaml", "--config", "mine.yaml"), ["--config: ", "more than once"]),
    ],
)
def test_words_that_do_not_go_with_it(command: Command, words: tuple[str, ...], facts: list[str]) -> None:
    write({"epochs": 1})
    outcome = command(*words)
    assert outcome.code == 2
    for fact in facts:
        assert fact in outcome.err


def test_parts_of_ones_own(command: Command, training: Training, own: Path) -> None:
    words = ("--config-dir", str(own), "trust=my_neuron_of_tests")
    first = run_with(command, training, *words, "neuron=mine", "neuron.gain=3")
    second = run_with(command, training, *words, "--config", write(first))
    assert (second, training.calls[-1]["folder"].name[9:13]) == (first, "mine")
    outcome = command("--config", write(first))
    assert outcome.code == 2
    assert "trust=my_neuron_of_tests" in outcome.err


@pytest.mark.long
def test_every_option_is_recognised(tmp_path: Path) -> None:
    """The config that an option gives is that of one word; a task and a set-up choose other parts besides."""
    catalogue, file, configs = Catalogue(), tmp_path / "config.yaml", list[object]()
    with composer(catalogue) as hydra:
        for group in catalogue.defaults:
            for option in catalogue.groups[group]:
                config = OmegaConf.to_container(hydra.compose([f"{group}={option}"]), resolve=True)
                file.write_text(yaml.safe_dump(config, sort_keys=False))
                reader = ConfigFile(file)
                groups = reader.groups(catalogue, [])
                base = OmegaConf.to_container(hydra.compose(groups))
                assert isinstance(base, dict)
                values = reader.values(catalogue, [], [], [{str(key): value for key, value in base.items()}])
                assert OmegaConf.to_container(hydra.compose([*groups, *values]), resolve=True) == config
                twin = config in configs  # two conventions may be the same
                configs.append(config)
                if group not in ("task", "experiment") and not twin:
                    words = [] if option == catalogue.defaults[group] else [f"{group}={option}"]
                    several = [f"{group}=[{option}]"] if catalogue.several(group) else words
                    assert [*groups, *values] == several
