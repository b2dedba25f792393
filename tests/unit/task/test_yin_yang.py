from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from snnrun.task import Data, YinYang
from snnrun.task.yin_yang import label_of, samples
from support.refusals import refuses

CPU = torch.device("cpu")
#: SHA-256 of the published arrays: float64 points and int64 labels, by samples and seed.
PUBLISHED = {
    (5000, 42): (
        "f5a4054d56f2a058f8250fba7ff9720458e1625db7af78a295e45701745b2228",
        "534d12acda4f9dbc7208a99d3646115a4aa7d74ca31d6d23f822079a568559b7",
    ),
    (1000, 41): (
        "5eac358bdf2122763dce3703a79f3005e56e46a4db25ec329a07333d0f7b8093",
        "5a4c2f605814a620f514c1091f10441ce562cd81e902ce701b3cf94ae7576f7d",
    ),
    (1000, 40): (
        "7bab3ed668ed4992679cff6339fe21bfe7d0c921ddc6187eaa3bc6ef34b888d7",
        "daa0f8f4e3b37b1ddec2afee22f09afb768f0e575f3f568e7469f1ebc6af73c1",
    ),
}


def load(task: YinYang, num_steps: int = 50, seed: int = 0) -> Data:
    return task.load(Path("unused"), num_steps, CPU, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "seed"), PUBLISHED)
def test_the_points_are_the_published_ones(size: int, seed: int) -> None:
    points, labels = samples(size, seed)
    digests = (hashlib.sha256(points.tobytes()).hexdigest(), hashlib.sha256(labels.tobytes()).hexdigest())
    assert digests == PUBLISHED[size, seed]


def test_the_symbol_is_symmetric_and_its_dots_are_where_they_should_be() -> None:
    assert label_of(0.25, 0.5) == label_of(0.75, 0.5) == label_of(0.25, 0.59) == 2
    assert label_of(0.25, 0.62) == label_of(0.25, 0.38) == 1, "the half circle around the left dot"
    assert label_of(0.75, 0.62) == label_of(0.75, 0.38) == 0
    assert label_of(0.5, 0.95) == 1 and label_of(0.5, 0.05) == 0, "the rim"
    random = np.random.RandomState(0)
    for x, y in random.rand(500, 2):
        if (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.25:
            one, other = label_of(x, y), label_of(1 - x, 1 - y)
            assert {one, other} == ({2} if one == 2 else {0, 1}), "half a turn swaps yin and yang"


def test_every_input_fires_once_at_the_time_of_its_value() -> None:
    data = load(YinYang(), num_steps=80)
    points, labels = samples(1000, 40)
    (batch,) = data.test.batches(1000)
    assert batch.x.shape == (80, 1000, 5) and batch.target is not None
    assert torch.equal(batch.x.sum(0), torch.ones(1000, 5))
    assert torch.equal(batch.target, torch.from_numpy(labels))
    times = batch.x.argmax(0)
    for sample in range(0, 1000, 97):
        expected = [int(80 * (0.0375 + value * 0.4625)) for value in points[sample]]
        assert times[sample].tolist() == [*expected, 18]


def test_values_are_still_and_without_a_bias() -> None:
    task = YinYang(spikes=False)
    assert not task.has_time and task.input_shape == (4,)
    (batch,) = load(task).validation.batches(1000)
    assert batch.x.shape == (1, 1000, 4)
    assert torch.equal(batch.x[0, :, :2] + batch.x[0, :, 2:], torch.ones(1000, 2))
    points, _ = samples(1000, 41)
    assert torch.equal(batch.x[0], torch.from_numpy(points).float())


def test_the_bias_is_optional() -> None:
    task = YinYang(bias_time=None)
    assert task.input_shape == (4,)
    (batch,) = load(task).test.batches(1000)
    assert batch.x.shape == (50, 1000, 4)


def test_the_sets_do_not_depend_on_the_run() -> None:
    one, other = load(YinYang(), seed=0), load(YinYang(), seed=1)
    assert one.hashes == other.hashes
    assert [len(part) for part in one[:3]] == [5000, 1000, 1000]
    for first, second in zip(one.train.batches(5000), other.train.batches(5000), strict=True):
        assert torch.equal(first.x, second.x)


def test_bad_times_are_refused() -> None:
    with refuses("late, early", (0.2, 0.3)):
        YinYang(early=0.3, late=0.2)
    with refuses("late", 1.0):
        YinYang(late=1.0)
    with refuses("bias_time", -0.1):
        YinYang(bias_time=-0.1)
    with refuses("spikes", 1):
        YinYang(spikes=1)  # type: ignore[arg-type]
