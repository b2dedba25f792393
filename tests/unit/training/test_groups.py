"""Learning rates and weight decays of groups of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from snnrun.config.build import PartError
from snnrun.errors import ConfigError
from snnrun.model import parameter_groups
from snnrun.training.groups import groups_of
from support.small import training, weights

SMALL = ("num_steps=5", "epochs=1", "batch_size=32", "model.hidden=[12]", "encoder=direct")


def counts(*words: str) -> dict[str, int]:
    groups = parameter_groups(training("num_steps=5", *words).model)
    return {name: sum(parameter.numel() for parameter in group) for name, group in groups.items()}


def test_every_learnable_parameter_is_in_one_group() -> None:
    hidden, last = 64 * 12 + 12, 12 * 10 + 10
    mlp = ("model=mlp", "model.hidden=[12]")
    assert counts(*mlp) == {"weights": hidden, "readout": last}
    assert counts(*mlp, "neuron.learn_beta=true") == {"weights": hidden, "neuron": 2, "readout": last}
    assert counts("model=mlp", "model.hidden=[]") == {"readout": 64 * 10 + 10}
    recurrent = counts("model=recurrent", "model.hidden=[12]")
    assert recurrent["recurrent"] >= 12 * 12 and recurrent["readout"] == last
    assert counts(*mlp, "neuron=rlif", "neuron.recurrence=elementwise")["recurrent"] == 2
    delays = counts(*mlp, "delay=linear", "model.delay.maximum=4")
    assert delays == {"weights": hidden, "readout": last, "delays": 64 * 12 + 12 * 10}
    assert counts(*mlp, "neuron=rlif")["recurrent"] == 12 * 12 + 10 * 10
    convnet = training("model=convnet", "model.layers=[3c3p1,mp2]", "model.norm=batch", "num_steps=5").model
    groups = parameter_groups(convnet)
    assert sum(len(group) for group in groups.values()) == len(list(convnet.parameters()))
    assert len(groups["weights"]) >= 3, "the norm belongs to the synapses of its layer"
    plain = nn.Linear(2, 3)
    plain.bias.requires_grad_(False)
    assert parameter_groups(plain) == {"weights": [plain.weight]}


def moves(*words: str) -> dict[str, torch.Tensor]:
    """The change of each parameter by one step of SGD."""
    sgd = ("optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0", "neuron.learn_beta=true")
    trainer = training(*SMALL, *sgd, *words, batches=1)
    before = weights(trainer.model)
    trainer.fit()
    return {name: (value - before[name]).detach() for name, value in trainer.model.named_parameters()}


def test_a_group_has_its_own_learning_rate_and_the_others_the_optimizers() -> None:
    plain = moves()
    own = moves("optimizer.groups.readout.lr=0.2", "optimizer.groups.neuron.lr=0")
    assert any("neuron" in name for name in plain)
    for name, change in plain.items():
        factor = 0.0 if "neuron" in name else 2.0 if "output" in name else 1.0
        assert torch.allclose(own[name], factor * change, rtol=1e-4, atol=1e-6), name
        assert change.abs().max() > 1e-6 or "neuron" in name


def test_a_group_has_its_own_weight_decay() -> None:
    plain = moves()
    own = moves("optimizer.weight_decay=0.5", "optimizer.groups.weights.weight_decay=0")
    for name in plain:
        assert torch.equal(plain[name], own[name]) == ("hidden1.synapse" in name), name


def test_the_record_has_the_learning_rate_of_the_optimizer() -> None:
    trainer = training(*SMALL, "optimizer.lr=0.01", "optimizer.groups.weights.lr=0.5")
    state = trainer.state()
    assert [group["lr"] for group in state.optimizer.param_groups] == [0.01, 0.5]
    assert [record.to_json()["learning_rate"] for record in trainer.fit(state)] == [0.01] * 3


def test_without_values_there_is_one_group() -> None:
    (group,) = training(*SMALL).state().optimizer.param_groups
    assert len(group["params"]) == 4


def test_schedules_start_from_the_rate_of_each_group() -> None:
    words = ("scheduler=one_cycle", "optimizer.lr=0.01", "optimizer.groups.readout.lr=0.5")
    state = training(*SMALL, *words).state()
    assert [group["lr"] for group in state.optimizer.param_groups] == pytest.approx([0.01 / 25, 0.5 / 25])


def test_a_group_without_a_parameter_is_refused_with_those_that_there_are() -> None:
    trainer = training(*SMALL, "optimizer.groups.recurrent.lr=0.1")
    with pytest.raises(ConfigError) as error:
        trainer.state()
    message = str(error.value)
    assert message.startswith("optimizer.groups.recurrent: ") and "weights, readout" in message


@pytest.mark.parametrize(
    ("groups", "path"),
    [
        ({"neuron": {"lr": -1}}, "optimizer.groups.neuron.lr"),
        ({"neuron": {"weight_decay": "a"}}, "optimizer.groups.neuron.weight_decay"),
        ({"neuron": {"momentum": 1}}, "optimizer.groups.neuron"),
        ({"neuron": 3}, "optimizer.groups.neuron"),
        (3, "optimizer.groups"),
    ],
)
def test_values_that_cannot_be(groups: Any, path: str) -> None:
    with pytest.raises(PartError) as error:
        groups_of({"groups": groups})
    assert error.value.path == path


def test_a_run_of_an_earlier_version_has_none() -> None:
    assert groups_of({"_target_": "torch.optim.Adam", "lr": 1e-3}) == {}
    assert groups_of({"groups": {"neuron": {"lr": None, "weight_decay": None}}}) == {}
