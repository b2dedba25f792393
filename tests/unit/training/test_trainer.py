"""The training loop: what it yields, when it stops, and what it leaves undisturbed."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from snnrun.config import catalogue
from snnrun.encoder import Encoder
from snnrun.errors import ConfigError, NonFiniteError
from snnrun.loss import CECount, Loss
from snnrun.sequence import Trace
from snnrun.task import Data, Part
from snnrun.training.loop import evaluate
from snnrun.training.records import EpochRecord, LayerActivity, LogRecord, StepRecord, WarningRecord, of_kind
from snnrun.training.streams import Streams
from support.refusals import fails
from support.small import CPU, BatchList, Training, images, same, training, weights

SMALL = ["num_steps=6", "epochs=2", "batch_size=32", "model.hidden=[20]"]


@dataclass(frozen=True)
class ScriptLoss(Loss):
    """A loss that is real in training, and in validation the next value of a script."""

    values: list[float] = field(default_factory=list)

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        if torch.is_grad_enabled():
            return CECount()(spikes, membrane, target)
        return torch.tensor(self.values.pop(0))


@dataclass(frozen=True)
class Recorder(Encoder):
    """Records the inputs and the spike trains of another encoder."""

    inner: Encoder | None = None
    inputs: list[Tensor] = field(default_factory=list)
    trains: list[Tensor] = field(default_factory=list)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        assert self.inner is not None
        train = self.inner(x, num_steps, generator)
        if torch.is_grad_enabled():
            self.inputs.append(x.clone())
            self.trains.append(train.clone())
        return train


def replace_parts(
    trainer: Training, *, data: Data | None = None, model: nn.Module | None = None, **parts: Any
) -> Training:
    return dataclasses.replace(
        trainer,
        data=data or trainer.data,
        model=model or trainer.model,
        parts=dataclasses.replace(trainer.parts, **parts),
    )


# --- records -----------------------------------------------------------------------------------------------------


def test_records_of_a_task_with_labels() -> None:
    records = training(*SMALL, batches=3).fit()
    assert [record.kind for record in records] == ["step", "step", "step", "epoch"] * 2
    steps, epochs = of_kind(records, StepRecord), of_kind(records, EpochRecord)
    common = {"kind", "epoch", "step", "learning_rate", "samples_per_second", "time"}
    assert all(set(record.to_json()) == common | {"loss", "accuracy", "gradient_norm"} for record in steps)
    of_parts = {f"{part}_{what}" for part in ("train", "validation") for what in ("loss", "accuracy")}
    assert all(set(record.to_json()) == common | of_parts | {"seconds", "best", "layers"} for record in epochs)
    assert [(record.epoch, record.step) for record in steps] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert [(record.epoch, record.step) for record in epochs] == [(1, 3), (2, 6)]
    times = [record.time for record in records if isinstance(record, (StepRecord, EpochRecord))]
    assert times == sorted(times)
    speeds = [record.samples_per_second for record in steps] + [record.samples_per_second for record in epochs]
    assert all(speed > 0 for speed in speeds)
    for epoch in epochs:
        assert list(epoch.layers) == ["hidden1", "output"]
        for layer, neurons in zip(epoch.layers.values(), (20, 10), strict=True):
            assert layer.neurons == neurons
            assert all(0 <= share <= 1 for share in (layer.firing_rate, layer.silent, layer.saturated))


def test_records_of_a_task_without_labels() -> None:
    records = training("task=zeros", "num_steps=4", "epochs=1").fit()
    assert len(records) == 3
    assert not [key for record in records for key in record.to_json() if "accuracy" in key]


def test_means_are_over_samples_and_not_over_batches() -> None:
    trainer = training(*SMALL, "epochs=1", "optimizer=sgd", "optimizer.lr=0", "encoder=direct")
    sizes = (7, 2)
    trainer = replace_parts(trainer, data=trainer.data._replace(train=images(*sizes), validation=images(*sizes)))
    first, second, epoch = (record.to_json() for record in trainer.fit())
    for key in ("loss", "accuracy"):
        mean = (7 * first[key] + 2 * second[key]) / 9
        assert first[key] != second[key]
        assert epoch[f"train_{key}"] == pytest.approx(mean)
        assert epoch[f"validation_{key}"] == pytest.approx(mean, rel=1e-5), "the weights do not move with lr=0"


def test_the_loss_and_the_accuracy_are_those_of_the_batch() -> None:
    trainer = training(*SMALL, "epochs=1", "encoder=direct", batches=1)
    batch = next(trainer.data.train.batches(32, trainer.streams.order))
    spikes, membrane, _ = trainer.model(trainer.parts.encoder(batch.x, 6))["output"]
    expected = trainer.parts.loss(spikes, membrane, batch.target).item()
    accuracy = (spikes.sum(0).argmax(1) == batch.target).float().mean().item()
    again = training(*SMALL, "epochs=1", "encoder=direct", batches=1)
    step = of_kind(again.fit(), StepRecord)[0]
    assert step.loss == pytest.approx(expected, rel=1e-5)
    assert step.accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4, 5, 6]), (2, [1, 2, 4, 6]), (4, [1, 4]), (100, [1])])
def test_log_every(every: int, steps: list[int]) -> None:
    records = training(*SMALL, f"report.log_every={every}", batches=3).fit()
    assert [record.step for record in of_kind(records, StepRecord)] == steps
    assert [record.step for record in of_kind(records, EpochRecord)] == [3, 6]


def test_activity_against_a_count_by_hand() -> None:
    """Neuron 0 never fires, 1 always, 2 once in each sample, 3 in the second batch alone: at each of its steps."""

    class FixedSpikes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor, generator: Generator | None = None) -> dict[str, Trace]:
            spikes = torch.zeros(*x.shape[:2], 4)
            spikes[:, :, 1] = 1
            spikes[2, :, 2] = 1
            if x.shape[1] == 2:
                spikes[:, :, 3] = 1
            return {"output": Trace(spikes + 0 * self.weight, spikes)}

    trainer = training("num_steps=5", "epochs=2", "encoder=direct")
    data = trainer.data._replace(train=images(3, 2), validation=images(1))
    trainer = replace_parts(trainer, model=FixedSpikes(), data=data)
    for epoch in of_kind(trainer.fit(), EpochRecord):  # each epoch is counted alone
        chances = 5 * (3 + 2)
        rate = (0 + chances + (3 + 2) + 5 * 2) / (4 * chances)
        assert epoch.layers == {"output": LayerActivity(neurons=4, firing_rate=rate, silent=0.25, saturated=0.25)}


# --- best, early stopping, schedulers ------------------------------------------------------------------------------


def run_script(values: list[float], *overrides: str) -> list[EpochRecord]:
    trainer = training(*SMALL, f"epochs={len(values)}", *overrides, batches=1)
    return of_kind(replace_parts(trainer, loss=ScriptLoss(values=list(values))).fit(), EpochRecord)


@pytest.mark.parametrize("encoder", ["rate", "direct", "latency", "population"])
@pytest.mark.parametrize("model", ["mlp", "recurrent"])
def test_training_reads_no_file_of_the_catalogue(encoder: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part's name is for messages; to look it up at every batch took as long as the training."""
    trainer = training(f"encoder={encoder}", f"model={model}", "epochs=1", "num_steps=4")

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(catalogue, "_load", refuse)
    assert trainer.fit()[-1].kind == "epoch"


def test_best_is_the_lowest_so_far() -> None:
    epochs = run_script([3.0, 2.0, 2.5, 1.0, 1.0])
    assert [epoch.best for epoch in epochs] == [True, True, False, True, False]
    assert [epoch.validation_loss for epoch in epochs] == [3, 2, 2.5, 1, 1]


def test_nothing_is_best_where_no_loss_is_finite() -> None:
    epochs = run_script([math.nan, math.nan, math.nan], "early_stopping=2")
    assert [epoch.best for epoch in epochs] == [False, False]
    assert [epoch.best for epoch in run_script([math.nan, 1.0])] == [False, True]


@pytest.mark.parametrize(
    ("patience", "values", "ran"),
    [
        (1, [1.0, 2.0, 0.5], 2),
        (2, [3.0, 2.0, 2.5, 2.2, 1.0], 4),
        (2, [3.0, 3.5, 2.0, 2.5, 1.0], 5),
        (2, [3.0, 3.0, 3.0, 1.0], 3),
    ],
)
def test_early_stopping(patience: int, values: list[float], ran: int) -> None:
    assert len(run_script(values, f"early_stopping={patience}")) == ran


def test_plateau_follows_the_validation_loss() -> None:
    words = ["optimizer=sgd", "optimizer.lr=0.1", "scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.5"]
    rates = [epoch.learning_rate for epoch in run_script([1.0, 2.0, 0.5, 0.4, 0.6, 0.1], *words)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.05, 0.025])


def test_a_scheduler_changes_the_learning_rate_after_each_epoch() -> None:
    words = ["optimizer=sgd", "optimizer.lr=0.1", "scheduler=step", "scheduler.step_size=1", "scheduler.gamma=0.5"]
    records = training(*SMALL, "epochs=3", *words, batches=2).fit()
    expected = {1: 0.1, 2: 0.05, 3: 0.025}
    assert all(record.to_json()["learning_rate"] == pytest.approx(expected[record.epoch]) for record in records)


def test_cosine_ends_with_the_last_epoch() -> None:
    records = training(*SMALL, "epochs=4", "optimizer=sgd", "optimizer.lr=1", "scheduler=cosine", batches=1).fit()
    rates = [record.learning_rate for record in of_kind(records, EpochRecord)]
    assert rates == pytest.approx([(1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)])


def test_a_schedule_per_step_has_the_steps_of_the_training() -> None:
    """Of the data, which the test makes three batches of."""
    words = ["optimizer=sgd", "optimizer.lr=0.5", "scheduler=linear", "epochs=2"]
    whole, rest = divmod(len(training(*SMALL).data.train), 32)
    assert rest
    lengths = {"": 2 * whole + 2, "drop_last=true": 2 * whole, "max_steps=5": 5, "scheduler.total_steps=9": 9}
    for word, steps in lengths.items():
        extra = (word,) if word else ()
        records = training(*SMALL, *words, *extra, batches=3).fit()
        rates = [record.learning_rate for record in of_kind(records, StepRecord)]
        assert rates == pytest.approx([0.5 * (1 - n / steps) for n in range(len(rates))]), extra
        assert [epoch.learning_rate for epoch in of_kind(records, EpochRecord)] == [rates[2], rates[-1]]


def test_a_warm_up_of_more_steps_than_the_training_has_is_refused() -> None:
    steps = 2 * math.ceil(len(training(*SMALL).data.train) / 32)
    trainer = training(*SMALL, "scheduler=warmup_cosine", f"scheduler.warmup_steps={steps + 1}")
    with fails(ConfigError, "scheduler.warmup_steps: ", f"at most {steps},", f"got {steps + 1}"):
        trainer.state()
    training(*SMALL, "scheduler=warmup_cosine", f"scheduler.warmup_steps={steps}").state()


# --- no validation, a last step, whole batches only ------------------------------------------------------------------


def test_without_a_validation_part_no_epoch_is_best() -> None:
    trainer = training(*SMALL, "task.validation=0", batches=2)
    assert (len(trainer.data.train), len(trainer.data.validation)) == (1438, 0)
    records = trainer.fit()
    for epoch in of_kind(records, EpochRecord):
        assert epoch.best is False
        assert not [key for key in epoch.to_json() if key.startswith("validation")]
        assert epoch.train_loss > 0


@pytest.mark.parametrize(("most", "steps"), [(2, [2]), (3, [3]), (4, [3, 4]), (6, [3, 6]), (99, [3, 6])])
def test_max_steps_ends_training_and_changes_nothing_before(most: int, steps: list[int]) -> None:
    whole, short = training(*SMALL, batches=3), training(*SMALL, f"max_steps={most}", batches=3)
    expected, records = of_kind(whole.fit(), StepRecord), short.fit()
    losses = [record.loss for record in of_kind(records, StepRecord)]
    assert losses == [record.loss for record in expected[:most]]
    epochs = of_kind(records, EpochRecord)
    assert [epoch.step for epoch in epochs] == steps
    assert all(epoch.validation_loss is not None and math.isfinite(epoch.validation_loss) for epoch in epochs)


@pytest.mark.parametrize("at", [2, 4, 5])
def test_max_steps_holds_for_a_run_that_goes_on(at: int) -> None:
    # 5 is the last step: what is left then is to evaluate, and to end the epoch.
    words = (*SMALL, "max_steps=5")
    whole = training(*words, batches=3)
    expected = whole.fit()
    trainer = training(*words, batches=3)
    state = trainer.state()

    class Leave(Exception):
        pass

    def leave() -> None:
        if state.progress.step == at:
            raise Leave

    records: list[LogRecord] = []
    with pytest.raises(Leave):
        for record in trainer.records(state, boundary=leave):
            records.append(record)
    records += trainer.fit(state)
    assert [(r.kind, r.epoch, r.step) for r in records] == [(r.kind, r.epoch, r.step) for r in expected]
    assert same(weights(trainer.model), weights(whole.model))
    assert not trainer.fit(state), "it is over"


def test_a_smaller_last_batch_may_be_dropped() -> None:
    data = Data(images(8, 8, 5), images(8), images(8), {})
    all_batches = replace_parts(training(*SMALL, "batch_size=8"), data=data).fit()
    whole_batches = replace_parts(training(*SMALL, "batch_size=8", "drop_last=true"), data=data).fit()
    assert [epoch.step for epoch in of_kind(all_batches, EpochRecord)] == [3, 6]
    assert [epoch.step for epoch in of_kind(whole_batches, EpochRecord)] == [2, 4]
    with fails(ConfigError, "batch_size: ", "at most 21", "drop_last=true", "got 32"):
        replace_parts(training(*SMALL, "drop_last=true"), data=data).fit()


# --- gradient clipping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 1e-2, 1e6])
def test_clipping_bounds_the_update(limit: float | None) -> None:
    words = ["optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "epochs=1"]
    trainer = training(*SMALL, *words, f"clip_grad_norm={'null' if limit is None else limit}", batches=1)
    before = weights(trainer.model)
    step = of_kind(trainer.fit(), StepRecord)[0]
    after = weights(trainer.model)
    update = math.sqrt(sum(float((after[name] - before[name]).square().sum()) for name in before))
    assert step.gradient_norm > 1e-2, "the norm that is recorded is the one before clipping"
    assert update == pytest.approx(min(step.gradient_norm, limit or math.inf), rel=1e-3)


@pytest.mark.parametrize("limit", [1e-3, 1e6])
def test_clipping_by_value_bounds_each_component(limit: float) -> None:
    words = ["optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "epochs=1"]
    free, clipped = (training(*SMALL, *words, f"clip_grad_value={bound}", batches=1) for bound in ("null", limit))
    (free_step, *_), (step, *_) = (of_kind(trainer.fit(), StepRecord) for trainer in (free, clipped))
    assert step.gradient_norm == free_step.gradient_norm, "the norm that is recorded is the one before clipping"
    gradients = {name: parameter.grad for name, parameter in free.model.named_parameters()}
    expected = {name: gradient.clamp(-limit, limit) for name, gradient in gradients.items() if gradient is not None}
    actual = {name: parameter.grad for name, parameter in clipped.model.named_parameters()}
    assert all(torch.equal(expected[name], gradient) for name, gradient in actual.items() if gradient is not None)
    assert any((gradient.abs() > 1e-3).any() for gradient in gradients.values() if gradient is not None)


# --- what is not finite --------------------------------------------------------------------------------------------


def with_nan(at: int, count: int) -> Callable[[Training], Training]:
    """Batch ``at`` (from 1) of ``count`` holds a NaN: spikes and loss stay finite, the gradient does not."""
    part = images(*[4] * count)
    part.items[at - 1].x[0, 1, 0, 3, 3] = math.nan

    def use(trainer: Training) -> Training:
        return replace_parts(trainer, data=trainer.data._replace(train=part))

    return use


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights() -> None:
    trainer = with_nan(3, 4)(training(*SMALL, "encoder=direct"))
    with pytest.raises(NonFiniteError) as error:
        trainer.fit()
    assert error.value.exit_code == 4
    message = str(error.value)
    assert message.startswith("iteration 3: not finite: ")
    assert "the gradient of layers.hidden1.synapse.weight in 20 of 20 neurons" in message
    assert "the values of" not in message
    assert "clip_grad_norm=1" in message
    assert "optimizer.lr" in message
    assert "detach_reset" not in message, "it is detached already"
    assert isinstance(trainer.data.train, BatchList)
    until_then = training(*SMALL, "epochs=1", "encoder=direct")
    until_then = replace_parts(until_then, data=trainer.data._replace(train=BatchList(trainer.data.train.items[:2])))
    until_then.fit()
    assert same(weights(trainer.model), weights(until_then.model)), "the weights are those before the step"


@pytest.mark.parametrize("convention", ["blog", "spikingjelly", "norse"])
def test_the_remedy_for_a_reset_that_carries_a_gradient(convention: str) -> None:
    trainer = with_nan(1, 1)(training(*SMALL, "encoder=direct", f"convention={convention}"))
    with pytest.raises(NonFiniteError, match=r"Try: neuron\.detach_reset=true"):
        trainer.fit()


def test_a_loss_that_is_not_finite_stops() -> None:
    @dataclass(frozen=True)
    class Infinite(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            return super().__call__(spikes, membrane, target) * math.inf

    trainer = replace_parts(training(*SMALL), loss=Infinite())
    with pytest.raises(NonFiniteError, match=r"iteration 1: not finite: the loss \(inf\)"):
        trainer.fit()


def test_warn_goes_on_with_one_warning() -> None:
    trainer = with_nan(2, 4)(training(*SMALL, "encoder=direct", "on_nonfinite=warn"))
    records = trainer.fit()
    assert [(record.kind, record.step) for record in records if record.kind != "step"] == [
        ("warning", 2),
        ("epoch", 4),
        ("epoch", 8),
    ]
    (warning,) = of_kind(records, WarningRecord)
    assert set(warning.to_json()) == {"kind", "epoch", "step", "message", "lost"}
    assert "the values of layers.hidden1.synapse.weight in 20 of 20 neurons" in warning.message
    assert [record.step for record in of_kind(records, StepRecord)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_warn_has_a_record_when_more_neurons_are_lost() -> None:
    """One output breaks in the second batch and another in the third, each by its own NaN."""

    class Breaking(CECount):
        calls = 0

        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            if not torch.is_grad_enabled():
                return super().__call__(spikes, membrane, target)
            type(self).calls += 1
            loss = super().__call__(spikes, membrane, target)
            return loss if self.calls == 1 else loss + (membrane[..., self.calls] * math.nan).sum().nan_to_num()

    trainer = training(*SMALL, "epochs=1", "model.hidden=[]", "on_nonfinite=warn", "encoder=direct", "optimizer=sgd")
    trainer = replace_parts(trainer, data=trainer.data._replace(train=images(4, 4, 4, 4)), loss=Breaking())
    warnings = of_kind(trainer.fit(), WarningRecord)
    counts = [f"the values of layers.output.synapse.weight in {n} of 10 neurons" for n in (1, 2, 3)]
    assert [record.step for record in warnings] == [2, 3, 4]
    assert all(count in record.message for count, record in zip(counts, warnings, strict=True))


def test_warn_with_clipping_loses_no_neuron_that_was_whole() -> None:
    """The one output whose gradient is NaN is lost; clipping by the norm of all must not take the others with it."""

    @dataclass(frozen=True)
    class Breaking(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            return super().__call__(spikes, membrane, target) + (membrane[..., 3] * math.nan).sum().nan_to_num()

    words = ["epochs=1", "model.hidden=[]", "on_nonfinite=warn", "encoder=direct", "optimizer=sgd"]
    non_finite = {}
    for clip in ("null", "1"):
        trainer = replace_parts(training(*SMALL, *words, f"clip_grad_norm={clip}", batches=1), loss=Breaking())
        trainer.fit()
        weight = trainer.model.get_parameter("layers.output.synapse.weight")
        non_finite[clip] = (~weight.isfinite()).any(1).nonzero().flatten().tolist()
    assert non_finite == {"null": [3], "1": [3]}


# --- what training leaves undisturbed ------------------------------------------------------------------------------


def test_evaluation_does_not_disturb_training() -> None:
    states = []
    for sizes in ((1,), (30, 30, 7)):
        trainer = training(*SMALL, "model.dropout=0.5")
        replace_parts(trainer, data=trainer.data._replace(validation=images(*sizes))).fit()
        states.append(weights(trainer.model))
    assert same(*states)


def test_evaluation_is_repeatable_and_changes_nothing() -> None:
    trainer = training(*SMALL, "model.dropout=0.5")
    before, order = weights(trainer.model), trainer.streams.order.get_state()
    encoding, dropout = trainer.streams.encoding.get_state(), trainer.streams.dropout.get_state()
    arguments = (trainer.data.test, trainer.parts.encoder, trainer.parts.loss, trainer.streams, trainer.settings)
    trainer.model.train()
    first, second = evaluate(trainer.model, *arguments), evaluate(trainer.model, *arguments)
    assert first == second
    assert first.accuracy is not None
    assert 0 <= first.accuracy <= 1
    assert same(before, weights(trainer.model))
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert torch.equal(order, trainer.streams.order.get_state())
    assert torch.equal(encoding, trainer.streams.encoding.get_state())
    assert torch.equal(dropout, trainer.streams.dropout.get_state())


def test_neither_making_a_model_nor_training_touches_the_global_random_numbers() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = training(*SMALL, "model.dropout=0.5")
    first.fit()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    second = training(*SMALL, "model.dropout=0.5")
    second.fit()
    assert same(weights(first.model), weights(second.model)), "nor does it read them"


def test_a_model_trains_on_after_its_validation() -> None:
    """Validation turns dropout off, and the next epoch turns it on again."""
    modes: list[bool] = []
    trainer = training(*SMALL, "epochs=2", batches=1)
    trainer.model.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    trainer.fit()
    assert modes == [True, False, True, False]


def test_dropout_has_a_stream_of_its_own() -> None:
    images_of, spike_trains, states = [], [], []
    for dropout in ("0.0", "0.5", "0.5"):
        trainer = training(*SMALL, f"model.dropout={dropout}")
        recorder = Recorder(inner=trainer.parts.encoder)
        trainer = replace_parts(trainer, encoder=recorder)
        trainer.fit()
        images_of.append(recorder.inputs)
        spike_trains.append(recorder.trains)
        states.append(weights(trainer.model))
    for what in (images_of, spike_trains):
        assert len(what[0]) == 4
        for without, with_dropout in zip(what[0], what[1], strict=True):
            assert torch.equal(without, with_dropout), "the same images in the same order, and the same spike trains"
    assert not same(states[0], states[1])
    assert same(states[1], states[2])


def test_each_epoch_has_an_order_and_spikes_of_its_own() -> None:
    trainer = training("num_steps=3", "epochs=2", "batch_size=100", "model.hidden=[]", batches=100)
    recorder = Recorder(inner=trainer.parts.encoder)
    replace_parts(trainer, encoder=recorder).fit()
    per_epoch = len(recorder.inputs) // 2
    first, second = (
        torch.cat([x[0] for x in part]) for part in (recorder.inputs[:per_epoch], recorder.inputs[per_epoch:])
    )
    assert first.shape[0] == second.shape[0] == len(trainer.data.train)
    assert not torch.equal(first, second)
    rows = functools.partial(torch.unique, dim=0, return_counts=True)
    for one, other in zip(rows(first.flatten(1)), rows(second.flatten(1)), strict=True):
        assert torch.equal(one, other), "every sample once in each epoch"


def test_seeds() -> None:
    states = []
    for seed in (0, 0, 1):
        trainer = training(*SMALL, f"seed={seed}")
        trainer.fit()
        states.append(weights(trainer.model))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


# --- precision ------------------------------------------------------------------------------------------------------


def test_bf16_stays_close_to_fp32() -> None:
    runs: dict[str, list[LogRecord]] = {}
    for precision in ("fp32", "bf16"):
        trainer = training(*SMALL, f"precision={precision}", "encoder=direct", "loss=ce_membrane", batches=10)
        kinds: list[tuple[torch.dtype, torch.dtype]] = []
        trainer.model.layers["output"].synapse.register_forward_hook(  # type: ignore[union-attr, index]
            lambda module, inputs, output, kinds=kinds: kinds.append((inputs[0].dtype, output.dtype))
        )
        runs[precision] = trainer.fit()
        product = torch.bfloat16 if precision == "bf16" else torch.float32
        assert set(kinds) == {(torch.float32, product)}
        assert {tensor.dtype for tensor in trainer.model.state_dict().values()} == {torch.float32}
    fp32, bf16 = ([record.loss for record in of_kind(runs[key], StepRecord)] for key in ("fp32", "bf16"))
    assert bf16 != fp32, "the products were taken in bfloat16"
    assert bf16 == pytest.approx(fp32, rel=0.05)


def test_a_part_need_not_be_ours() -> None:
    """What ``fit`` asks of a part is its protocol and no more."""
    trainer = training(*SMALL, "epochs=1")
    parts: list[Part] = [images(5), images(1), images(1)]
    records = replace_parts(trainer, data=Data(parts[0], parts[1], parts[2], {})).fit()
    assert [record.kind for record in records] == ["step", "epoch"]
    assert Streams(0, CPU).order.initial_seed() == trainer.streams.order.initial_seed()
