"""A network that learns numbers, through a code with more channels than its input: encoder, loss and score together."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import torch
from torch import Generator
from torch.optim.lr_scheduler import ConstantLR

from snnrun.config.settings import Checkpoint, Report, Settings
from snnrun.encoder import Direct, Population
from snnrun.job.parts import Parts
from snnrun.loss import MSE, CECount, RateBounds, r2_score
from snnrun.model import MLP
from snnrun.neuron import LIF
from snnrun.run.build import build_model
from snnrun.task import Batch, Data, Task
from snnrun.training.loop import evaluate, fit, forward
from snnrun.training.records import EpochRecord
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams

SETTINGS = Settings(
    seed=0,
    device="cpu",
    threads="auto",
    precision="fp32",
    deterministic=True,
    backend="auto",
    memory="full",
    matmul="auto",
    events_below="auto",
    num_steps=8,
    epochs=12,
    max_steps=None,
    batch_size=16,
    drop_last=False,
    data_dir="",
    output_dir="",
    on_nonfinite="stop",
    clip_grad_norm=None,
    early_stopping=None,
    max_seconds=None,
    checkpoint=Checkpoint(None, None),
    report=Report(figures=False, summary=False, progress=False, log_every=1),
)


class Part:
    stream = None

    def __init__(self, size: int, seed: int) -> None:
        self.x = torch.rand(1, size, 1, generator=torch.Generator().manual_seed(seed))
        self.y = torch.stack([torch.sin(6 * self.x[0, :, 0]), self.x[0, :, 0]], 1)

    def __len__(self) -> int:
        return self.x.shape[1]

    def batches(self, batch_size: int, generator: Generator | None = None) -> Iterator[Batch]:
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        for index in order.split(batch_size):
            yield Batch(self.x[:, index], self.y[index])


class Curves(Task):
    input_shape, num_outputs, has_time, has_accuracy, has_values = (1,), 2, False, False, True

    def load(self, *arguments: object) -> Data:
        return Data(Part(160, 0), Part(40, 1), Part(40, 2), {})


def parts(loss: MSE | CECount) -> Parts:
    return Parts(
        task=Curves(),
        encoder=Population(neurons=8, code=Direct()),
        neuron=functools.partial(LIF, 0.9),
        model=functools.partial(MLP, hidden=[16]),
        loss=loss,
        optimizer=functools.partial(torch.optim.Adam, lr=0.02),
        scheduler=functools.partial(ConstantLR, factor=1.0),
    )


def test_regression_is_scored_by_r2() -> None:
    of, streams = (
        parts(MSE(regularisers={"few": RateBounds(upper=0.3, layers="hidden")})),
        Streams(0, torch.device("cpu")),
    )
    model, data, test = build_model(of, SETTINGS, streams), Curves().load(), Part(40, 2)
    state = TrainingState.create(model, streams, optimizer=of.optimizer, scheduler=of.scheduler)
    records = list(fit(state, data, of.encoder, of.loss, SETTINGS))
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    assert all({"train_r2", "validation_r2"} <= set(epoch.to_json()) for epoch in epochs)
    assert not any("accuracy" in key for record in records for key in record.to_json())
    r2 = [epoch.validation_r2 or 0 for epoch in epochs]
    assert r2[-1] > 0.5 and r2[-1] > r2[0]

    # The score is that of the whole part, whatever the batches; the loss holds the regularisers.
    traces = forward(model, of.encoder, Batch(test.x, None), SETTINGS, streams.evaluation())
    spikes, membrane, _ = traces["output"]
    scores = evaluate(model, test, of.encoder, MSE(), streams, SETTINGS)
    assert scores.accuracy is None
    assert scores.r2 == pytest.approx(r2_score(of.loss.predict(spikes, membrane), test.y).item(), rel=1e-5)
    assert scores.loss == pytest.approx(MSE()(spikes, membrane, test.y).item(), rel=1e-5)
    dense = MSE(regularisers={"many": RateBounds(lower=1.0, upper=1.0, of="sample", power=1)})
    penalty = sum(1 - trace.spikes.mean().item() for trace in traces.values())
    assert evaluate(model, test, of.encoder, dense, streams, SETTINGS).loss == pytest.approx(
        scores.loss + penalty, rel=1e-5
    )


def test_the_model_gets_both_shapes() -> None:
    model = build_model(parts(CECount(population=5)), SETTINGS, Streams(0, torch.device("cpu")))
    shapes = [tuple(weight.shape) for name, weight in model.named_parameters() if name.endswith("synapse.weight")]
    assert shapes == [(16, 8), (10, 16)]
