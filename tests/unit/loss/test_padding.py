"""Samples that end at different steps: what follows their end changes nothing, not by a bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue
from snnrun.loss import MSE, CECount, CESoftmax, CESteps, Loss, RateBounds, SampleLoss, Sparsity, outcome
from snnrun.loss.padding import Record
from snnrun.sequence import Trace
from snnrun.task import NO_LABEL, Batch
from snnrun.training.loop import score
from snnrun.training.metrics import Activity
from support.references import assert_close_to_largest, entry, tensor
from support.refusals import refuses

STEPS, BATCH, CLASSES = 13, 6, 4
LENGTHS = torch.tensor([5, 13, 1, 9, 5, 12])


def losses(wanted: Callable[[Loss], bool]) -> dict[str, Loss]:
    """The losses of the catalogue by name, with defaults."""
    catalogue, found = Catalogue(), dict[str, Loss]()
    for name, path in sorted(catalogue.groups["loss"].items()):
        content = {key: value for key, value in catalogue.content(path).items() if key != "defaults"}
        loss = build(content, "loss")
        if wanted(loss):
            found[name] = loss
    return found


OF_SAMPLES = losses(lambda loss: isinstance(loss, SampleLoss) and not loss.needs_steps)


def record(dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes and membranes ``[T, B, C]``, and labels ``[B]``."""
    generator = torch.Generator().manual_seed(seed)
    membrane = torch.randn(STEPS, BATCH, CLASSES, generator=generator, dtype=torch.float64).to(dtype)
    spikes = (torch.rand(membrane.shape, generator=generator) < 0.4).to(dtype)
    return spikes, membrane, torch.randint(0, CLASSES, (BATCH,), generator=generator)


def alone(loss: Loss, spikes: Tensor, membrane: Tensor, target: Tensor) -> list[Tensor]:
    """The loss of each sample, by itself and up to its end."""
    return [
        loss(spikes[:length, i : i + 1], membrane[:length, i : i + 1], target[i : i + 1])
        for i, length in enumerate(LENGTHS.tolist())
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(OF_SAMPLES))
def test_the_losses_of_a_padded_batch_are_those_of_its_samples_alone(name: str, dtype: torch.dtype) -> None:
    loss: Any = OF_SAMPLES[name]
    spikes, membrane, target = record(dtype)
    expected = alone(loss, spikes, membrane, target)
    got = [loss(*part) for part in Record(spikes, membrane, target).samples(LENGTHS)]
    assert [each.item() for each in got] == [each.item() for each in expected]
    whole = loss.of_records(Record(spikes, membrane, target).samples(LENGTHS))
    torch.testing.assert_close(whole, torch.stack(expected).mean())


@pytest.mark.parametrize("name", list(OF_SAMPLES))
def test_steps_after_the_end_change_no_bit_and_have_no_gradient(name: str) -> None:
    loss = OF_SAMPLES[name]
    spikes, membrane, target = record()
    after = torch.arange(STEPS)[:, None] >= LENGTHS
    results = []
    for noise in (0.0, 1.0):
        inputs = [torch.where(after[:, :, None], noise, each).requires_grad_() for each in (spikes, membrane)]
        value = loss.of_records(Record(inputs[0], inputs[1], target).samples(LENGTHS))
        gradients = torch.autograd.grad(value, inputs, allow_unused=True)
        assert all(each is None or not each[after].any() for each in gradients)
        predicted = [
            loss.predict(each.spikes, each.membrane) for each in Record(inputs[0], inputs[1], target).samples(LENGTHS)
        ]
        results.append((value.item(), torch.cat(predicted).tolist()))
    assert results[0] == results[1]


def test_a_loss_of_values_is_the_mean_over_the_samples() -> None:
    spikes, membrane, _ = record(torch.float64)
    target = torch.randn(BATCH, CLASSES, dtype=torch.float64)
    for readout in ("mean", "last", "max", "rate", "every_step"):
        loss = MSE(readout=readout)
        got = loss.of_records(Record(spikes, membrane, target).samples(LENGTHS))
        torch.testing.assert_close(got, torch.stack(alone(loss, spikes, membrane, target)).mean())


def test_labels_of_each_step_need_no_lengths() -> None:
    spikes, membrane, _ = record()
    target = torch.randint(0, CLASSES, (BATCH, STEPS))
    target[torch.arange(STEPS) >= LENGTHS[:, None]] = NO_LABEL
    batch = Batch(torch.zeros(STEPS, BATCH, 1), target, LENGTHS)
    loss = CESteps()
    total, result = score({"output": Trace(spikes, membrane)}, batch, loss)
    torch.testing.assert_close(total, loss(spikes, membrane, target))
    samples = Record(spikes, membrane, target).samples(LENGTHS, target_has_steps=True)
    for i, (part, length) in enumerate(zip(samples, LENGTHS.tolist(), strict=True)):
        one = membrane[:length, i : i + 1].clone()
        assert loss(*part).item() == loss(spikes[:length, i : i + 1].clone(), one, target[i : i + 1, :length]).item()
    assert result is not None and result[1] == LENGTHS.sum()


def test_loss_score_and_activity_of_a_batch() -> None:
    spikes, membrane, target = record()
    batch = Batch(torch.zeros(STEPS, BATCH, 1), target, LENGTHS)
    loss = CECount(regularisers={"sparsity": Sparsity(weight=0.5)})
    traces = {"hidden1": Trace(spikes, membrane), "output": Trace(spikes, membrane)}
    total, result = score(traces, batch, loss)
    valid = [spikes[:length, i] for i, length in enumerate(LENGTHS.tolist())]
    rate = torch.cat(valid).mean()
    expected = torch.stack([CECount()(each[:, None], each[:, None], target[i : i + 1]) for i, each in enumerate(valid)])
    torch.testing.assert_close(total, expected.mean() + 0.5 * 2 * rate)
    correct = sum(
        outcome(loss.predict(each[:, None], each[:, None]), target[i : i + 1]) for i, each in enumerate(valid)
    )
    assert result == correct
    counts = Activity().count(traces, LENGTHS)
    assert counts.chances == LENGTHS.sum()
    assert counts.fired["hidden1"].tolist() == torch.cat(valid).sum(0).tolist()


@pytest.mark.parametrize("of", ["neuron", "layer", "sample"])
def test_rates_are_over_the_steps_that_count(of: str) -> None:
    spikes, _, _ = record(torch.float64)
    bounds = RateBounds(lower=0.35, upper=0.36, of=of)
    got = bounds({"output": spikes}, LENGTHS)
    valid = [spikes[:length, i] for i, length in enumerate(LENGTHS.tolist())]
    rates = {
        "neuron": torch.cat(valid).mean(0),
        "layer": torch.cat(valid).mean(),
        "sample": torch.stack([each.mean(0) for each in valid]),
    }[of]
    beyond = (bounds.lower - rates).clamp(min=0) + (rates - bounds.upper).clamp(min=0)
    torch.testing.assert_close(got, (beyond**2).mean())


def test_the_softmax_of_each_step_summed_over_time() -> None:
    reference = entry("sequences", "loss.softmax_sum")
    membrane = tensor(reference["input"], torch.float64).requires_grad_()
    loss = CESoftmax()(torch.zeros_like(membrane), membrane, torch.tensor(reference["targets"]))
    expected = reference["results"]["sum"]
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    loss.backward()
    assert_close_to_largest(membrane.grad, tensor(expected["gradient"], torch.float64))  # type: ignore[arg-type]


def test_blocks_of_steps_have_the_authors_sums_and_loss() -> None:
    reference = entry("sequences", "loss.softmax_sum.blocks")
    membrane = tensor(reference["input"], torch.float64)
    block, targets = torch.tensor(reference["block"]), torch.tensor(reference["targets"])
    expected, found = reference["results"]["softmax"], []
    for sample in range(membrane.shape[1]):
        for number in range(targets.shape[1]):
            steps = membrane[block[:, sample] == number, sample : sample + 1]
            if not len(steps):
                continue
            sums = CESoftmax().scores(torch.zeros_like(steps), steps)
            assert_close_to_largest(sums[0], tensor(expected["block_values"][sample][number], torch.float64))
            if (label := int(targets[sample, number])) >= 0:
                found.append(CESoftmax()(torch.zeros_like(steps), steps, torch.tensor([label])))
    assert torch.stack(found).mean().item() == pytest.approx(expected["loss"], rel=1e-5)


def test_steps_at_the_begin_that_do_not_count() -> None:
    spikes, membrane, target = record()
    skip = CESoftmax(skip_steps=4)
    assert skip(spikes, membrane, target) == CESoftmax()(spikes[4:], membrane[4:], target)
    assert skip.predict(spikes, membrane).tolist() == CESoftmax().predict(spikes[4:], membrane[4:]).tolist()
    with refuses("skip_steps", STEPS, f"less than the {STEPS} steps"):
        CESoftmax(skip_steps=STEPS)(spikes, membrane, target)


@pytest.mark.parametrize("name", [name for name in OF_SAMPLES if hasattr(OF_SAMPLES[name], "smoothing")])
def test_smoothing_mixes_in_the_mean_over_all_classes(name: str) -> None:
    spikes, membrane, target = record(torch.float64)
    plain: Any = OF_SAMPLES[name]
    smooth = type(plain)(**{**vars(plain), "smoothing": 0.3})
    every = torch.stack([plain(spikes, membrane, torch.full_like(target, label)) for label in range(CLASSES)])
    expected = 0.7 * plain(spikes, membrane, target) + 0.3 * every.mean()
    assert smooth(spikes, membrane, target).item() == pytest.approx(expected.item(), rel=1e-9)
    assert math.isfinite(expected)
