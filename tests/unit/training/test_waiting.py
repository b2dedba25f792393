"""A training step waits for its device once: to read the loss and the norm of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.errors import ArgumentError
from snnrun.loss import CECount
from snnrun.sequence.arrays import sum_to
from snnrun.system.team import Team
from snnrun.task import Batch
from snnrun.training import loop
from snnrun.training.graph import Passes, PlainStep
from snnrun.training.records import EpochRecord
from support.device import META, Wait, no_kernels, no_waiting
from support.small import Training, same, training, weights

PRESETS: dict[str, tuple[str, ...]] = {
    "the default": (),
    "step by step": ("backend=reference",),
    "poisson": ("encoder=poisson",),
    "latency": ("encoder=latency", "loss=ce_temporal"),
    "latency of a batch": ("encoder=latency", "encoder.normalize=batch"),
    "latency without a bound": ("encoder=latency", "encoder.normalize=false", "encoder.tau=0.1"),
    "burst": ("encoder=burst",),
    "phase": ("encoder=weighted_phase", "loss=tet"),
    "population": ("encoder=population", "loss=mse_membrane"),
    "constant input": ("encoder=direct", "loss=ce_membrane", "readout=li"),
    "class weights": (f"loss.class_weights={[1.0, 2.0] * 5}".replace(" ", ""), "loss.population=2"),
    "trains as targets": ("loss=van_rossum",),
    "counts as targets": ("loss=mse_count",),
    "a cost of spikes": ("regulariser=rate_bounds",),
    "clipping": ("clip_grad_norm=1", "optimizer=sgd"),
    "dropout and recurrence": ("model=recurrent", "model.dropout=0.2"),
    "feedback of a neuron": ("neuron=rlif",),
    "many parameters": ("neuron=adex", "backend=reference"),
    "learnt values": ("neuron.learn_threshold=true", "neuron.per_neuron=true"),
    "images": ("model=convnet", "model.norm=tdbn"),
}


SIZE = ("num_steps=3", "batch_size=8")


def on_the_device(trainer: Training) -> Training:
    return replace(trainer, model=trainer.model.to(META))


def batch_of(trainer: Training) -> Batch:
    x, target, _ = next(trainer.data.train.batches(8))
    return Batch(x.to(META), None if target is None else target.to(META))


def steps(trainer: Training, monkeypatch: pytest.MonkeyPatch, count: int = 2, reading: Any = None) -> None:
    """Some training steps, of which the last may not wait, except for the reading."""
    read = []

    def values(passes: Passes, gradients: dict[str, Tensor], *, with_outcome: bool) -> Any:
        read.append(passes)
        assert passes.loss.shape == passes.norm.shape == ()
        values = [0.5] * len(passes.checks.numbers)
        return loop._Values(1.0, 1.0, [0.5], values, {})

    monkeypatch.setattr(loop, "_read", values)
    monkeypatch.setattr(loop, "_precision", lambda x, settings: nullcontext())  # there is none for this device
    state, batch = trainer.state(), batch_of(trainer)
    setup = loop.Setup(
        data=trainer.data,
        encoder=trainer.parts.encoder,
        loss=trainer.parts.loss,
        settings=trainer.settings,
        parameters=[parameter for parameter in state.model.parameters() if parameter.requires_grad],
        begin=0.0,
        step=PlainStep(),
        boundary=lambda: None,
        watch=lambda: None,
        team=Team(),
    )
    state.model.train()
    for _ in range(count - 1):  # the first one compiles, and copies constants
        loop.train_step(state, setup, [batch])
    if reading is not None:
        monkeypatch.setattr(loop, "_read", reading)
    with no_waiting():
        loop.train_step(state, setup, [batch])
    assert len(read) == count


@pytest.mark.parametrize("words", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize(
    "kernels",
    [pytest.param(True, id="the GPU's kernels"), pytest.param(False, id="torch's operations", marks=pytest.mark.long)],
)
def test_nothing_in_a_step_waits(words: tuple[str, ...], kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    called = no_kernels(monkeypatch) if kernels else []
    steps(on_the_device(training(*SIZE, *words)), monkeypatch)
    assert bool(called) == (kernels and "backend=reference" not in words)


PLANTED: dict[str, Callable[[Tensor], Any]] = {
    "a reading": lambda loss: loss.item(),
    "a decision": lambda loss: loss > 0 or None,
    "a list": lambda loss: loss.reshape(1).tolist(),
    "a float": float,
    "a mask": lambda loss: loss.expand(3)[loss.expand(3) > 0],
    "a search": lambda loss: loss.expand(3).nonzero(),
    "a comparison": lambda loss: torch.equal(loss, loss),
    "a copy to the device": lambda loss: loss + torch.ones(3).to(loss.device),
    "a copy from the device": lambda loss: loss.cpu(),
    "numbers": lambda loss: loss * torch.tensor([1.0, 2.0], device=loss.device),
    "more numbers": lambda loss: loss * loss.new_tensor([1.0, 2.0]),
    "an array": lambda loss: loss.numpy(),
}


@pytest.mark.parametrize("wait", PLANTED.values(), ids=PLANTED)
def test_a_planted_wait_is_found(wait: Callable[[Tensor], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Waiting(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            loss = super().__call__(spikes, membrane, target)
            if armed:
                wait(loss.detach())
            return loss

    armed: list[bool] = []
    trainer = on_the_device(training(*SIZE))
    trainer = replace(trainer, parts=replace(trainer.parts, loss=Waiting()))
    steps(trainer, monkeypatch)
    armed.append(True)
    with pytest.raises((Wait, RuntimeError, NotImplementedError, TypeError)):
        steps(trainer, monkeypatch, count=1)


def test_a_second_reading_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = on_the_device(training(*SIZE))
    read = loop._read
    with pytest.raises((Wait, NotImplementedError)):
        steps(trainer, monkeypatch, reading=read)


@pytest.mark.parametrize(
    ("words", "x"),
    [("encoder=poisson", 2.0), ("encoder=weighted_phase", -1.0), ("encoder=latency encoder.curve=linear", 1.5)],
)
def test_values_are_still_checked_before_the_update(words: str, x: float) -> None:
    trainer = training(*SIZE, *words.split())
    batch = next(trainer.data.train.batches(8))
    wrong = Batch(torch.full_like(batch.x, x), batch.target)
    trainer = replace(trainer, data=trainer.data._replace(train=Batches([batch, wrong])))
    before: list[dict[str, Tensor]] = []
    with pytest.raises(ArgumentError) as refusal:
        for _ in trainer.records(trainer.state()):
            before.append(weights(trainer.model))
    assert refusal.value.name == "x"
    assert len(before) == 1, "the first batch is right"
    assert same(before[0], weights(trainer.model))
    # Outside of a training step a check is immediate.
    with pytest.raises(ArgumentError):
        trainer.parts.encoder(wrong.x, trainer.settings.num_steps, torch.Generator())


@dataclass(frozen=True)
class Batches:
    """A part of these batches."""

    items: list[Batch]
    stream: None = None

    def __len__(self) -> int:
        return sum(batch.x.shape[1] for batch in self.items)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        yield from self.items


def test_the_epoch_ends_with_the_same_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    count = [0]
    read = loop._read

    def counted(passes: Passes, gradients: dict[str, Tensor], *, with_outcome: bool) -> Any:
        count[0] += 1
        return read(passes, gradients, with_outcome=with_outcome)

    monkeypatch.setattr(loop, "_read", counted)
    records = training("num_steps=3", "epochs=2", "batch_size=500", "encoder=poisson", batches=9).fit()
    assert count[0] == sum(record.kind == "step" for record in records)
    assert all(record.gradients for record in records if isinstance(record, EpochRecord))


@pytest.mark.parametrize("shape", [(), (4,), (1,), (1, 3), (2, 1, 3), (2, 1, 1)])
def test_gradients_of_shared_numbers_without_waiting(shape: tuple[int, ...]) -> None:
    """The sum on another device than the CPU has the shape of the tensor, and nothing waits."""
    like = torch.empty(shape, device=META)
    gradient = torch.empty((5, *(4 if n == 1 else n for n in shape)) if shape else (5, 4), device=META)
    with no_waiting():
        assert sum_to(gradient, like).shape == shape
