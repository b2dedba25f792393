from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from snnrun.task import Data, Randman
from support.refusals import refuses

CPU = torch.device("cpu")
SIZES = {"train_samples": 40, "validation_samples": 20, "test_samples": 500}


def load(task: Randman, num_steps: int = 100, seed: int = 0) -> Data:
    return task.load(Path("unused"), num_steps, CPU, torch.Generator().manual_seed(seed))


def test_the_functions_are_the_stated_sums() -> None:
    task = Randman(num_classes=3, units=4, dim=2, alpha=1.5)
    manifolds = task.draw()
    frequencies = math.ceil(0.001 ** (-1 / 1.5)) - 1
    assert manifolds.amplitude.shape == (3, 4, 2, frequencies)
    x = torch.tensor([[0.3, 0.9], [0.1, 0.5]])
    label = torch.tensor([2, 0])
    values = manifolds.evaluate(x, label)
    for sample, (c, point) in enumerate(zip(label.tolist(), x.tolist(), strict=True)):
        for unit in range(4):
            product = 1.0
            for d, coordinate in enumerate(point):
                amplitudes, waves, phases = (table[c, unit, d].tolist() for table in manifolds[:3])
                terms = zip(amplitudes, waves, phases, strict=True)
                product *= sum(a * math.sin(2 * math.pi * (f * coordinate + p)) for a, f, p in terms)
            assert math.isclose(float(values[sample, unit]), product, rel_tol=1e-3, abs_tol=1e-5)
    number = torch.arange(1, frequencies + 1)
    share = manifolds.amplitude * (number + 1) ** 1.5
    assert share.min() >= 0 and share.max() <= 1 + 1e-5, "the fall of the spectrum"
    assert (manifolds.frequency <= number).all()


def test_every_unit_fires_once() -> None:
    data = load(Randman(**SIZES))
    for batch in data.test.batches(100):
        assert batch.x.shape == (100, 100, 20)
        assert torch.equal(batch.x.sum(0), torch.ones(100, 20))


def test_times_fill_the_range_and_classes_are_equally_likely() -> None:
    task = Randman(**SIZES)
    (batch,) = load(task).test.batches(500)
    times = batch.x.argmax(0)
    assert times.min() <= 2 and times.max() >= 97
    assert batch.target is not None
    counts = batch.target.bincount(minlength=10)
    assert ((counts > 25) & (counts < 80)).all(), "50 in the mean, with a deviation of 7"


def test_nearby_points_of_a_manifold_have_nearby_times() -> None:
    manifolds = Randman(alpha=3.0).draw()
    x = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 0.99
    label = torch.arange(200) % 10
    near = (manifolds.times(x + 0.005, label) - manifolds.times(x, label)).abs()
    assert near.mean() < 0.02
    rough = Randman(alpha=0.5).draw()
    assert (rough.times(x + 0.005, label) - rough.times(x, label)).abs().mean() > 4 * near.mean()


def test_the_manifolds_depend_on_their_seed_alone() -> None:
    one, same, other = Randman().draw(), Randman().draw(), Randman(manifolds=1).draw()
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.phase, other.phase)


def test_nearest_times_of_other_samples_reveal_the_class() -> None:
    sizes = {"train_samples": 1000, "validation_samples": 1, "test_samples": 200}
    data = load(Randman(**sizes))
    (known,), (asked,) = data.train.batches(1000), data.test.batches(200)
    assert known.target is not None and asked.target is not None
    times, of = (each.x.argmax(0).float() for each in (known, asked))
    nearest = torch.cdist(of, times).argmin(1)
    assert (known.target[nearest] == asked.target).float().mean() > 0.9


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_classes", 1), ("units", 0), ("dim", 0), ("alpha", 0.1), ("manifolds", -1), ("test_samples", 0)],
)
def test_arguments_out_of_range_are_refused(name: str, value: float) -> None:
    with refuses(name, value):
        Randman(**{name: value})  # type: ignore[arg-type]
