from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from snnrun.task import NO_LABEL, CueTask, Data, DelayedXOR, Evidence
from support.refusals import refuses

CPU = torch.device("cpu")
#: Units fire at every step of their cue, and at no other.
CLEAR: dict[str, Any] = {"rate": 1.0, "noise": 0.0, "test_samples": 400}


def load(task: CueTask, num_steps: int) -> Data:
    return task.load(Path("unused"), num_steps, CPU, torch.Generator().manual_seed(0))


def active_of(task: CueTask, num_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Active populations ``[T, B, 3]`` and targets ``[B, T]`` of the test set."""
    (batch,) = load(task, num_steps).test.batches(10_000)
    assert batch.target is not None
    populations = batch.x.unflatten(2, (3, task.units))
    assert torch.equal(populations.amax(3), populations.amin(3)), "a population fires together"
    return populations[..., 0], batch.target


@pytest.mark.parametrize(("num_steps", "delay"), [(20, 0), (50, 30)])
def test_the_answer_is_the_xor_of_the_two_cues(num_steps: int, delay: int) -> None:
    active, target = active_of(DelayedXOR(**CLEAR), num_steps)
    cues = active[..., :2]
    assert (cues[:5].sum(2) == 1).all() and (cues[5 + delay : 10 + delay].sum(2) == 1).all()
    assert not cues[5 : 5 + delay].any() and not cues[10 + delay :].any()
    for sample in range(active.shape[1]):
        first, second = (int(cues[step, sample].argmax()) for step in (0, num_steps - 11))
        assert (target[sample, -10:] == int(first != second)).all()
    pairs = 2 * cues[0, :, 1] + cues[num_steps - 11, :, 1]
    assert ((pairs.long().bincount(minlength=4) - 100).abs() < 40).all(), "all four are equally likely"


@pytest.mark.parametrize(("num_steps", "share"), [(66, 0.7), (100, 1.0)])
def test_the_answer_is_the_side_with_more_cues(num_steps: int, share: float) -> None:
    active, target = active_of(Evidence(share=share, **CLEAR), num_steps)
    wrong = 0
    for sample in range(active.shape[1]):
        sides = []
        for number in range(7):
            cue = active[8 * number : 8 * number + 5, sample, :2]
            gap = active[8 * number + 5 : 8 * number + 8, sample]
            assert (cue == cue[0]).all() and cue[0].sum() == 1 and not gap.any()
            sides.append(int(cue[0].argmax()))
        right = sum(sides)
        assert (target[sample, -10:] == int(right > 3)).all()
        wrong += 7 - max(right, 7 - right)
    assert not active[56:-10].any(), "the delay"
    # Of 7 cues 1.8 are in the minority on average: the mean of min(k, 7 - k) for k of a binomial with 0.7.
    assert abs(wrong / active.shape[1] - (1.8 if share == 0.7 else 0.0)) < 0.2
    assert 150 < target[:, -1].sum() < 250


@pytest.mark.parametrize("task", [DelayedXOR(**CLEAR), Evidence(**CLEAR)], ids=lambda task: type(task).__name__)
def test_labels_and_the_recall_signal_stand_at_the_last_steps_alone(task: CueTask) -> None:
    active, target = active_of(task, 90)
    assert (target[:, :-10] == NO_LABEL).all() and (target[:, -10:] != NO_LABEL).all()
    assert active[-10:, :, 2].all() and not active[:-10, :, 2].any()


def test_units_fire_with_the_stated_probabilities() -> None:
    task = DelayedXOR(rate=0.4, noise=0.05, test_samples=500)
    (batch,) = load(task, 60).test.batches(500)
    populations = batch.x.unflatten(2, (3, 10))
    assert set(batch.x.unique().tolist()) == {0.0, 1.0}
    assert abs(float(populations[-10:, :, 2].mean()) - 0.4) < 0.01
    assert abs(float(populations[5:45].mean()) - 0.05) < 0.002
    assert abs(float(populations[:5, :, :2].mean()) - 0.225) < 0.01, "one of two channels"


def test_too_few_steps_are_refused_before_a_run() -> None:
    for task, least in ((DelayedXOR(), 20), (Evidence(), 66)):
        task.check_length(least)
        with refuses("num_steps", least - 1, str(least)):
            task.check_length(least - 1)
        with refuses("num_steps", least - 1):
            load(task, least - 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cues", 4), ("cues", 0), ("gap", -1), ("share", 0.4), ("cue", 0), ("recall", 0), ("rate", 0), ("noise", 1.5)],
)
def test_arguments_out_of_range_are_refused(name: str, value: float) -> None:
    with refuses(name, value):
        Evidence(**{name: value})  # type: ignore[arg-type]
