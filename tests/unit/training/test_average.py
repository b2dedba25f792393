"""The moving average of the weights, and the gradients of several batches in one step."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from snnrun.errors import NonFiniteError
from snnrun.task import Data
from snnrun.training.average import WeightAverage
from snnrun.training.loop import evaluate
from snnrun.training.records import EpochRecord, StepRecord, of_kind
from support.small import BatchList, Training, images, same, training, weights

SMALL = ("num_steps=5", "model.hidden=[12]", "encoder=direct")
SGD = ("optimizer=sgd", "optimizer.lr=0.5", "optimizer.momentum=0")


def with_batches(trainer: Training, train: BatchList) -> Training:
    return dataclasses.replace(trainer, data=Data(train, images(6), images(6), {}))


# --- several batches in one step -------------------------------------------------------------------------------------


def joined(part: BatchList, size: int) -> BatchList:
    """The same samples in batches of ``size`` batches each."""
    groups = [part.items[i : i + size] for i in range(0, len(part.items), size)]
    return BatchList(
        [
            type(group[0])(torch.cat([each.x for each in group], 1), torch.cat([each.target for each in group]))  # type: ignore[misc]
            for group in groups
        ]
    )


@pytest.mark.parametrize("clip", ["clip_grad_norm=null", "clip_grad_norm=0.1"])
def test_a_step_of_several_batches_is_a_step_of_one_large_batch(clip: str) -> None:
    """Five batches, the last one smaller, in steps of two: the last step has the smaller one alone."""
    part = images(6, 6, 6, 6, 4)
    words = (*SMALL, *SGD, "epochs=2", "scheduler=linear", clip)
    several = with_batches(training(*words, "batch_size=6", "accumulate=2"), part)
    large = with_batches(training(*words, "batch_size=12"), joined(part, 2))
    records, expected = several.fit(), large.fit()
    assert [(each.kind, each.step) for each in records] == [(each.kind, each.step) for each in expected]
    assert [each.step for each in of_kind(records, EpochRecord)] == [3, 6]
    for one, other in zip(of_kind(records, StepRecord), of_kind(expected, StepRecord), strict=True):
        for key in ("loss", "accuracy", "gradient_norm", "learning_rate"):
            assert getattr(one, key) == pytest.approx(getattr(other, key), rel=1e-4), key
    for one_epoch, other_epoch in zip(of_kind(records, EpochRecord), of_kind(expected, EpochRecord), strict=True):
        assert one_epoch.train_loss == pytest.approx(other_epoch.train_loss, rel=1e-4)
        assert one_epoch.layers == other_epoch.layers
        assert (one_epoch.gradients or {}).keys() == (other_epoch.gradients or {}).keys()
    for name, value in weights(several.model).items():
        assert torch.allclose(value, weights(large.model)[name], rtol=1e-4, atol=1e-6), name


def test_a_smaller_batch_counts_by_its_samples() -> None:
    part = images(6, 3)
    words = (*SMALL, *SGD, "epochs=1")
    several = with_batches(training(*words, "batch_size=6", "accumulate=2"), part)
    large = with_batches(training(*words, "batch_size=9"), joined(part, 2))
    several.fit()
    large.fit()
    for name, value in weights(several.model).items():
        assert torch.allclose(value, weights(large.model)[name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize(("words", "steps"), [((), [3, 6]), (("drop_last=true",), [2, 4]), (("max_steps=4",), [3, 4])])
def test_steps_of_several_batches_are_counted(words: tuple[str, ...], steps: list[int]) -> None:
    trainer = training(*SMALL, "batch_size=6", "accumulate=2", "epochs=2", *words)
    records = with_batches(trainer, images(6, 6, 6, 6, 4)).fit()
    assert [record.step for record in of_kind(records, EpochRecord)] == steps
    assert len(of_kind(records, StepRecord)) == steps[-1]


def test_a_gradient_that_is_not_finite_in_any_batch_stops_the_step() -> None:
    part = images(4, 4, 4, 4)
    part.items[2].x[0, 1, 0, 3, 3] = math.nan
    trainer = with_batches(training(*SMALL, "batch_size=4", "accumulate=2", "epochs=1"), part)
    with pytest.raises(NonFiniteError, match="iteration 2: "):
        trainer.fit()


# --- the moving average ----------------------------------------------------------------------------------------------


def test_the_average_follows_its_equation() -> None:
    trainer = training(*SMALL, *SGD, "epochs=2", "batch_size=64", "ema=0.75", batches=3)
    state = trainer.state()
    expected: dict[str, torch.Tensor] = {}
    for record in trainer.records(state):
        if isinstance(record, StepRecord):
            now = weights(trainer.model)
            expected = {name: 0.75 * expected[name] + 0.25 * now[name] for name in now} if expected else now
    actual = state.evaluated_weights()
    assert expected.keys() == actual.keys()
    for name, value in actual.items():
        assert torch.allclose(value, expected[name], rtol=1e-5, atol=1e-6), name
        assert not torch.equal(value, trainer.model.state_dict()[name])


def test_the_average_is_evaluated_and_training_goes_on_with_the_weights() -> None:
    words = (*SMALL, "loss=ce_membrane", "epochs=3", "batch_size=64")
    plain, averaged = training(*words, batches=3), training(*words, "ema=0.9", batches=3)
    state = averaged.state()
    expected, records = plain.fit(), averaged.fit(state)
    assert same(weights(plain.model), weights(averaged.model)), "the average does not change training"
    losses = [[record.loss for record in of_kind(each, StepRecord)] for each in (expected, records)]
    assert losses[0] == losses[1]
    last = of_kind(records, EpochRecord)[-1]
    assert last.validation_loss != of_kind(expected, EpochRecord)[-1].validation_loss
    arguments = (averaged.data.validation, averaged.parts.encoder, averaged.parts.loss, averaged.streams)
    with state.averaged():
        assert evaluate(averaged.model, *arguments, averaged.settings).loss == last.validation_loss
        assert same(weights(averaged.model), state.evaluated_weights())
    assert same(weights(plain.model), weights(averaged.model))


def test_the_first_average_is_the_weights_of_the_first_step() -> None:
    trainer = training(*SMALL, "ema=0.9")
    state = trainer.state()
    assert same(state.evaluated_weights(), weights(trainer.model))
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(1)
    assert state.average is not None
    state.average.update()
    assert same(state.evaluated_weights(), weights(trainer.model))


def test_an_average_of_another_model_is_refused() -> None:
    average = WeightAverage(training(*SMALL).model, 0.9)
    with pytest.raises(ValueError, match="average"):
        average.restore({"weight": torch.zeros(3)})
    average.restore({})
    assert average.state() == {}
