"""The set-ups for event data: each is what its source says, has as many parameters, and trains on the set's files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.config.settings import Settings
from snnrun.errors import ConfigError
from snnrun.job.parts import parts_of
from snnrun.model import MLP, Recurrent, delays_of
from snnrun.run.build import build_model, count_parameters, load_data
from snnrun.training.records import LogRecord, StepRecord, of_kind
from snnrun.training.streams import Streams
from support.catalogued import at
from support.event_sets import write_event_set
from support.small import CPU, config_for, training, weights
from support.written import digit_files, ts_header, ts_lines, write_digits, write_ts

#: From SpikingJelly's classify_dvsg.py and DVSGestureNet, and from SpyTorch's tutorial 4.
SOURCES: dict[str, dict[str, Any]] = {
    "dvs_gesture": {
        "task.by": "count",
        "task.clip": False,
        "task.size": None,
        "task.validation": 0,
        "num_steps": 16,
        "epochs": 64,
        "batch_size": 16,
        "drop_last": True,
        "model.norm": "batch",
        "model.norm_fc": False,
        "model.neurons": "before_pool",
        "model.dropout": 0.5,
        "model.dropout_conv": False,
        "neuron.tau": 2.0,
        "neuron.decay_input": True,
        "neuron.integration": "euler",
        "neuron.fires_at": ">=",
        "neuron.reset": "zero",
        "neuron.detach_reset": True,
        "surrogate._target_": "snnrun.surrogate.ATan",
        "surrogate.alpha": 2.0,
        "loss._target_": "snnrun.loss.MSERate",
        "loss.population": 10,
        "optimizer._target_": "torch.optim.Adam",
        "optimizer.lr": 1e-3,
        "scheduler._target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "scheduler.T_max": 64,
    },
    "shd": {
        "task.by": "time",
        "task.duration": 1.4,
        "task.clip": False,
        "task.validation": 0,
        "num_steps": 100,
        "epochs": 200,
        "batch_size": 256,
        "drop_last": True,
        "model.hidden": [200],
        "model.bias": False,
        "model.weight_init": "normal(0.2)",
        "neuron.tau_syn": 5.0,
        "neuron.tau_mem": 10.0,
        "neuron.fires_at": ">",
        "neuron.reset": "zero",
        "neuron.reset_timing": "delayed",
        "neuron.detach_reset": True,
        "readout._target_": "snnrun.neuron.CurrentLI",
        "surrogate._target_": "snnrun.surrogate.FastSigmoid",
        "surrogate.slope": 100.0,
        "loss._target_": "snnrun.loss.CEMaxMembrane",
        "loss.accuracy": "max_membrane",
        "optimizer._target_": "torch.optim.Adamax",
        "optimizer.lr": 2e-4,
        "scheduler._target_": "torch.optim.lr_scheduler.ConstantLR",
    },
}
#: Counted by hand: convolutions and norms, then the two layers behind them; W, V and the read-out.
PARAMETERS = {
    "dvs_gesture": 9 * 2 * 128 + 4 * 9 * 128 * 128 + 5 * 2 * 128 + (2048 + 1) * 512 + (512 + 1) * 110,
    "shd": 700 * 200 + 200 * 200 + 200 * 20,
    "shd_adlif": 140 * 360 + 3 * 360 * 360 + 2 * 5 * 360 + (360 + 1) * 20,  # W and V; bias, a, b, τ and τ_w; read-out
    "psmnist_brf": 256 + 256 * 256 + 2 * 256 + 256 * 10,  # the source has 68,874, ten τ more
    "ecg_brf": 4 * 36 + 36 * 36 + 2 * 36 + 36 * 6 + 6,  # W, V, ω and b_offset; the read-out and its τ
    "smnist5k_brf": 256 + 256 * 256 + 2 * 256 + 256 * 10,
    "shd_dcls": 2 * (140 * 256 + 256 * 256 + 256 * 20) + 2 * 2 * 256,  # each weight has a delay; the norms
    # W with b, V, a delay of each neuron; the source has 768 spreads more, one for each delay.
    "ssc_delrec": (140 + 1) * 256 + 2 * (256 + 1) * 256 + 3 * (256 + 1) * 256 + (256 + 1) * 35,
    "shd_brf": 108_820,  # as the source counts
    "ecg_alif": 4 * 36 + 36 * 36 + 2 * 36 + 36 * 6 + 6,  # W, V, τ and τ_adapt; the read-out and its τ
    "yin_yang_delays": 2 * (4 * 30 + 30 * 3),  # each weight has a delay
}


def build_experiment(name: str, *overrides: str) -> tuple[dict[str, Any], Any, Any]:
    config = config_for(f"experiment={name}", *overrides)
    parts = parts_of(config)
    return config, parts, build_model(parts, Settings.from_config(config), Streams(0, CPU))


def finite_losses(records: Iterable[LogRecord]) -> list[float]:
    """The loss of each step of a training, all finite."""
    losses = [record.loss for record in of_kind(records, StepRecord)]
    assert all(map(math.isfinite, losses))
    return losses


@pytest.mark.parametrize("name", SOURCES)
def test_settings_are_those_of_the_source(name: str) -> None:
    config = config_for(f"experiment={name}")
    assert {key: at(config, key) for key in SOURCES[name]} == SOURCES[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_is_as_large_as_the_source_s(name: str) -> None:
    _, _, model = build_experiment(name)
    assert count_parameters(model) == PARAMETERS[name]


@pytest.mark.long
@pytest.mark.parametrize("name", SOURCES)
def test_it_trains_on_files_in_the_set_s_own_format(name: str, tmp_path: Path) -> None:
    if name == "shd":
        pytest.importorskip("h5py")
    write_event_set(tmp_path, name)
    small = {
        "dvs_gesture": ["batch_size=4", "num_steps=4", "task.size=32", "model.layers=[8c3p1,mp2,8c3p1,mp2,fc32]"],
        "shd": ["batch_size=40", "num_steps=10", "model.hidden=[20]"],
    }
    trainer = training(f"experiment={name}", "epochs=1", *small[name], batches=2, data_dir=tmp_path)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    records = trainer.fit()
    assert len(finite_losses(records)) == 2
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    assert "validation_loss" not in records[-1].to_json()


@pytest.mark.long
@pytest.mark.parametrize(("name", "task"), [("dvs_gesture", "moving_bars"), ("shd", "spoken_tones")])
def test_it_trains_on_the_synthetic_task_of_the_same_shape(name: str, task: str) -> None:
    small = {
        "dvs_gesture": ["model.layers=[8c3p1,mp2,8c3p1,mp2,fc32]", "loss.population=2"],
        "shd": ["model.hidden=[20]", "num_steps=10"],
    }
    records = training(f"experiment={name}", f"task={task}", "epochs=1", "batch_size=8", *small[name]).fit()
    assert [record.kind for record in records] == ["step", "step", "epoch"]
    assert "validation_accuracy" in records[-1].to_json()


# --- the equations of SpyTorch's tutorial 4 ----------------------------------------------------------------------


def spytorch(x: Tensor, w1: Tensor, w2: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden spikes and read-out ``[T, B, *]`` of its ``run_snn``, without recurrence; time first."""
    alpha, beta = math.exp(-1 / 5), math.exp(-1 / 10)
    syn = mem = x.new_zeros(x.shape[1], len(w1))
    flt = out = x.new_zeros(x.shape[1], len(w2))
    spikes, outs = [], [out]
    for now in x:
        spikes_now = (mem > 1).to(x.dtype)
        spikes.append(spikes_now)
        mem, syn = (beta * mem + syn) * (1 - spikes_now), alpha * syn + now @ w1.T
    for now in spikes:
        out, flt = beta * out + flt, alpha * flt + now @ w2.T
        outs.append(out)
    return torch.stack(spikes), torch.stack(outs)


def test_without_recurrence_the_network_is_spytorch_s_but_for_its_delays() -> None:
    """There a current reaches the membrane two steps after the spike that made it, here at once."""
    _, _, model = build_experiment("shd")
    assert isinstance(model, Recurrent)
    model = model.double()
    weights = {name: value for name, value in model.named_parameters() if "recurrence" not in name}
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.mul_(0 if "recurrence" in name else 5)
    x = (torch.rand((60, 4, 700), generator=torch.Generator().manual_seed(0)) < 0.02).double()
    traces = model(x)
    spikes, out = spytorch(x, *weights.values())
    assert 0.01 < spikes.mean().item() < 0.5
    assert torch.equal(traces["hidden1"].spikes[:-2], spikes[2:])
    torch.testing.assert_close(traces["output"].membrane[:-3], out[4:])


def test_the_cost_of_spikes_is_spytorch_s() -> None:
    _, parts, _ = build_experiment("shd")
    steps, samples, neurons = 100, 256, 8
    train = (torch.rand((steps, samples, neurons), generator=torch.Generator().manual_seed(0)) < 0.1).float()
    cost = 2e-6 * train.sum() + 2e-6 * (train.sum((0, 1)) ** 2).mean()
    penalty = parts.loss.penalty({"hidden1": train, "output": torch.zeros(steps, samples, 20)})
    torch.testing.assert_close(penalty, cost)


def test_initial_weights_have_spytorch_s_spread() -> None:
    _, _, model = build_experiment("shd")
    for name, weight in model.named_parameters():
        # 4,000 weights and more: a standard deviation of 1.1 % of that of the weights
        assert weight.std().item() * math.sqrt(weight.shape[1]) == pytest.approx(0.2, rel=0.05), name


# --- the ECG by balanced resonate-and-fire neurons ----------------------------------------------------------------


def test_the_network_of_the_ecg_is_its_authors() -> None:
    config, parts, model = build_experiment("ecg_brf")
    expected = {"epochs": 400, "batch_size": 16, "num_steps": 1300, "task.unlabelled": "first", "optimizer.lr": 0.1}
    assert {key: at(config, key) for key in expected} == expected
    assert isinstance(model, MLP)
    layers: Any = model.layers
    hidden, output = layers["hidden1"], layers["output"]
    omega, offset, tau = hidden.neuron.omega(), hidden.neuron.b_offset(), output.neuron.tau()
    assert ((omega >= 3) & (omega <= 5)).all() and omega.unique().numel() == 36
    assert ((offset >= 0.1) & (offset <= 1)).all() and offset.unique().numel() == 36
    assert ((tau > 15) & (tau < 25)).all() and tau.unique().numel() == 6
    assert {layer.backend for layer in (hidden, output)} == {"fused"}
    assert hidden.synapse.bias is hidden.neuron.feedback.bias is output.synapse.bias is None
    # A training step: everything that it learns has a gradient. At first the network is silent on real heartbeats.
    x = 40 * torch.randint(-1, 2, (60, 3, 4), generator=torch.Generator().manual_seed(0)).float()
    traces = model(x)
    assert traces["hidden1"].spikes.any()
    target = torch.randint(0, 6, (3, 60), generator=torch.Generator().manual_seed(1))
    parts.loss(traces["output"].spikes, traces["output"].membrane, target).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_the_digits_pixel_by_pixel_have_the_same_network() -> None:
    config, parts, model = build_experiment("smnist5k_brf")
    other, _, same = build_experiment("psmnist_brf")
    keys = ("neuron.gamma", "neuron.dt", "surrogate", "loss", "optimizer", "clip_grad_norm", "num_steps")
    assert {key: at(config, key) for key in keys} == {key: at(other, key) for key in keys}
    assert parts.task.length == 784
    assert {name: p.shape for name, p in model.named_parameters()} == {
        name: p.shape for name, p in same.named_parameters()
    }


def test_the_network_of_permuted_mnist_is_its_authors() -> None:
    config, parts, model = build_experiment("psmnist_brf")
    expected = {
        "task._target_": "snnrun.task.PermutedMNIST",
        "task.sequence": "pixel",
        "epochs": 300,
        "batch_size": 256,
        "num_steps": 784,
        "optimizer.lr": 0.1,
        "clip_grad_norm": 1.0,
        "loss.over_time": "every_step",
    }
    assert {key: at(config, key) for key in expected} == expected
    assert parts.task.length == 784 and parts.task.input_shape == (1,)
    layers: Any = model.layers
    hidden, output = layers["hidden1"], layers["output"]
    omega, offset, tau = hidden.neuron.omega(), hidden.neuron.b_offset(), -1 / torch.log(output.neuron.beta())
    assert ((omega >= 15) & (omega <= 85)).all() and omega.unique().numel() == 256
    assert ((offset >= 0.1) & (offset <= 1)).all() and offset.unique().numel() == 256
    assert ((tau > 15) & (tau < 25)).all() and tau.unique().numel() == 10
    assert {layer.backend for layer in (hidden, output)} == {"fused"}
    assert hidden.synapse.bias is hidden.neuron.feedback.bias is output.synapse.bias is None


def test_the_network_of_spoken_digits_is_its_authors() -> None:
    config, parts, model = build_experiment("shd_brf")
    expected = {
        "task.by": "time",
        "task.duration": 1.0,
        "task.clip": True,
        "task.validation": 0.1,
        "num_steps": 250,
        "epochs": 20,
        "batch_size": 32,
        "optimizer.lr": 0.075,
        "clip_grad_norm": None,
        "loss.over_time": "every_step",
        "loss.accuracy": "membrane",
    }
    assert {key: at(config, key) for key in expected} == expected
    layers: Any = model.layers
    hidden, output = layers["hidden1"], layers["output"]
    omega, offset, tau = hidden.neuron.omega(), hidden.neuron.b_offset(), output.neuron.tau()
    assert ((omega >= 5) & (omega <= 10)).all() and omega.unique().numel() == 128
    assert ((offset >= 2) & (offset <= 3)).all() and offset.unique().numel() == 128
    assert tau.unique().numel() == 20 and tau.std() > 2
    # The loss is summed over the steps, so Adam's eps is the source's.
    membrane = torch.randn(250, 3, 20, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([1, 19, 4])
    each = [torch.nn.functional.cross_entropy(step, target) for step in membrane]
    torch.testing.assert_close(parts.loss(torch.zeros_like(membrane), membrane, target), torch.stack(each).sum())


def test_resonators_train_on_files_in_the_set_s_format(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    write_event_set(tmp_path, "shd")
    trainer = training("experiment=shd_brf", "epochs=1", "batch_size=10", batches=2, data_dir=tmp_path)
    before = weights(trainer.model)
    records = trainer.fit()
    assert len(finite_losses(records)) == 2
    assert any((value != before[name]).any() for name, value in trainer.model.named_parameters())
    assert "validation_loss" in records[-1].to_json()


# --- the ECG by adaptive neurons ----------------------------------------------------------------------------------


def alif_network(x: Tensor, parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Spikes and outputs by the equations of ALIFCell and LICell in the source, one step after the other."""
    w, v, out = (parameters[name] for name in ("synapse", "feedback", "readout"))
    alpha, rho, decay = (torch.exp(-1 / parameters[name].abs()) for name in ("tau", "tau_adapt", "tau_readout"))
    z = u = a = x.new_zeros(x.shape[1], len(w))
    o = x.new_zeros(x.shape[1], len(out))
    spikes, outputs = [], []
    for now in x:
        a = rho * a + (1 - rho) * z
        threshold = 0.01 + 1.8 * a
        u = alpha * u + (1 - alpha) * (now @ w.T + z @ v.T)
        z = (u > threshold).to(x.dtype)
        u = u - z * threshold
        o = decay * o + (1 - decay) * (z @ out.T)
        spikes.append(z)
        outputs.append(o)
    return torch.stack(spikes), torch.stack(outputs)


def test_the_adaptive_network_of_the_ecg_is_its_authors() -> None:
    config, parts, model = build_experiment("ecg_alif")
    expected = {
        "epochs": 400,
        "batch_size": 64,
        "num_steps": 1300,
        "task.unlabelled": "first",
        "optimizer.lr": 0.05,
        "optimizer.eps": 7.8e-12,
        "loss.skip_steps": 10,
        "clip_grad_norm": None,
        "neuron.detach_reset": False,
    }
    assert {key: at(config, key) for key in expected} == expected
    model = model.double()
    layers: Any = model.layers
    hidden, output = layers["hidden1"], layers["output"]
    values = {
        "synapse": hidden.synapse.weight,
        "feedback": hidden.neuron.feedback.weight,
        "readout": output.synapse.weight,
        "tau": hidden.neuron.tau(),
        "tau_adapt": hidden.neuron.tau_adapt(),
        "tau_readout": output.neuron.tau(),
    }
    assert (values["tau"] - 20).abs().max() < 3 and values["tau"].unique().numel() == 36
    assert (values["tau_adapt"] - 7).abs().max() < 1.2 and values["tau_adapt"].unique().numel() == 36
    x = torch.randint(-1, 2, (80, 3, 4), generator=torch.Generator().manual_seed(0)).double()
    traces = model(x)
    spikes, outputs = alif_network(x, {name: value.detach() for name, value in values.items()})
    assert 0.02 < spikes.mean() < 0.9
    assert torch.equal(traces["hidden1"].spikes, spikes)
    torch.testing.assert_close(traces["output"].membrane, outputs)
    target = torch.randint(0, 6, (3, 80), generator=torch.Generator().manual_seed(1))
    parts.loss(traces["output"].spikes, traces["output"].membrane, target).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


# --- speech by delays ---------------------------------------------------------------------------------------------

#: From best_config_SHD.py and snn_delays.py, and from perf_SSC.py, snn.py and recurrent_neurons.py.
DELAYS: dict[str, dict[str, Any]] = {
    "shd_dcls": {
        "task.pool": 5,
        "task.clip": False,
        "epochs": 150,
        "batch_size": 256,
        "model.hidden": [256, 256],
        "model.bias": False,
        "model.dropout": 0.4,
        "model.norm": "batch",
        "model.delay.of": "synapse",
        "model.delay.maximum": 25 - 1,
        "model.delay.final_width": 0.5,
        "neuron.tau": 1.005,
        "neuron.integration": "euler",
        "neuron.decay_input": False,
        "neuron.fires_at": ">=",
        "neuron.reset": "zero",
        "neuron.detach_reset": True,
        "surrogate._target_": "snnrun.surrogate.ATan",
        "surrogate.alpha": 5.0,
        "loss._target_": "snnrun.loss.CESoftmax",
        "optimizer.lr": 5e-3,
        "optimizer.weight_decay": 1e-5,
        "optimizer.groups.delays.lr": 0.1,
        "optimizer.groups.delays.weight_decay": 0.0,
    },
    "ssc_delrec": {
        "task.pool": 5,
        "task.clip": False,
        "num_steps": 250,
        "epochs": 100,
        "batch_size": 128,
        "model.hidden": [256, 256, 256],
        "model.bias": True,
        "model.dropout": 0.1,
        "model.norm": "none",
        "model.delay.of": "axon",
        "model.delay.connections": "recurrent",
        "model.delay.scale": "area",
        "neuron.tau": 2.0,
        "neuron.integration": "euler",
        "neuron.decay_input": False,
        "neuron.fires_at": ">=",
        "neuron.reset": "subtract",
        "neuron.detach_reset": False,
        "optimizer.lr": 1e-3,
        "optimizer.weight_decay": 1e-5,
        "optimizer.groups.delays.lr": 5e-2,
        "optimizer.groups.delays.weight_decay": 0.0,
    },
}


@pytest.mark.parametrize("name", DELAYS)
def test_the_delays_of_speech_are_their_authors(name: str) -> None:
    config, _, model = build_experiment(name)
    assert {key: at(config, key) for key in DELAYS[name]} == DELAYS[name]
    for each in delays_of(model).values():
        assert each.width is not None and each.width.item() == pytest.approx(
            {"shd_dcls": 12.27, "ssc_delrec": 11}[name]
        )
        assert each.delays().unique().numel() > 250
    if name == "ssc_delrec":  # the absolute value of a normal distribution, a deviation of 12, cut at 40
        delays = torch.cat([each.delays() for each in delays_of(model).values()])
        assert delays.mean().item() == pytest.approx(12 * math.sqrt(2 / math.pi), rel=0.12)  # three deviations
        layers: Any = model.layers
        x = torch.randn(9, 2, 35, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(layers["output"].fire(x, 9).membrane, x)
        surrogate = layers["hidden1"].neuron.surrogate
        torch.testing.assert_close(surrogate.derivative(x), (1 - x.abs()).clamp(min=0))


def dcls_network(x: Tensor, layers: list[dict[str, Tensor]]) -> tuple[list[Tensor], Tensor]:
    """The spikes of the hidden layers and the membrane of the read-out, by SnnDelays in evaluation, with its loops."""
    keep, spikes = 1 - 1 / 1.005, []
    for layer in layers:
        steps, batch, inputs = x.shape
        arrived = x.new_zeros(steps, batch, len(layer["weight"]))
        for i in range(inputs):
            for j, delay in enumerate(layer["delay"][:, i].round().int().tolist()):
                arrived[delay:, :, j] += layer["weight"][j, i] * x[: steps - delay, :, i]
        if "mean" in layer:
            arrived = (arrived - layer["mean"]) / (layer["variance"] + 1e-5).sqrt() * layer["gain"] + layer["shift"]
        v, membranes, out = x.new_zeros(arrived[0].shape), [], []
        for now in arrived:
            u = keep * v + now
            s = (u >= 1).to(x.dtype) if "mean" in layer else torch.zeros_like(u)
            v = u * (1 - s)
            membranes.append(u)
            out.append(s)
        x = torch.stack(out)
        spikes.append(x)
    return spikes[:-1], torch.stack(membranes)


def test_the_network_of_dcls_is_its_authors() -> None:
    _, parts, model = build_experiment("shd_dcls", "model.hidden=[9,7]")
    assert isinstance(model, MLP)
    model = model.double().eval()
    layers, weights_of = model.layers, []
    generator = torch.Generator().manual_seed(0)
    for layer in layers.values():
        each: Any = layer
        values = {"weight": each.synapse.weight, "delay": each.delay.delays()}
        if each.norm is not None:
            norm = next(module for module in each.norm.modules() if hasattr(module, "running_mean"))
            with torch.no_grad():
                norm.running_mean.uniform_(-0.1, 0.1, generator=generator)
                norm.running_var.uniform_(0.2, 0.5, generator=generator)
            values |= {"mean": norm.running_mean, "variance": norm.running_var}
            values |= {"gain": norm.weight, "shift": norm.bias}
        weights_of.append({name: value.detach() for name, value in values.items()})
    x = torch.randint(0, 4, (40, 2, 140), generator=generator).double() / 3
    with torch.no_grad():
        traces = model(x)
    spikes, membrane = dcls_network(x, weights_of)
    for name, expected in zip(("hidden1", "hidden2"), spikes, strict=True):
        assert 0.02 < expected.mean() < 0.95
        assert torch.equal(traces[name].spikes, expected)
    torch.testing.assert_close(traces["output"].membrane, membrane)
    # The softmax of each step, summed over time, is the logit.
    target = torch.tensor([3, 17])
    expected_loss = torch.nn.functional.cross_entropy(membrane.softmax(2).sum(0), target)
    torch.testing.assert_close(parts.loss(traces["output"].spikes, traces["output"].membrane, target), expected_loss)


@pytest.mark.parametrize("name", DELAYS)
def test_delays_of_speech_train_on_files_in_the_set_s_format(name: str, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    write_event_set(tmp_path, name.partition("_")[0])
    hidden = "model.hidden=[20,20]"
    small = ("epochs=1", "batch_size=20", "num_steps=50", hidden, "model.delay.maximum=12")
    initial = ("model.delay.initial='normal(0,4)'",) if name == "ssc_delrec" else ()
    trainer = training(f"experiment={name}", *small, *initial, batches=2, data_dir=tmp_path)
    with torch.no_grad():  # so small a network would be silent from its second layer on
        for each, parameter in trainer.model.named_parameters():
            parameter.mul_(4 if "synapse.weight" in each else 1)
    before = weights(trainer.model)
    assert len(finite_losses(trainer.fit())) == 2
    delays = [parameter for each in delays_of(trainer.model).values() for parameter in each.parameters()]
    changed = {id(p) for name, p in trainer.model.named_parameters() if (p != before[name]).any()}
    assert delays and all(id(parameter) in changed for parameter in delays)


# --- spoken digits by SE-adLIF neurons ----------------------------------------------------------------------------

#: From SHD_SE_adLIF.yaml, dataset/shd.yaml, run.py and the classes that they name.
ADLIF: dict[str, Any] = {
    "task.by": "time",
    "task.duration": 1.0,
    "task.pool": 5,
    "task.clip": False,
    "num_steps": 250,
    "epochs": 300,
    "batch_size": 256,
    "drop_last": True,
    "clip_grad_norm": 1.5,
    "model.hidden": [360, 360],
    "model.dropout": 0.15,
    "neuron.q": 120.0,
    "neuron.reset": "zero",
    "neuron.reset_timing": "same",
    "neuron.detach_reset": True,
    "neuron.fires_at": ">",
    "loss._target_": "snnrun.loss.CESoftmax",
    "loss.skip_steps": 10,
    "optimizer._target_": "torch.optim.Adam",
    "optimizer.lr": 0.01,
    "scheduler._target_": "torch.optim.lr_scheduler.ConstantLR",
}


def test_the_network_of_se_adlif_is_its_authors() -> None:
    config, parts, model = build_experiment("shd_adlif")
    assert {key: at(config, key) for key in ADLIF} == ADLIF
    assert isinstance(model, MLP)
    layers: Any = model.layers
    for layer in (layers["hidden1"], layers["hidden2"]):
        neuron = layer.neuron
        for value, low, high in ((neuron.tau, 5, 25), (neuron.tau_w, 60, 300), (neuron.a, 0, 1), (neuron.b, 0, 2)):
            assert ((value() >= low) & (value() <= high)).all() and value().unique().numel() > 300
    assert {layer.backend for layer in layers.values()} == {"fused"}
    # SLAYER's derivative, and the decay of the read-out.
    x = torch.tensor([-0.3, 0.0, 0.2])
    expected = 0.4 * 5 / (2 * torch.exp(5 * x.abs()))
    torch.testing.assert_close(layers["hidden1"].neuron.surrogate.derivative(x), expected)
    assert layers["output"].neuron.beta() == pytest.approx(math.exp(-1 / 15))
    # A training step: everything that it learns has a gradient. At first the network hardly fires.
    with torch.no_grad():
        for name in ("hidden1", "hidden2"):
            layers[name].synapse.weight.mul_(20)
    x = torch.randint(0, 4, (40, 4, 140), generator=torch.Generator().manual_seed(0)).float()
    traces = model(x)
    assert traces["hidden1"].spikes.any() and traces["hidden2"].spikes.any()
    parts.loss(traces["output"].spikes, traces["output"].membrane, torch.tensor([0, 5, 11, 19])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_se_adlif_trains_on_files_in_the_set_s_format(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    write_event_set(tmp_path, "shd")
    small = ("epochs=1", "batch_size=40", "num_steps=20", "model.hidden=[20,20]")
    trainer = training("experiment=shd_adlif", *small, batches=2, data_dir=tmp_path)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    records = trainer.fit()
    assert len(finite_losses(records)) == 2
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    assert "validation_loss" not in records[-1].to_json()


# --- delays on Yin-Yang -------------------------------------------------------------------------------------------


def test_yin_yang_has_the_times_of_the_source_and_learns_weights_and_delays() -> None:
    trainer = training("experiment=yin_yang_delays", "epochs=2", batches=4)
    steps, time_constants = 100, 4  # the source counts time in synaptic time constants, and a sample lasts four
    task: Any = trainer.parts.task
    assert [time_constants * share for share in (task.early, task.late)] == pytest.approx([0.15, 2.0])
    assert task.bias_time is None
    assert [each.kind.maximum for each in delays_of(trainer.model).values()] == [steps // time_constants] * 2
    before = weights(trainer.model)
    assert len(finite_losses(trainer.fit())) == 8
    for name, value in trainer.model.named_parameters():
        assert (value != before[name]).float().mean() > 0.5, name
    # Steps of the delays are counted in tenths of a time step, and are ten times as large as those of the weights.
    moves = {name: (value - before[name]).abs().max().item() for name, value in trainer.model.named_parameters()}
    delays = [move for name, move in moves.items() if "delay" in name]
    assert min(delays) > 5 * max(move for name, move in moves.items() if "delay" not in name)


def test_without_delays_half_of_the_parameters_are_left() -> None:
    _, _, model = build_experiment("yin_yang_delays", "~delay", "optimizer.groups.delays.lr=null")
    assert not delays_of(model)
    assert count_parameters(model) == PARAMETERS["yin_yang_delays"] // 2


# --- set-ups of our own for sound and time series -----------------------------------------------------------------


OWN = {"fsdd_adlif": (40, 128, 10), "japanese_vowels": (12, 128, 9)}


@pytest.mark.parametrize("name", OWN)
def test_a_set_up_of_our_own_trains_on_files_in_the_set_s_format(name: str, tmp_path: Path) -> None:
    write_digits(tmp_path, digit_files())
    classes = "123456789"
    train, test = (ts_lines(count, 12, classes, count) for count in (45, 18))
    write_ts(tmp_path / "JapaneseVowels", "JapaneseVowels", train, test, ts_header(12, classes))
    words = (f"experiment={name}", f"data_dir={tmp_path}", "epochs=1", "batch_size=10")
    trainer = training(*words, batches=2, data_dir=tmp_path)
    inputs, hidden, outputs = OWN[name]
    # W, the two of the norm (which replaces the bias), V, and the read-out.
    expected = (inputs + 2) * hidden + hidden**2 + (hidden + 1) * outputs
    assert count_parameters(trainer.model) == expected
    assert len(finite_losses(trainer.fit())) == 2


def test_a_loss_that_leaves_no_step_of_the_shortest_sample_is_refused_before_training(tmp_path: Path) -> None:
    classes = "123456789"
    lines = ts_lines(45, 12, classes, 0)
    write_ts(tmp_path / "JapaneseVowels", "JapaneseVowels", lines, ts_lines(18, 12, classes, 1), ts_header(12, classes))
    words = ("experiment=japanese_vowels", f"data_dir={tmp_path}", "epochs=1", "batch_size=10")
    config = config_for(*words)
    shortest = load_data(parts_of(config), Settings.from_config(config), Streams(0, CPU), CPU).shortest
    assert shortest == 3
    training(*words, f"loss.skip_steps={shortest - 1}", data_dir=tmp_path).fit()
    with pytest.raises(ConfigError) as error:
        training(*words, f"loss.skip_steps={shortest}", data_dir=tmp_path)
    fault = error.value.fault
    assert fault is not None and fault.path == "loss.skip_steps"
    assert f"less than the {shortest} steps" in str(fault)
