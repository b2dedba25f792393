"""The named set-ups: each is what its source says, and trains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from snnrun.config.settings import Settings
from snnrun.job.parts import Trial, parts_of
from snnrun.run.build import build_model, count_parameters
from snnrun.task import Data
from snnrun.training.loop import fit
from snnrun.training.records import LogRecord, StepRecord, WarningRecord, of_kind
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams
from support import references
from support.blog import InputsOfArticle, ModelWithSpikes, ZeroInputs, load
from support.catalogued import CATALOGUE, at
from support.paths import DOCS
from support.references import tensor
from support.small import CPU, config_for, training, write_mnist
from support.written import ts_header, ts_lines, write_ts

ADAM = {"_target_": "torch.optim.Adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
SNNTORCH = {"fires_at": ">", "reset": "subtract", "reset_timing": "delayed", "detach_reset": True}
SPIKINGJELLY = {"fires_at": ">=", "reset": "zero", "reset_timing": "same", "detach_reset": False}
BLOG = {"fires_at": ">", "reset": "zero", "reset_timing": "same"}
FOR_ALL: dict[str, Any] = {
    "clip_grad_norm": None,
    "precision": "fp32",
    "neuron.threshold": 1.0,
    "neuron.v_reset": 0.0,
    "model.dropout": 0.0,
    "loss.regularisers": {},
}
#: A source's network: parameters counted by hand, layer by layer.
PARAMETERS = {
    "zero_target": 300 * 500 + 500,
    "zero_target_article": 300 * 500 + 500,
    "snntorch_tutorial_5": 784 * 1000 + 1000 + 1000 * 10 + 10,
    "snntorch_tutorial_6": 25 * 12 + 12 + 12 * 25 * 64 + 64 + 1024 * 10 + 10,
    "snntorch_population": 784 * 128 + 128 + 128 * 500 + 500,
    "spikingjelly_lif_fc": 784 * 10,
    "spikingjelly_csnn": 9 * 128 + 2 * 128 + 128 * 9 * 128 + 2 * 128 + 128 * 7 * 7 * 128 * 4 * 4 + 128 * 4 * 4 * 10,
}
ZERO_TARGET = {
    "task": {"size_input": 300, "size_output": 500, "steps_per_epoch": 10},
    "model": {"hidden": [], "bias": True, "bias_init": "uniform(0,1)"},
    "neuron": {"_target_": "snnrun.neuron.IF"},
    "surrogate": {"_target_": "snnrun.surrogate.Heaviside"},
    "encoder": {"_target_": "snnrun.encoder.Identity"},
    "loss": {"_target_": "snnrun.loss.MeanSquare"},
    "optimizer": SGD,
    "num_steps": 10,
    "epochs": 10,
    "batch_size": 1,
}
#: From the sources' code (snnTorch's tutorials 5, 6 and pop, SpikingJelly's lif_fc_mnist and conv_fashion_mnist).
SOURCES: dict[str, dict[str, Any]] = {
    "zero_target": {**ZERO_TARGET, "convention": {**BLOG, "detach_reset": True}, "on_nonfinite": "stop"},
    "zero_target_article": {**ZERO_TARGET, "convention": {**BLOG, "detach_reset": False}, "on_nonfinite": "warn"},
    "snntorch_tutorial_5": {
        "task": {"_target_": "snnrun.task.MNIST", "validation": 0},
        "encoder": {"_target_": "snnrun.encoder.Direct", "gain": 1.0, "offset": 0.0},
        "model": {"hidden": [1000], "bias": True, "bias_init": "default"},
        "neuron": {"_target_": "snnrun.neuron.LIF", "beta": 0.95, "tau": None, "decay_input": False},
        "surrogate": {"_target_": "snnrun.surrogate.ATan", "alpha": 2.0},
        "convention": SNNTORCH,
        "loss": {"_target_": "snnrun.loss.CEMembrane", "over_time": "every_step", "accuracy": "count"},
        "optimizer": {**ADAM, "lr": 5e-4},
        "num_steps": 25,
        "epochs": 1,
        "max_steps": None,
        "batch_size": 128,
        "drop_last": True,
    },
    "snntorch_tutorial_6": {
        "task": {"_target_": "snnrun.task.MNIST", "validation": 0},
        "encoder": {"_target_": "snnrun.encoder.Direct", "gain": 1.0, "offset": 0.0},
        "model": {"layers": ["12c5", "mp2", "64c5", "mp2"], "neurons": "after_pool", "norm": "none", "bias": True},
        "neuron": {"_target_": "snnrun.neuron.LIF", "beta": 0.5, "tau": None, "decay_input": False},
        "surrogate": {"_target_": "snnrun.surrogate.FastSigmoid", "slope": 25.0},
        "convention": SNNTORCH,
        "loss": {"_target_": "snnrun.loss.CERate", "accuracy": "count"},
        "optimizer": {**ADAM, "lr": 1e-2},
        "num_steps": 50,
        "epochs": 1,
        "max_steps": 151,
        "batch_size": 128,
        "drop_last": True,
    },
    "snntorch_population": {
        "task": {"_target_": "snnrun.task.FashionMNIST", "validation": 0},
        "encoder": {"_target_": "snnrun.encoder.Direct", "gain": 1.0, "offset": 0.0},
        "model": {"hidden": [128], "bias": True, "bias_init": "default"},
        "neuron": {"_target_": "snnrun.neuron.LIF", "beta": 0.9, "tau": None, "decay_input": False},
        "surrogate": {"_target_": "snnrun.surrogate.FastSigmoid", "slope": 25.0},
        "convention": SNNTORCH,
        "loss": {
            "_target_": "snnrun.loss.MSECount",
            "population": 50,
            "correct_rate": 1.0,
            "incorrect_rate": 0.0,
            "accuracy": "count",
        },
        "optimizer": {**ADAM, "lr": 2e-3},
        "num_steps": 1,
        "epochs": 2,
        "max_steps": None,
        "batch_size": 128,
        "drop_last": False,
    },
    "spikingjelly_lif_fc": {
        "task": {"_target_": "snnrun.task.MNIST", "validation": 0},
        "encoder": {"_target_": "snnrun.encoder.Rate", "gain": 1.0, "offset": 0.0, "first_spike_time": 0},
        "model": {"hidden": [], "bias": False},
        "neuron": {
            "_target_": "snnrun.neuron.LIF",
            "beta": None,
            "tau": 2.0,
            "dt": 1.0,
            "integration": "euler",
            "decay_input": True,
            "v_rest": 0.0,
        },
        "surrogate": {"_target_": "snnrun.surrogate.ATan", "alpha": 2.0},
        "convention": SPIKINGJELLY,
        "loss": {"_target_": "snnrun.loss.MSERate", "correct_rate": 1.0, "incorrect_rate": 0.0, "accuracy": "count"},
        "optimizer": {**ADAM, "lr": 1e-3},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 1.0},
        "num_steps": 100,
        "epochs": 100,
        "max_steps": None,
        "batch_size": 64,
        "drop_last": True,
    },
    "spikingjelly_csnn": {
        "task": {"_target_": "snnrun.task.FashionMNIST", "validation": 0},
        "encoder": {"_target_": "snnrun.encoder.Direct", "gain": 1.0, "offset": 0.0},
        "model": {
            "layers": ["128c3p1", "mp2", "128c3p1", "mp2", "fc2048"],
            "neurons": "before_pool",
            "norm": "batch",
            "norm_fc": False,
            "bias": False,
        },
        "neuron": {"_target_": "snnrun.neuron.IF"},
        "surrogate": {"_target_": "snnrun.surrogate.ATan", "alpha": 2.0},
        "convention": SPIKINGJELLY,
        "loss": {"_target_": "snnrun.loss.MSERate", "correct_rate": 1.0, "incorrect_rate": 0.0, "accuracy": "count"},
        "optimizer": SGD,
        "scheduler": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 64, "eta_min": 0.0},
        "num_steps": 4,
        "epochs": 64,
        "max_steps": None,
        "batch_size": 128,
        "drop_last": True,
    },
}

R = TypeVar("R", bound=LogRecord)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return values


@pytest.mark.parametrize("name", SOURCES)
def test_settings_are_those_of_the_source(name: str) -> None:
    config = config_for(f"experiment={name}")
    settings = FOR_ALL | flatten(SOURCES[name])
    assert {key: at(config, key) for key in settings} == settings
    assert "readout" not in config and "regulariser" not in config


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_is_as_large_as_the_source_s(name: str) -> None:
    config = config_for(f"experiment={name}")
    settings = Settings.from_config(config)
    model = build_model(parts_of(config), settings, Streams(0, CPU))
    assert count_parameters(model) == PARAMETERS[name]


@pytest.mark.parametrize("name", SOURCES)
def test_it_trains_on_files_in_the_set_s_own_format(name: str, tmp_path: Path) -> None:
    write_mnist(tmp_path, train=40, test=10)
    small = [] if name.startswith("zero") else ["batch_size=4"]  # the whole network, a small batch
    small += ["model.layers=[16c3p1,mp2,16c3p1,mp2,fc64]"] if name == "spikingjelly_csnn" else []
    trainer = training(f"experiment={name}", "epochs=1", *small, batches=2, data_dir=tmp_path)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    records = trainer.fit()
    assert [record.step for record in records if isinstance(record, StepRecord)] == [1, 2]
    assert all(math.isfinite(record.loss) for record in records if isinstance(record, StepRecord))
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    assert ("validation_loss" in records[-1].to_json()) == name.startswith("zero")


@pytest.mark.parametrize("name", list(CATALOGUE.groups["experiment"]))
def test_its_parts_go_together(name: str, tmp_path: Path) -> None:
    words = [f"experiment={name}"]
    if name == "japanese_vowels":  # its file says how many inputs there are
        classes = "123456789"
        train, test = (ts_lines(count, 12, classes, count) for count in (45, 18))
        write_ts(tmp_path / "JapaneseVowels", "JapaneseVowels", train, test, ts_header(12, classes))
        words.append(f"data_dir={tmp_path}")
    config = config_for(*words)
    assert Trial(config, config, config, Settings.from_config(config)).run(CATALOGUE) == []


@pytest.mark.parametrize("name", list(CATALOGUE.groups["experiment"]))
def test_its_line_and_its_page(name: str) -> None:
    file = CATALOGUE.groups["experiment"][name]
    assert file.read_text(encoding="utf-8").startswith("# @package _global_\n# ")
    assert CATALOGUE.describe("experiment", name).endswith(".")
    page = DOCS / "experiments" / f"{name}.md"
    assert f"experiment={name}" in page.read_text(encoding="utf-8")
    assert f"({name}.md)" in (page.parent / "README.md").read_text(encoding="utf-8")


# --- the zero-target experiments, whole, on the blog's own numbers ---------------------------------------------------


class AsInTheBlog:
    """A set-up with the first weights and the inputs of an entry of blog.json in place of its own."""

    def __init__(self, name: str, identifier: str) -> None:
        self.entry = entry = references.entry("blog", identifier)
        config = config_for(f"experiment={name}")
        settings, parts = Settings.from_config(config), parts_of(config)
        streams = Streams(0, CPU)
        model = build_model(parts, settings, streams)
        generator = torch.Generator().manual_seed(entry["params"]["seed"])
        self.synapse: Any = model.get_submodule("layers.output.synapse")
        load(self.synapse, entry, generator)
        self.model = ModelWithSpikes(model)
        state = TrainingState.create(self.model, streams, optimizer=parts.optimizer, scheduler=parts.scheduler)
        train = InputsOfArticle(entry, generator, torch.float32, iterations=config["task"]["steps_per_epoch"])
        held_out = ZeroInputs(entry, torch.float32)
        self.records: list[LogRecord] = list(
            fit(state, Data(train, held_out, held_out, {}), parts.encoder, parts.loss, settings)
        )

    def of(self, kind: type[R]) -> list[R]:
        return of_kind(self.records, kind)


def test_zero_target_whole() -> None:
    run = AsInTheBlog("zero_target", "blog.zero_target/article_detached.float32")
    entry = run.entry
    assert [spikes.sum(1).int().tolist() for spikes in run.model.spikes] == entry["spikes_per_step"]
    ours = torch.tensor([record.loss for record in run.of(StepRecord)]).double()
    torch.testing.assert_close(ours, tensor(entry["loss"], torch.float64), rtol=1e-5, atol=0)
    assert run.synapse.weight.double().norm().item() == pytest.approx(entry["final"]["weight_norm"], rel=1e-5)
    assert not run.of(WarningRecord)


def test_zero_target_article_whole() -> None:
    """As far as blog.json says that float32 carries: the first iterations equal, then the mean within 0.005."""
    run = AsInTheBlog("zero_target_article", "blog.zero_target/article.float32")
    entry, steps = run.entry, run.of(StepRecord)
    assert len(steps) == 100
    assert [spikes.sum(1).int().tolist() for spikes in run.model.spikes[:5]] == entry["spikes_per_step"][:5]
    means = torch.tensor([record.loss for record in steps]).sqrt()
    torch.testing.assert_close(means, tensor(entry["pred_mean"]), rtol=0, atol=0.005)
    norms = [math.hypot(*pair) for pair in entry["gradient_norms"]]
    assert [record.gradient_norm for record in steps[: len(norms)]] == pytest.approx(norms, rel=1e-3)
    non_finite = (~run.synapse.weight.isfinite()).any(1).nonzero().flatten().tolist()
    assert non_finite == entry["final"]["neurons_not_finite"]
    # The record says as much, without the weights.
    counts = [record.lost.get("model.layers.output.synapse.weight", 0) for record in run.of(WarningRecord)]
    assert counts == sorted(set(entry["neurons_not_finite"]))
    assert steps[-1].loss < steps[0].loss / 16
