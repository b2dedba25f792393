"""Waiting threads sleep, unless the user has said how they wait; and a small network has few of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from snnrun.config.settings import Settings
from snnrun.model import MLP, ConvNet, multiply_adds
from snnrun.neuron import LIF
from snnrun.system import threads
from snnrun.system.ranks import Ranks
from snnrun.training.runtime import runtime, use_threads
from support.small import config_for


@pytest.mark.parametrize(
    ("variables", "set_beside"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {}),
        ({"KMP_BLOCKTIME": "200"}, {"GOMP_SPINCOUNT": "0"}),
        ({"GOMP_SPINCOUNT": "200"}, {"KMP_BLOCKTIME": "0"}),
    ],
)
def test_what_the_user_set_stays(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], set_beside: dict[str, str]
) -> None:
    """Each runtime reads its own variable; the other runtimes sleep."""
    monkeypatch.delitem(sys.modules, "torch")
    environ = dict(variables)
    assert not threads.sleep_while_waiting(environ)
    assert environ == {**variables, **set_beside}


def test_a_step_of_more_work_has_more_threads() -> None:
    counts = [threads.worth(work, 8) for work in (0, 1, threads.WORTH, 2 * threads.WORTH, 5 * threads.WORTH, 1e15)]
    assert counts == [1, 1, 1, 2, 5, 8]


def neuron(shape: tuple[int, ...]) -> LIF:
    return LIF(shape=shape)


def test_multiply_adds_of_networks() -> None:
    assert multiply_adds(MLP((1, 8, 8), 10, neuron, hidden=(100, 50))) == 64 * 100 + 100 * 50 + 50 * 10
    # 8 kernels of 1x3x3 on 8x8 pixels, which a pool makes 4x4; then 10 outputs of 8x4x4.
    assert multiply_adds(ConvNet((1, 8, 8), 10, neuron, layers=["8c3p1", "mp2"])) == 8 * 9 * 64 + 10 * 8 * 16
    assert multiply_adds(nn.Sequential(nn.Linear(3, 4), nn.ReLU())) == 12


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_run_has_as_many_threads_as_it_is_worth() -> None:
    few = Settings.from_config(config_for("device=cpu", "batch_size=4", "num_steps=8"))
    with runtime(few):
        use_threads(few, 10)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2, "the process has its own number again"
    with runtime(few):
        use_threads(few, threads.WORTH)
        assert torch.get_num_threads() == 2
        use_threads(few, threads.WORTH // 16, Ranks(0, 2, 0))
        assert torch.get_num_threads() == 1, "each process of two has half of the batch"
    with runtime(replace(few, threads=2)):
        use_threads(replace(few, threads=2), 10)
        assert torch.get_num_threads() == 2, "a number that is given is taken"
