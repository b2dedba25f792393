"""Moving bars: the equations, one pixel after the other, and what cannot be known without time."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from snnrun.task import MovingBars
from support.small import training

T = 9
STILL = 9  # draws before those of the pixels


def draws_of(task: MovingBars, samples: int, seed: int = 0) -> Tensor:
    """In double precision, so that no pixel comes as close to a level as rounding does."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((samples, STILL + task.size**2), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("directions", [4, 8])
def test_events_are_those_of_the_equations(directions: int) -> None:
    task = MovingBars(directions=directions, size=8, noise=0)
    draws = draws_of(task, 12)
    batch = task.make(draws, T)
    assert batch.target is not None

    def clamp(x: float) -> float:
        return min(max(x, 0.0), 1.0)

    for sample, row in enumerate(draws.tolist()):
        label, bright, y0, x0, travel, length, width, contrast = row[:8]
        angle = 2 * math.pi * int(label * directions) / directions
        assert batch.target[sample] == int(label * directions)
        cx, cy = 3.5 + 4 * (x0 - 0.5), 3.5 + 4 * (y0 - 0.5)
        way, length, width = 8 * (0.5 + 0.5 * travel), 8 * (0.3 + 0.5 * length), 8 * (0.08 + 0.17 * width)
        log_contrast = (1 if bright < 0.5 else -1) * (1 + 1.5 * contrast)
        for i in range(8):
            for j in range(8):
                along = (j - cx) * math.cos(angle) + (i - cy) * math.sin(angle)
                across = (i - cy) * math.cos(angle) - (j - cx) * math.sin(angle)
                levels = []
                for t in range(T + 1):
                    ahead = along - way * (t / T - 0.5)
                    overlap = clamp(width / 2 - abs(ahead) + 0.5) * clamp(length / 2 - abs(across) + 0.5)
                    levels.append(math.floor(log_contrast * overlap + row[STILL + 8 * i + j]))
                for t in range(T):
                    on, off = batch.x[t, sample, :, i, j].tolist()
                    assert (on, off) == (levels[t + 1] > levels[t], levels[t + 1] < levels[t])


def test_a_bright_bar_to_the_right_is_on_in_front_and_off_behind() -> None:
    task = MovingBars(size=16, noise=0)
    draws = draws_of(task, 1)
    draws[0, :8] = torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5])  # right, bright, in the middle
    events = task.make(draws, T).x[:, 0]
    columns = torch.arange(16.0, dtype=torch.float64)
    where = (events.sum(2) * columns).sum(2) / events.sum((2, 3))  # mean column of each step and polarity
    assert bool((where[:, 0] - where[:, 1] > 1).all())
    assert bool((where.diff(dim=0) > 0).all())
    # 2.75 thresholds make 1 or 2 crossings on the way up, whole ones; each crossed level is crossed back.
    middle = events[:, :, 7:9, 6:10]
    assert torch.equal(middle[:, 0].sum(0) > 0, middle[:, 1].sum(0) > 0)


@pytest.mark.parametrize("directions", [4, 8])
def test_a_sample_backwards_is_the_opposite_direction_with_the_opposite_contrast(directions: int) -> None:
    task = MovingBars(directions=directions, noise=0)
    draws = draws_of(task, 200)
    other = draws.clone()
    other[:, 0] = (draws[:, 0] + 0.5) % 1  # half a turn on
    other[:, 1] = 1 - draws[:, 1]  # bright for dark
    other[:, STILL:] = 1 - draws[:, STILL:]  # levels, seen from above
    batch, opposite = task.make(draws, T), task.make(other, T)
    assert batch.target is not None and opposite.target is not None
    assert torch.equal((batch.target + directions // 2) % directions, opposite.target)
    assert torch.equal(batch.x.flip(0), opposite.x)


def test_noise_has_the_rate_of_its_option() -> None:
    quiet, noisy = (
        next(
            MovingBars(noise=noise, train_samples=400)
            .load(Path("unused"), T, torch.device("cpu"), torch.Generator())
            .train.batches(400)
        ).x.sum()
        for noise in (0.0, 0.1)
    )
    # Not the same bars, since the draws are others: 400 x 512 x 0.1 events more, but for those that meet.
    assert (noisy - quiet).item() == pytest.approx(400 * 512 * 0.1, rel=0.15)


@pytest.mark.parametrize("view", [lambda x: x.sum(0), lambda x: x[6]], ids=["counts", "frame"])
def test_counts_and_single_frames_show_no_more_than_the_axis(view: Callable[[Tensor], Tensor]) -> None:
    """A linear classifier of summed counts, or of the frame at mid-time, does not even find all of the axis."""
    task = MovingBars(size=12, train_samples=3000, test_samples=1000)
    data = task.load(Path("unused"), 12, torch.device("cpu"), torch.Generator().manual_seed(0))
    (train,), (test,) = data.train.batches(3000), data.test.batches(1000)
    assert test.target is not None
    predictions = predict(view(train.x), train.target, view(test.x))
    assert (predictions == test.target).double().mean().item() < 0.45
    axis = predictions % 2 == test.target % 2
    assert (predictions == test.target)[axis].double().mean().item() == pytest.approx(0.5, abs=0.08)  # 4 deviations


def predict(x: Tensor, target: Tensor | None, unseen: Tensor) -> Tensor:
    """Classes of ``unseen`` by ridge regression onto those of ``x``."""
    assert target is not None
    x, unseen = (torch.cat((v.flatten(1), torch.ones(len(v), 1)), 1) for v in (x, unseen))
    weights = torch.linalg.solve(x.T @ x + 10 * torch.eye(x.shape[1]), x.T @ torch.eye(int(target.max()) + 1)[target])
    return (unseen @ weights).argmax(1)


@pytest.mark.long
def test_the_defaults_learn_it_and_a_network_without_memory_does_not() -> None:
    remembers = training("task=moving_bars", batches=10**6).fit()
    assert remembers[-1].to_json()["validation_accuracy"] > 0.9
    forgets = training("task=moving_bars", "neuron.beta=0", "epochs=4", batches=10**6).fit()
    assert forgets[-1].to_json()["validation_accuracy"] < 0.57
    assert forgets[-1].to_json()["train_accuracy"] < 0.53
