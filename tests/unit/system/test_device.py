"""Copies to a device, and what fits there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from snnrun.system import device
from support.device import META, no_waiting

CUDA = torch.device("cuda")


class Pageable:
    """A tensor that records how it is copied."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def pin_memory(self) -> Pageable:
        self.calls.append("pin")
        return self

    def to(self, *arguments: Any, **options: Any) -> Pageable:
        self.calls.append((*arguments, options))
        return self


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cuda", ["pin", (CUDA, {"non_blocking": True})]), ("mps", [(torch.device("mps"), {})])],
)
def test_copies_to_a_gpu_start_from_pinned_memory(kind: str, expected: list[Any]) -> None:
    calls: list[Any] = []
    device.upload(Pageable(calls), torch.device(kind))  # type: ignore[arg-type]
    assert calls == expected


def test_on_the_cpu_nothing_is_copied() -> None:
    x = torch.ones(3)
    assert device.upload(x, torch.device("cpu")) is x


def test_a_device_gets_a_constant_once() -> None:
    first = device.constant([0.5, 1.5], torch.float32, META)
    assert (first.device, first.dtype, first.shape) == (META, torch.float32, (2,))
    with no_waiting():
        assert device.constant((0.5, 1.5), torch.float32, META) is first
        assert device.constant((0.5, 1.5), torch.float32, torch.device("cpu")).tolist() == [0.5, 1.5]
    assert device.constant((0.5, 1.5), torch.float64, META) is not first
    assert device.constant((0.5, 2.5), torch.float32, META) is not first


def test_a_constant_of_the_cpu_belongs_to_the_caller() -> None:
    cpu = torch.device("cpu")
    device.constant([1.0], torch.float32, cpu).add_(1)
    assert device.constant([1.0], torch.float32, cpu).tolist() == [1.0]


def test_a_share_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    assert device.fits(250, CUDA)
    assert not device.fits(251, CUDA)
    assert not device.fits(1, torch.device("cpu"))


def test_of_the_memory_of_an_apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 600)
    assert device.fits(100, torch.device("mps"))
    assert not device.fits(101, torch.device("mps"))
