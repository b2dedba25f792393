"""The device of a run, and what a device lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from snnrun.encoder import Latency, Rate
from snnrun.errors import ArgumentError, ConfigError
from snnrun.system import device
from snnrun.system.ranks import Ranks
from snnrun.training import streams
from snnrun.training.metrics import Activity, Counts, Totals
from snnrun.training.runtime import resolve_device
from snnrun.training.streams import Streams
from support.device import META

CPU, MPS = torch.device("cpu"), torch.device("mps")


def machine(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    """A machine with so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, False, "cpu"), (0, True, "mps"), (2, False, "cuda:0"), (1, True, "cuda:0")]
)
def test_auto_takes_the_fastest(cuda: int, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=cuda, mps=mps)
    assert str(resolve_device("auto")) == expected


def test_several_processes_never_take_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, mps=True)
    ranks = Ranks(rank=0, size=2)
    assert resolve_device("auto", ranks) == CPU
    with pytest.raises(ConfigError):
        resolve_device("mps", ranks)


@pytest.mark.parametrize(("name", "mps"), [("mps", False), ("cuda", True), ("cuda:1", False)])
def test_a_device_that_is_not_there(name: str, mps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, mps=mps)
    with pytest.raises(ConfigError) as refusal:
        resolve_device(name)
    assert refusal.value.fault is not None
    assert refusal.value.fault.path == "device"
    machine(monkeypatch, mps=True)
    assert resolve_device("mps") == MPS


class OnMps:
    """A tensor of which only the device is known."""

    device = MPS

    def float(self) -> str:
        return "float32"

    def double(self) -> str:
        return "float64"


def test_float64_is_refused_where_there_is_none() -> None:
    assert device.float64(CPU) == torch.float64
    with pytest.raises(ArgumentError) as refusal:
        device.float64(MPS)
    assert refusal.value.name == "device"
    sums: Any = OnMps()
    assert device.wide(sums) == "float32"
    assert device.wide(torch.ones(1)).dtype == torch.float64


def test_which_encoders_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(place: torch.device) -> torch.dtype:
        return device.float64(MPS)

    from snnrun.encoder import latency

    monkeypatch.setattr(latency, "float64", refuse)
    with pytest.raises(ArgumentError):
        Latency()(torch.rand(1, 2, 3), 4)
    Rate()(torch.rand(1, 2, 3), 4, torch.Generator())


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_streams_of_a_gpu_are_saved(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Generators of the device, and torch's own of the device, are in the state, and go back to it."""
    place = torch.device(kind, 0) if kind == "cuda" else MPS
    made: list[torch.device] = []

    def generator(where: torch.device) -> torch.Generator:
        made.append(torch.device(where))
        return torch.Generator()

    ambient = {"state": torch.tensor([1, 2], dtype=torch.uint8)}
    module = getattr(torch, kind)
    monkeypatch.setattr(streams, "Generator", generator)
    monkeypatch.setattr(module, "get_rng_state", lambda *_: ambient["state"].clone())
    monkeypatch.setattr(module, "set_rng_state", lambda state, *_: ambient.update(state=state.clone()))
    ours = Streams(0, place)
    assert made == [CPU, CPU, place, place]
    ours.evaluation()
    assert made[-1] == place, "encoders draw on the device"
    state = {name: tensor.clone() for name, tensor in ours.state().items()}
    assert set(state) == {"encoding", "dropout", "ambient", f"ambient {kind}"}
    expected = torch.rand(3, generator=ours.encoding), torch.rand(3, generator=ours.dropout)
    ambient["state"] = torch.tensor([9], dtype=torch.uint8)
    with ours.global_stream("evaluation"):
        ambient["state"] = torch.tensor([7], dtype=torch.uint8)
    assert ambient["state"].tolist() == [9]
    other = Streams(1, place)
    other.restore(state)
    assert torch.equal(torch.rand(3, generator=other.encoding), expected[0])
    assert torch.equal(torch.rand(3, generator=other.dropout), expected[1])
    assert ambient["state"].tolist() == [1, 2]


def test_sums_of_a_checkpoint_go_on_on_the_device() -> None:
    """A checkpoint's tensors are on the CPU; the next batch is not."""
    totals, activity = Totals(), Activity()
    totals.add(0.5, torch.tensor(3), 4)
    activity.add_counts(Counts({"a": torch.ones(5, dtype=torch.int64)}, 8))
    totals, activity = Totals.of(totals.state()), Activity.of(activity.state())
    totals.add(0.5, torch.tensor(3, device=META), 4)
    activity.add_counts(Counts({"a": torch.ones(5, dtype=torch.int64, device=META)}, 8))
    assert totals.state()["outcome"].device == META
    assert activity.state()["counts"]["a"].device == META
