"""What holds for the tasks that are made of a sample's own random numbers, whatever they make of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.task import (
    NO_LABEL,
    Data,
    DelayedXOR,
    Evidence,
    GeneratedPart,
    MovingBars,
    Part,
    Randman,
    SpokenTones,
    Task,
)
from snnrun.task.noise import add_noise, most_noise
from support.refusals import refuses

CPU = torch.device("cpu")
T = 6
FEW = {"train_samples": 10, "validation_samples": 7, "test_samples": 7}
#: What makes the samples of a task fit into T steps.
SHORT: dict[type[Task], dict[str, int]] = {
    DelayedXOR: {"cue": 1, "recall": 2},
    Evidence: {"cue": 1, "cues": 3, "gap": 0, "recall": 2},
}
TASKS = pytest.mark.parametrize("task", [MovingBars, SpokenTones, Randman, DelayedXOR, Evidence])


def load(task: type[Any], seed: int = 0, **options: Any) -> Data:
    every = FEW | SHORT.get(task, {}) | options
    return task(**every).load(Path("unused"), T, CPU, torch.Generator().manual_seed(seed))


def one_pass(part: Part, batch_size: int = 4) -> tuple[Tensor, Tensor]:
    batches = list(part.batches(batch_size))
    targets = [batch.target for batch in batches if batch.target is not None]
    return torch.cat([batch.x for batch in batches], dim=1), torch.cat(targets)


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@TASKS
def test_a_batch_is_events_time_first_with_labels(task: type[Any]) -> None:
    part_of_task, data = task(), load(task)
    assert (part_of_task.has_time, part_of_task.has_accuracy, data.hashes) == (True, True, {})
    for part, size in zip(data[:3], FEW.values(), strict=True):
        x, target = one_pass(part)
        assert (
            len(part) == size
            and x.shape == (T, size, *part_of_task.input_shape)
            and target.shape == ((size, T) if task.has_steps else (size,))
        )
        assert x.dtype is torch.float32 and target.dtype is torch.int64
        assert x.unique().tolist() == [0.0, 1.0]
    _, target = one_pass(load(task, train_samples=500, **({"size": 8} if task is MovingBars else {})).train, 100)
    assert set(target.unique().tolist()) - {NO_LABEL} == set(range(part_of_task.num_outputs))


@TASKS
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_sample_does_not_depend_on_the_batch_size(task: type[Any], batch_size: int) -> None:
    for one, many in zip(load(task)[:3], load(task)[:3], strict=True):
        assert same(one_pass(one), one_pass(many, batch_size))


@TASKS
def test_the_seed_decides_everything_and_the_parts_differ(task: type[Any]) -> None:
    first, again, other = load(task, 3), load(task, 3), load(task, 4)
    for a, b, c in zip(first[:3], again[:3], other[:3], strict=True):
        x = one_pass(a)
        assert same(x, one_pass(b)) and not same(x, one_pass(c))
    assert not same(one_pass(first.validation), one_pass(first.test))


@TASKS
def test_training_draws_fresh_samples_and_the_others_do_not(task: type[Any]) -> None:
    data = load(task)
    assert not same(one_pass(data.train), one_pass(data.train))
    assert same(one_pass(data.validation), one_pass(data.validation))
    assert same(one_pass(data.test), one_pass(data.test))


@TASKS
def test_the_training_stream_goes_on_where_it_was_saved(task: type[Any]) -> None:
    train = load(task).train
    assert isinstance(train, GeneratedPart)
    batches = train.batches(2)
    next(batches)
    state = train.stream.get_state()  # in the middle of an epoch: nothing is drawn ahead
    expected = next(batches).x

    second = load(task, seed=99).train
    assert isinstance(second, GeneratedPart)
    second.stream.set_state(state)
    assert torch.equal(next(second.batches(2)).x, expected)


@TASKS
def test_the_global_random_stream_is_left_alone(task: type[Any]) -> None:
    state = torch.get_rng_state()
    one_pass(load(task).train)
    assert torch.equal(torch.get_rng_state(), state)


@TASKS
@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("value", [0, 1.5, True, "3"])
def test_sizes_are_checked(task: type[Any], name: str, value: object) -> None:
    with refuses(name, value, "whole number of at least 1"):
        task(**{name: value})


@pytest.mark.parametrize(
    ("task", "options", "refusal"),
    [
        (MovingBars, {"directions": 6}, ("directions", 6, "4 or 8")),
        (MovingBars, {"directions": 2}, ("directions", 2, "whole number of at least 4")),
        (MovingBars, {"size": 7}, ("size", 7, "whole number of at least 8")),
        (MovingBars, {"noise": -0.1}, ("noise", -0.1, "at least 0")),
        (SpokenTones, {"noise": 11}, ("noise", 11, "at least 0 and at most 10")),
        (SpokenTones, {"vocabulary": -1}, ("vocabulary", -1, "whole number of at least 0")),
    ],
)
def test_options_are_checked(task: type[Any], options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        task(**options)


# --- noise -------------------------------------------------------------------------------------------------------


def test_noise_is_a_poisson_number_of_events_at_random_places() -> None:
    samples, mean = 4000, 3.0
    draws = torch.rand((samples, 1 + most_noise(mean)), generator=torch.Generator().manual_seed(0))
    events = torch.zeros(50, samples, 2, 100)  # so many places that two events seldom meet
    add_noise(events, draws[:, 0], draws[:, 1:], mean)
    number = events.sum((0, 2, 3))
    for n in range(8):
        share = math.exp(-mean) * mean**n / math.factorial(n)
        assert (number == n).float().mean().item() == pytest.approx(share, abs=4 * math.sqrt(share / samples))
    by_step = events.sum((1, 2, 3))  # 240 in each, with a standard deviation of 15.5
    assert by_step.sub(mean * samples / 50).abs().max().item() < 5 * 15.5
    assert events[:, :, 0].sum().item() == pytest.approx(mean * samples / 2, abs=4 * 77)


def test_noise_is_placed_by_its_draw() -> None:
    events = torch.zeros(4, 2, 5)
    # Poisson with mean 1: below 0.367 none, below 0.735 one, below 0.919 two.
    places = torch.tensor([[0.0, 0.999, 0.5], [7.5 / 20, 0.1, 0.2]])
    add_noise(events, torch.tensor([0.9, 0.4]), places, 1.0)
    assert events.nonzero().tolist() == [[0, 0, 0], [1, 1, 2], [3, 0, 4]]


def test_no_noise_takes_no_draws() -> None:
    assert most_noise(0.0) == 0
    events = torch.zeros(2, 3, 4)
    add_noise(events, torch.rand(3), torch.empty(3, 0), 0.0)
    assert not events.any()
