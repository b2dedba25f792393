from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.task import Data, Part, RandomBits, Zeros
from support.refusals import refuses

CPU = torch.device("cpu")


def load(seed: int = 0, num_steps: int = 6, **options: Any) -> Data:
    return Zeros(**options).load(Path("unused"), num_steps, CPU, torch.Generator().manual_seed(seed))


def one_pass(part: Part, batch_size: int = 1) -> Tensor:
    return torch.cat([batch.x for batch in part.batches(batch_size)], dim=1)


def test_facts() -> None:
    task = Zeros()
    assert (task.input_shape, task.num_outputs, task.has_time, task.has_accuracy) == ((300,), 500, True, False)


def test_a_batch_is_zeros_and_ones_time_first_without_target() -> None:
    for part in load(batch_size=4)[:3]:
        for batch in part.batches(4):
            assert batch.x.shape == (6, 4, 300) and batch.x.dtype == torch.float32 and batch.x.is_contiguous()
            assert torch.unique(batch.x).tolist() == [0.0, 1.0]
            assert batch.target is None


def test_zero_and_one_are_equally_likely() -> None:
    x = one_pass(load(steps_per_epoch=20).train)  # 36,000 draws: a standard deviation of 0.0026
    assert x.mean().item() == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_epoch_has_steps_per_epoch_batches(batch_size: int) -> None:
    data = load(steps_per_epoch=7, batch_size=batch_size)
    assert len(list(data.train.batches(batch_size))) == 7
    assert len(data.train) == 7 * batch_size
    assert len(list(data.test.batches(batch_size))) == len(list(data.validation.batches(batch_size))) == 2


def test_the_last_smaller_batch_is_kept() -> None:
    assert [batch.x.shape[1] for batch in load().train.batches(4)] == [4, 4, 2]


def test_the_seed_decides_everything() -> None:
    for first, again, other in zip(load(3)[:3], load(3)[:3], load(4)[:3], strict=True):
        x = one_pass(first)
        assert torch.equal(x, one_pass(again))
        assert not torch.equal(x, one_pass(other))


def test_the_parts_differ() -> None:
    data = load(steps_per_epoch=2)
    train, validation, test = (one_pass(part) for part in data[:3])
    assert not torch.equal(train, validation) and not torch.equal(validation, test) and not torch.equal(train, test)


def test_training_draws_fresh_samples_and_the_others_do_not() -> None:
    data = load()
    assert not torch.equal(one_pass(data.train), one_pass(data.train))
    assert torch.equal(one_pass(data.validation), one_pass(data.validation))
    assert torch.equal(one_pass(data.test), one_pass(data.test))


def test_passes_over_held_out_parts_do_not_disturb_each_other_or_training() -> None:
    data, twin = load(), load()
    for (first, second), train, expected in zip(
        zip(data.test.batches(1), data.test.batches(1), strict=True),
        data.train.batches(1),
        twin.train.batches(1),
        strict=False,
    ):
        assert torch.equal(first.x, second.x)
        assert torch.equal(train.x, expected.x)


@pytest.mark.parametrize("batch_size", [2, 3, 10, 64])
def test_the_samples_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    for one, many in zip(load()[:3], load()[:3], strict=True):
        assert torch.equal(one_pass(one), one_pass(many, batch_size))


def test_the_training_stream_goes_on_where_it_was_saved() -> None:
    train = load().train
    assert isinstance(train, RandomBits)
    batches = train.batches(1)
    next(batches)
    state = train.stream.get_state()  # in the middle of an epoch: nothing is drawn ahead
    expected = next(batches).x

    second = load(seed=99).train
    assert isinstance(second, RandomBits)
    second.stream.set_state(state)
    assert torch.equal(next(second.batches(1)).x, expected)


def test_the_global_random_stream_is_left_alone() -> None:
    state = torch.get_rng_state()
    for part in load()[:3]:
        one_pass(part)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["size_input", "size_output", "steps_per_epoch", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_options_are_checked(name: str, value: object) -> None:
    with refuses(name, value, "whole number of at least 1"):
        Zeros(**{name: value})  # type: ignore[arg-type]


def test_nothing_to_hash() -> None:
    assert load().hashes == {}
