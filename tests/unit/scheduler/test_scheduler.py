"""Schedules per step: the rates of torch's schedulers, refusals, and states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR

from snnrun.errors import ArgumentError
from snnrun.scheduler import LinearDecay, OneCycle, StepScheduler, WarmupConstant, WarmupCosine, WarmupLinear

STEPS, WARMUP = 40, 8


def make_optimizer(kind: type[Optimizer] = SGD) -> Any:
    """Two groups, with rates of their own."""
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    return kind([{"params": [first], "lr": 0.5}, {"params": [second], "lr": 0.02}], lr=0.5)  # type: ignore[call-arg]


def rates(scheduler: StepScheduler, optimizer: Any, steps: int) -> list[list[float]]:
    """The rates of each group at so many steps, as the training loop sets them."""
    found = []
    for _ in range(steps):
        scheduler.advance()
        optimizer.step()
        found.append([float(group["lr"]) for group in optimizer.param_groups])
    return found


def rates_of_torch(make: Callable[[Any], LRScheduler]) -> list[list[float]]:
    optimizer = make_optimizer()
    scheduler, found = make(optimizer), []
    for _ in range(STEPS):
        found.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return found


def chain(after: Callable[[Any], LRScheduler]) -> Callable[[Any], LRScheduler]:
    def make(optimizer: Any) -> LRScheduler:
        warmup = LinearLR(optimizer, start_factor=0.1, total_iters=WARMUP)
        return SequentialLR(optimizer, [warmup, after(optimizer)], milestones=[WARMUP])

    return make


LEFT = STEPS - WARMUP
PAIRS: dict[str, tuple[Callable[[Any], StepScheduler], Callable[[Any], LRScheduler]]] = {
    "linear": (
        lambda optimizer: LinearDecay(optimizer, STEPS, end_factor=0.2),
        lambda optimizer: LinearLR(optimizer, start_factor=1.0, end_factor=0.2, total_iters=STEPS),
    ),
    "constant": (
        lambda optimizer: WarmupConstant(optimizer, STEPS, warmup_steps=WARMUP),
        chain(lambda optimizer: LinearLR(optimizer, start_factor=1.0, total_iters=1)),
    ),
    "warm-up, linear": (
        lambda optimizer: WarmupLinear(optimizer, STEPS, warmup_steps=WARMUP, end_factor=0.1),
        chain(lambda optimizer: LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=LEFT)),
    ),
    "warm-up, cosine": (
        lambda optimizer: WarmupCosine(optimizer, STEPS, warmup_steps=WARMUP),
        chain(lambda optimizer: CosineAnnealingLR(optimizer, T_max=LEFT)),
    ),
    "one cycle": (
        lambda optimizer: OneCycle(optimizer, STEPS),
        lambda optimizer: OneCycleLR(optimizer, max_lr=[0.5, 0.02], total_steps=STEPS + 1, cycle_momentum=False),
    ),
}


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "one cycle"])
def test_the_rates_are_torchs(name: str) -> None:
    ours, theirs = PAIRS[name]
    optimizer = make_optimizer()
    for one, other in zip(rates(ours(optimizer), optimizer, STEPS), rates_of_torch(theirs), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


def test_one_cycle_peaks_at_the_rate_of_each_group_and_ends_with_the_last_step() -> None:
    optimizer = make_optimizer(Adam)
    found = rates(OneCycle(optimizer, STEPS, pct_start=0.25), optimizer, STEPS)
    assert found[0] == pytest.approx([0.5 / 25, 0.02 / 25])
    assert found[STEPS // 4 - 1] == pytest.approx([0.5, 0.02])
    assert found[-1] == pytest.approx([0.5 / 25e4, 0.02 / 25e4])
    assert [group["betas"] for group in optimizer.param_groups] == [(0.9, 0.999)] * 2
    OneCycle(optimizer, STEPS, cycle_momentum=True)
    assert [group["betas"][0] for group in optimizer.param_groups] == [0.95] * 2


@pytest.mark.parametrize("name", PAIRS)
def test_the_rate_stays_beyond_the_last_step(name: str) -> None:
    optimizer = make_optimizer()
    found = rates(PAIRS[name][0](optimizer), optimizer, STEPS + 5)
    assert found[STEPS + 1 :] == [found[-1]] * 4


@pytest.mark.parametrize("at", [0, 1, WARMUP, STEPS - 1])
@pytest.mark.parametrize("name", PAIRS)
def test_a_schedule_goes_on_from_its_state(name: str, at: int) -> None:
    whole = make_optimizer()
    expected = rates(PAIRS[name][0](whole), whole, STEPS)
    first, second = make_optimizer(), make_optimizer()
    scheduler, later = PAIRS[name][0](first), PAIRS[name][0](second)
    rates(scheduler, first, at)
    second.load_state_dict(first.state_dict())
    later.load_state_dict(scheduler.state_dict())
    second.step()  # else torch warns that the scheduler came before the optimizer
    assert rates(later, second, STEPS - at) == expected[at:]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("warmup_steps", lambda optimizer: WarmupCosine(optimizer, 10, warmup_steps=11)),
        ("warmup_steps", lambda optimizer: WarmupCosine(optimizer, 10, warmup_steps=-1)),
        ("start_factor", lambda optimizer: WarmupConstant(optimizer, 100, start_factor=1.5)),
        ("end_factor", lambda optimizer: LinearDecay(optimizer, 100, end_factor=-0.1)),
        ("total_steps", lambda optimizer: LinearDecay(optimizer, 0)),
        ("pct_start", lambda optimizer: OneCycle(optimizer, 10, pct_start=0.1)),
        ("pct_start", lambda optimizer: OneCycle(optimizer, 10, pct_start=1.0)),
        ("div_factor", lambda optimizer: OneCycle(optimizer, 10, div_factor=0)),
        ("anneal_strategy", lambda optimizer: OneCycle(optimizer, 10, anneal_strategy="none")),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(name: str, make: Callable[[Any], StepScheduler]) -> None:
    with pytest.raises(ArgumentError) as error:
        make(make_optimizer())
    assert error.value.name == name


def test_a_warm_up_may_be_the_whole_schedule() -> None:
    optimizer = make_optimizer()
    found = rates(WarmupCosine(optimizer, 10, warmup_steps=10, start_factor=0.0), optimizer, 10)
    assert [each[0] for each in found] == pytest.approx([0.5 * n / 10 for n in range(10)])
