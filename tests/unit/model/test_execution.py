"""The execution plan: which layer gets what of it, when it may come, and what is refused."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import Generator, Tensor, nn

from snnrun.config.settings import Settings
from snnrun.errors import ArgumentError, ConfigError
from snnrun.model import MLP, ConvNet, ExecutionPlan, Layer, Linear, Norm, Product, Recurrent, plan_of, set_plan
from snnrun.model.execution import DEFAULT_PLAN
from snnrun.neuron import LIF, PSN, RLIF
from snnrun.surrogate import ATan
from snnrun.system import machine
from snnrun.system.ranks import Ranks
from snnrun.system.team import Team
from support.small import config_for


class Two(Team):
    ranks = Ranks(0, 2)


def mlp(backend: str = "auto") -> MLP:
    torch.manual_seed(0)
    return MLP((6,), 3, functools.partial(LIF, threshold=0.2), backend, hidden=[5, 4])


def test_a_model_made_in_python_has_the_default_plan() -> None:
    layers = list(mlp().layers.values())
    assert [layer.plan for layer in layers] == [DEFAULT_PLAN] * 3
    assert (DEFAULT_PLAN.membrane, DEFAULT_PLAN.spikes, DEFAULT_PLAN.team) == (True, True, None)
    assert all(layer.synapse.product == Product() for layer in layers)  # type: ignore[union-attr]


def test_every_layer_gets_the_plan_and_the_read_out_one_that_records() -> None:
    model = ConvNet((1, 6, 6), 3, LIF, layers=["2c3p1", "mp2", "fc4"], norm="batch")
    team = Two()
    plan = ExecutionPlan("reference", "low", Product("onednn", 0.1), team, membrane=False, spikes=False)
    set_plan(model, plan)
    *hidden_layers, readout = [module for module in model.modules() if isinstance(module, Layer)]
    assert [layer.plan for layer in hidden_layers] == [plan, plan]
    assert readout.plan == plan.for_readout()
    assert (readout.plan.memory, readout.plan.membrane, readout.plan.spikes) == ("full", True, True)
    assert {layer.backend for layer in (*hidden_layers, readout)} == {"reference"}
    assert all(module.plan.team is team for module in model.modules() if isinstance(module, (Layer, Norm)))
    assert [module.product for module in model.modules() if isinstance(module, Linear)] == [plan.product] * 2


def test_a_plan_may_come_after_the_weights() -> None:
    """As where a checkpoint is loaded into a model; nothing that is computed changes."""
    x = torch.rand(4, 2, 6, generator=torch.Generator().manual_seed(1))
    source, model = mlp("reference"), mlp("reference")
    expected = source(x)["output"]
    model.load_state_dict(source.state_dict())
    set_plan(model, ExecutionPlan("fused"))
    assert {layer.backend for layer in model.layers.values()} == {"fused"}
    actual = model(x)["output"]
    assert torch.equal(actual.spikes, expected.spikes)
    torch.testing.assert_close(actual.membrane, expected.membrane)


def test_a_copy_of_a_model_shares_the_plan() -> None:
    """A team has connections, which cannot be copied."""
    model = mlp()
    set_plan(model, ExecutionPlan(team=Two()))
    other = copy.deepcopy(model)
    assert all(a.plan is b.plan for a, b in zip(model.layers.values(), other.layers.values(), strict=True))


def test_the_plan_of_settings() -> None:
    settings = Settings.from_config(config_for("backend=reference", "memory=low", "matmul=onednn"))
    team = Two()
    plan = plan_of(settings, spikes=False, team=team)
    assert plan == ExecutionPlan("reference", "low", Product(), team, membrane=False, spikes=False)
    assert plan_of(settings, team=Team()).team is None, "one process has the batch whole"


def test_a_layer_keeps_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(machine, "keep_freed_memory", lambda: calls.append("kept"))
    MLP((4,), 2, LIF)
    assert calls


def test_the_users_own_setting_of_memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert not machine.keep_freed_memory()


def test_what_no_layer_can_do_is_refused() -> None:
    with pytest.raises(ArgumentError) as error:
        ExecutionPlan(backend="fast")
    assert (error.value.name, error.value.got) == ("backend", "fast")
    with pytest.raises(ArgumentError) as error:
        ExecutionPlan(memory="some")
    assert (error.value.name, error.value.got) == ("memory", "some")
    model = Recurrent((6,), 3, LIF, hidden=[4])
    with pytest.raises(ArgumentError) as error:
        set_plan(model, ExecutionPlan(memory="low"))
    assert error.value.name == "memory"
    for neuron in (functools.partial(PSN, num_steps=4), functools.partial(RLIF, recurrence="convolution")):
        with pytest.raises(ArgumentError) as error:
            set_plan(MLP((6,), 3, neuron), ExecutionPlan("fused"))
        assert error.value.name == "backend"


class Noisy(ATan):
    def noise(self, x: Tensor, generator: Generator | None) -> Tensor | None:
        return torch.rand(x.shape, generator=generator)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Layer(Linear(3, 3), LIF(surrogate=Noisy())), "Noisy .* draws random numbers"),
        (nn.Sequential(nn.Dropout(0.5), Layer(Linear(3, 3), LIF())), "Dropout .* knows a process's own samples only"),
        (nn.Sequential(nn.BatchNorm1d(3), Layer(Linear(3, 3), LIF())), "BatchNorm1d .*; use snnrun.model.Norm"),
    ],
    ids=["surrogate", "dropout", "batch norm"],
)
def test_what_has_only_its_own_samples_is_refused_with_a_team(model: nn.Module, words: str) -> None:
    set_plan(model, ExecutionPlan())
    with pytest.raises(ConfigError, match=words):
        set_plan(model, ExecutionPlan(team=Two()))
