"""The page of the benchmarks is what its numbers make, and the statistics are right."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks import peers, report, statistic
from benchmarks.gpu import catalogue, convolutions, launches, machine_code, neurons, page
from benchmarks.setting import Convolutional, Job
from snnrun.sequence.kernel.kernel import Kernel
from support.catalogued import FUSED, options


def test_the_page_shows_the_numbers_of_its_file() -> None:
    assert report.main(["--check"]) == 0


@pytest.fixture(scope="module")
def lif_and_if() -> Iterator[None]:
    """The benchmark for GPUs with two of its neurons."""
    everyone = catalogue.fused_neurons()
    with pytest.MonkeyPatch.context() as patch:
        for module in (machine_code, neurons):
            patch.setattr(module, "fused_neurons", lambda: {name: everyone[name] for name in ("if", "lif")})
        yield


@pytest.fixture(scope="module")
def counts() -> dict[tuple[str, str], dict[str, Any]]:
    """The parts of the training steps, by job and network."""
    entries = launches.run(quick=True)
    return {(entry["job"], entry["network"]): {part["part"]: part for part in entry["parts"]} for entry in entries}


def test_the_benchmark_for_gpus_takes_every_neuron_with_a_fused_execution() -> None:
    assert set(catalogue.fused_neurons()) == set(FUSED) & set(options("neuron"))


@pytest.mark.usefixtures("lif_and_if")
def test_machine_code_has_registers_and_moves_bytes() -> None:
    pytest.importorskip("triton")
    rows = {(row["neuron"], row["direction"]): row for row in machine_code.table(quick=False)}
    assert len(rows) == 4 + 4  # two neurons, and lif in two sizes of a recurrent layer
    for row in rows.values():
        assert row["registers"] > 0 and row["spilt"] == 0
    assert rows["lif", "forward"]["bytes"] == 12  # input, spikes and membrane
    assert rows["lif", "backward"]["bytes"] == 12  # the membrane and two gradients
    assert len(page.machine_code(list(rows.values()))) == 2 + 4


@pytest.mark.usefixtures("lif_and_if")
def test_neurons_are_compared_and_measured() -> None:
    rows = neurons.run(argparse.Namespace(quick=True, rounds=2, device="cpu"))["neurons"]
    assert [row["neuron"] for row in rows] == ["if", "lif"]
    assert all(len(row["seconds"][backend]) == 2 for row in rows for backend in ("fused", "reference"))
    assert len(page.neurons(rows)) == 4


def test_a_neuron_with_other_results_is_not_measured() -> None:
    spikes, gradient = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 2.0])
    assert neurons.difference([spikes, gradient], [spikes, gradient + 1e-5]) is None
    assert neurons.difference([spikes, gradient], [1 - spikes, gradient]) is not None
    assert neurons.difference([spikes, gradient], [spikes, gradient + 1e-3]) is not None
    assert neurons.difference([spikes, gradient], [spikes, gradient * torch.nan]) is not None


def test_convolutions_are_measured_beside_the_reference() -> None:
    cases = convolutions.run(argparse.Namespace(quick=True, rounds=2, device="cpu"))["convolutions"]
    assert {"snnrun", "snnrun, reference", "the convolution alone"} <= set(cases[0]["seconds"])
    assert cases[0]["differ"]["snnrun"] == 0
    assert len(page.convolutions(cases)) == 2 + len(cases[0]["seconds"])


def test_a_layer_has_one_kernel_in_each_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels among all launches, for two layers of neurons without feedback."""
    calls: list[Kernel] = []
    call = launches.Counter.call

    def recorded(self: launches.Counter, kernel: Kernel, *arguments: Any) -> None:
        calls.append(kernel)
        call(self, kernel, *arguments)

    monkeypatch.setattr(launches.Counter, "call", recorded)
    case = launches.QUICK["fully connected"]
    x, target = torch.empty(3, 2, 784, device="meta"), torch.zeros(2, dtype=torch.int64, device="meta")
    launches.count(launches.networks(case)["snnrun"], x, target)
    assert [kernel.backwards for kernel in calls] == [False, False, True, True]


def test_launches_do_not_grow_with_the_steps_but_for_feedback() -> None:
    def counted(case: launches.Case) -> dict[str, tuple[int, int]]:
        shape = (784,) if isinstance(case, Job) else (10,)
        x = torch.empty(case.steps, case.batch, *shape, device="meta")
        target = torch.zeros(case.batch, dtype=torch.int64, device="meta")
        return {part.part: part.launches for part in launches.count(launches.networks(case)["snnrun"], x, target)}

    short, recurrent = launches.QUICK["fully connected"], launches.QUICK["recurrent"]
    assert isinstance(short, Job) and not isinstance(recurrent, (Job, Convolutional))
    assert counted(short) == counted(replace(short, steps=9))
    before, after = counted(recurrent), counted(recurrent._replace(steps=9))
    assert before.pop("neurons 1") <= after.pop("neurons 1")
    assert before == after


def test_the_bytes_of_a_product_are_its_tensors(counts: dict[tuple[str, str], dict[str, Any]]) -> None:
    """784-5-10, T = 3, batch 2: input, weights, bias and output of the first product."""
    first = counts["fully connected", "snnrun"]["synapses 1"]
    assert first["launches"][0] == 1
    assert first["bytes"][0] == 4 * (3 * 2 * 784 + 784 * 5 + 5 + 3 * 2 * 5)
    assert first["values"] == 3 * 2 * 5


def test_networks_have_the_same_products(counts: dict[tuple[str, str], dict[str, Any]]) -> None:
    pytest.importorskip("spikingjelly")
    for job in launches.CASES:
        ours, theirs, in_torch = (
            {name: part for name, part in counts[job, network].items() if name.startswith(("synapses", "pool"))}
            for network in ("snnrun", "SpikingJelly", "SpikingJelly, torch")
        )
        assert ours == theirs == in_torch
        neurons = [counts[job, network]["neurons 2"] for network in ("SpikingJelly", "SpikingJelly, torch")]
        assert sum(neurons[0]["launches"]) < sum(neurons[1]["launches"])


def test_spikingjelly_without_its_kernels_has_the_same_numbers() -> None:
    pytest.importorskip("spikingjelly")
    (peer,) = (peer for peer in peers.installed()[0] if peer.PACKAGE == "spikingjelly")
    (in_torch,) = (peer for peer in peers.available("meta") if isinstance(peer, peers.InTorch))
    linear, x = torch.nn.Linear(4, 5), torch.rand(6, 2, 4, generator=torch.Generator().manual_seed(0))
    results = []
    for each in (peer, in_torch):
        layer = each.layer(linear, 0.9, False)
        assert layer is not None
        spikes = layer(4 * x)
        results.append([spikes, *torch.autograd.grad(spikes.sum(), list(layer.parameters()))])
    assert results[0][0].any()
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_ratio_is_of_pairs() -> None:
    """Both become slower together: the ratio stays."""
    assert statistic.ratio([1.0, 2.0, 4.0], [3.0, 6.0, 12.0]) == (3.0, 3.0, 3.0)


def test_half_of_the_values_lie_in_the_spread() -> None:
    assert statistic.summary([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert statistic.summary([7.0]) == (7.0, 7.0, 7.0)
