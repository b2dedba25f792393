"""The training loop, read downwards: ``fit``, ``train_epoch``, ``train_step``, ``end_epoch``, ``evaluate``.

It yields records, prints nothing and writes no file.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from snnrun.config.settings import Settings
from snnrun.encoder import Encoder
from snnrun.encoder.value_check import deferred
from snnrun.errors import ConfigError, NonFiniteError
from snnrun.loss import Loss, outcome
from snnrun.loss.padding import Record
from snnrun.model import Delays, delays_of, neurons
from snnrun.scheduler import StepScheduler
from snnrun.sequence import Trace
from snnrun.system.team import Team
from snnrun.task import Batch, Data, Part
from snnrun.training import nonfinite
from snnrun.training.confusion import Predictions
from snnrun.training.graph import Passes, PlainStep, Recorder, step_of
from snnrun.training.layers import layer_gradients, neuron_parameters
from snnrun.training.metrics import Counts, Scores, Totals, share_correct
from snnrun.training.progress import Progress
from snnrun.training.records import EpochRecord, LayerGradient, LogRecord, StepRecord, WarningRecord
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams


@dataclass(frozen=True)
class Setup:
    """All that stays the same during training.

    Attributes:
        parameters: the trainable ones.
        begin: of training on ``time.perf_counter``; for a resumed run, as if one process had made all of it.
        step: how a step is executed: plainly, or as CUDA graphs.
        boundary, watch, team: see :func:`fit`.
        delays: of the model, whose widths shrink.
        steps: of the whole training, at least 1.
    """

    data: Data
    encoder: Encoder
    loss: Loss
    settings: Settings
    parameters: list[nn.Parameter]
    begin: float
    step: PlainStep
    boundary: Callable[[], None]
    watch: Callable[[], None]
    team: Team
    delays: Sequence[Delays] = ()
    steps: int = 1


class StepResult(NamedTuple):
    """The result of a training step, as numbers.

    Attributes:
        loss: the mean over the samples of the step.
        accuracy: of these samples; None without class labels or ``log``.
        log: True if this step has a record.
        broken: True if loss or gradient were not finite.
    """

    loss: float
    gradient_norm: float
    accuracy: float | None
    log: bool
    broken: bool


def fit(
    state: TrainingState,
    data: Data,
    encoder: Encoder,
    loss: Loss,
    settings: Settings,
    *,
    boundary: Callable[[], None] = lambda: None,
    watch: Callable[[], None] = lambda: None,
    team: Team | None = None,
    recorder: Recorder | None = None,
) -> Iterator[LogRecord]:
    """Train ``state.model`` and yield a record for every logged step, every warning and every epoch.

    Between a record and the next ``state.evaluated_weights()`` are the record's, so the caller may save them. ``best``
    in an epoch's record means that its validation loss is the lowest so far; without validation samples no epoch is
    the best.

    Args:
        state: where training begins or goes on. Updated after every step, so it can be saved between any two steps.
        boundary: called between two steps, where nothing is half done. What it raises ends the training.
        watch: called between two batches of an evaluation; likewise.
        team: the processes that share each batch. All yield the same records, except for ``layers``, which only rank
            0 has. Default: this process alone.
        recorder: of the graphs of ``execution.cuda_graph``. Default: of the streams' device.

    Raises:
        NonFiniteError: with ``on_nonfinite=stop``, at the first loss or gradient that is not finite, before it reaches
            the weights.
        ConfigError: where ``drop_last`` leaves no batch; for ``execution.cuda_graph`` with an optimizer, or a network,
            that cannot be recorded.
    """
    parameters = [parameter for parameter in state.model.parameters() if parameter.requires_grad]
    setup = Setup(
        data=data,
        encoder=encoder,
        loss=loss,
        settings=settings,
        parameters=parameters,
        delays=list(delays_of(state.model).values()),
        steps=max(1, steps_of_training(data.train, settings)),
        begin=time.perf_counter() - state.progress.seconds,
        step=step_of(state, settings, parameters, recorder),
        boundary=boundary,
        watch=watch,
        team=Team() if team is None else team,
    )
    state.progress.activity.skip = {name for name, neuron in neurons(state.model).items() if not neuron.spiking}
    while continues(state.progress, settings):
        samples, seconds = yield from train_epoch(state, setup)
        yield end_epoch(state, setup, samples, seconds)


def train_epoch(state: TrainingState, setup: Setup) -> Generator[LogRecord, None, tuple[int, float]]:
    """Make the steps that are left of the epoch under way, and yield their records and warnings.

    Returns the number of samples that this process has trained on, and the seconds of it, without the caller's.
    """
    model, progress, totals = state.model, state.progress, state.progress.totals
    model.train()
    begin = last_time = time.perf_counter()
    first_samples = last_samples = totals.samples
    away = 0.0  # seconds of the caller, for records and boundaries
    progress.begin_epoch(state.streams, setup.data.train)
    batches = _batches(setup.data.train, progress, state.streams, setup.settings)
    for window in _windows(batches, setup.settings.accumulate):
        result = train_step(state, setup, window)
        if result.broken and (lost := nonfinite.lost_neurons(model)) != progress.lost:
            progress.lost = lost
            message = nonfinite.describe(model, progress.step, result.loss)
            yield WarningRecord(epoch=progress.epoch, step=progress.step, message=message, lost=lost)
        now = time.perf_counter()
        if result.log:
            yield StepRecord(
                epoch=progress.epoch,
                step=progress.step,
                loss=result.loss,
                accuracy=result.accuracy,
                learning_rate=state.optimizer.param_groups[0]["lr"],
                samples_per_second=(totals.samples - last_samples) / (now - last_time),
                gradient_norm=result.gradient_norm,
                time=now - setup.begin,
            )
        progress.seconds = now - setup.begin
        setup.boundary()
        if result.log:
            last_time, last_samples = time.perf_counter(), totals.samples
        away += time.perf_counter() - now
    if not totals.samples:
        raise ConfigError(
            f"batch_size: expected at most {len(setup.data.train)}, the number of training samples, since "
            f"drop_last=true leaves out a smaller batch, got {setup.settings.batch_size}"
        )
    return totals.samples - first_samples, time.perf_counter() - begin - away


def train_step(state: TrainingState, setup: Setup, window: Iterable[Batch]) -> StepResult:
    """One step on the batches of ``window``: loss, gradients, update, and the sums of the epoch.

    Raises:
        NonFiniteError: see :func:`fit`; the weights are as they were.
    """
    model, progress, settings = state.model, state.progress, setup.settings
    for delays in setup.delays:
        delays.shrink(progress.step / setup.steps)
    progress.step += 1
    passes = setup.step.passes(functools.partial(run_passes, state, setup), window)
    log = progress.step == 1 or progress.step % settings.report.log_every == 0
    batch = progress.batch + len(passes.counts)
    last = batch == _batches_of_epoch(setup.data.train, settings) or progress.step == settings.max_steps
    values = _read(passes, layer_gradients(model) if last else {}, with_outcome=log)
    passes.checks.verify(values.checked)

    # A broken gradient silences neurons for good, unnoticed: the loss may fall all the same.
    broken = not (math.isfinite(values.loss) and math.isfinite(values.norm))
    if broken and settings.on_nonfinite == "stop":
        raise NonFiniteError(nonfinite.describe(model, progress.step, values.loss))
    if last:
        progress.gradients = values.gradients
    if isinstance(state.scheduler, StepScheduler):
        state.scheduler.advance()
    # An infinite norm would carry one neuron's fault to all the others.
    norm = nonfinite.finite_norm(setup.parameters) if broken else passes.norm
    setup.step.update(functools.partial(update, state, setup), norm, broken=broken)
    if state.average is not None:
        state.average.update()
    progress.totals.add(values.loss, passes.outcome, passes.samples)
    for counts in passes.counts:
        progress.activity.add_counts(counts)
    progress.batch = batch
    accuracy = share_correct(values.correct, passes.samples) if values.correct else None
    return StepResult(values.loss, values.norm, accuracy, log, broken)


def run_passes(state: TrainingState, setup: Setup, window: Iterable[Batch]) -> Passes:
    """Forward and backward pass of each batch, whose gradient is the mean over all samples.

    Nothing in it waits for the device.
    """
    team, accumulate = setup.team, setup.settings.accumulate
    state.optimizer.zero_grad()
    with deferred() as checks:
        # One after the other, since the traces of a whole window need not fit into memory.
        results = [_backward(state, setup, batch) for batch in window]
    samples = sum(each.samples for each in results)
    if accumulate > 1:
        for gradient in (p.grad for p in setup.parameters if p.grad is not None):
            gradient.div_(samples / setup.settings.batch_size)
    team.add_gradients(setup.parameters)
    norm = nonfinite.norm([p.grad for p in setup.parameters if p.grad is not None])
    loss = results[0].loss
    if accumulate > 1:
        loss = torch.stack([each.loss * (each.samples / samples) for each in results]).sum()
    first, *others = [each.outcome for each in results]
    outcome = None if first is None else sum((each for each in others if each is not None), first)
    return Passes(loss, norm, outcome, tuple(each.counts for each in results), samples, checks)


def _backward(state: TrainingState, setup: Setup, batch: Batch) -> _Result:
    """Forwards and backwards for one batch; adds its gradient to the gradient of the step."""
    streams, settings, team = state.streams, setup.settings, setup.team
    traces = forward(state.model, setup.encoder, batch, settings, streams.encoding, streams.dropout, team)
    loss, outcome = score(traces, batch, setup.loss, team)
    samples = batch.x.shape[1]
    # A smaller batch counts less, so that the gradient is the mean over all samples of the step.
    (loss if settings.accumulate == 1 else loss * (samples / settings.batch_size)).backward()
    lengths = batch.lengths
    if lengths is not None and team.size > 1:
        lengths = team.own(lengths, 0)[: team.own_count]  # without own samples, none
    counts = state.progress.activity.count(traces if team.own_count else _without_samples(traces), lengths)
    return _Result(loss.detach().reshape(()), outcome, counts, samples)


def update(state: TrainingState, setup: Setup, norm: Tensor) -> None:
    """Clip the gradients, whose norm is ``norm``, and change the parameters. Nothing in it waits for the device."""
    settings = setup.settings
    if settings.clip_grad_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(setup.parameters, settings.clip_grad_norm, norm)
    if settings.clip_grad_value is not None:
        torch.nn.utils.clip_grad_value_(setup.parameters, settings.clip_grad_value)
    state.optimizer.step()


class _Result(NamedTuple):
    """Of one batch; see :class:`snnrun.training.graph.Passes`."""

    loss: Tensor
    outcome: Tensor | None
    counts: Counts
    samples: int


class _Values(NamedTuple):
    """The numbers of a step. ``correct``: of the outcome of labels, if wanted; ``checked``: of the checks of values."""

    loss: float
    norm: float
    correct: list[float]
    checked: list[float]
    gradients: dict[str, LayerGradient]


def _read(passes: Passes, gradients: dict[str, Tensor], *, with_outcome: bool) -> _Values:
    """Read all numbers of a step together, since on a GPU each reading waits. One wait is the price of the check."""
    outcome = passes.outcome
    correct = list(outcome.reshape(-1)) if with_outcome and outcome is not None and outcome.dim() < 2 else []
    layers = [number for pair in gradients.values() for number in pair]
    numbers = [passes.loss, passes.norm, *correct, *passes.checks.numbers, *layers]
    loss, norm, *rest = torch.stack(numbers).tolist()
    of_layers = iter(rest[len(rest) - len(layers) :])
    return _Values(
        loss,
        norm,
        rest[: len(correct)],
        rest[len(correct) : len(rest) - len(layers)],
        {name: LayerGradient(norm=next(of_layers), zero=next(of_layers)) for name in gradients},
    )


def end_epoch(state: TrainingState, setup: Setup, samples: int, seconds: float) -> EpochRecord:
    """Validate, change the learning rate, and begin the next epoch; returns the record of the epoch that has ended.

    ``samples``, ``seconds``: see :func:`train_epoch`.
    """
    model, progress = state.model, state.progress
    data, settings = setup.data, setup.settings
    train = progress.totals.scores()

    def scores_of(part: Part) -> Scores:
        return evaluate(
            model, part, setup.encoder, setup.loss, state.streams, settings, watch=setup.watch, team=setup.team
        )

    with state.averaged():
        validation = scores_of(data.validation) if len(data.validation) else Scores(math.nan, None)
        test = scores_of(data.test) if settings.report.test_every_epoch else None
        learnt = neuron_parameters(model) or None
    progress.activity.pool(setup.team)
    best = validation.loss < progress.best_loss
    if best:
        progress.best_loss, progress.best_epoch = validation.loss, progress.epoch
    record = EpochRecord(
        epoch=progress.epoch,
        step=progress.step,
        train_loss=train.loss,
        train_accuracy=train.accuracy,
        train_r2=train.r2,
        validation_loss=validation.loss if len(data.validation) else None,
        validation_accuracy=validation.accuracy,
        validation_r2=validation.r2,
        test_loss=None if test is None else test.loss,
        test_accuracy=None if test is None else test.accuracy,
        test_r2=None if test is None else test.r2,
        learning_rate=state.optimizer.param_groups[0]["lr"],
        samples_per_second=samples / seconds,
        seconds=seconds,
        best=best,
        time=time.perf_counter() - setup.begin,
        layers=progress.activity.summary() if setup.team.leads else {},
        gradients=progress.gradients,
        neuron_parameters=learnt,
    )
    if isinstance(state.scheduler, ReduceLROnPlateau):
        state.scheduler.step(validation.loss)
    elif not isinstance(state.scheduler, StepScheduler):
        state.scheduler.step()
    progress.end_epoch(state.streams, data.train)
    progress.seconds = time.perf_counter() - setup.begin
    return record


def continues(progress: Progress, settings: Settings) -> bool:
    """True if another epoch follows, or one is under way."""
    most = settings.max_steps
    enough = most is not None and progress.step >= most and progress.batch == 0
    return progress.epoch <= settings.epochs and not out_of_patience(progress, settings) and not enough


def out_of_patience(progress: Progress, settings: Settings) -> bool:
    """True if ``early_stopping`` ends training: the validation loss was lowest that many epochs ago."""
    patience = settings.early_stopping
    return patience is not None and progress.epoch - 1 - progress.best_epoch >= patience


def _batches(part: Part, progress: Progress, streams: Streams, settings: Settings) -> Iterator[Batch]:
    """The batches that are left of the epoch under way."""
    left = None
    if settings.max_steps is not None:
        left = progress.batch + (settings.max_steps - progress.step) * settings.accumulate

    def rest() -> Iterator[Batch]:
        return itertools.islice(part.batches(settings.batch_size, streams.order), progress.batch, left)

    # Data drawn without a generator must not depend on the model's draws in between, which a resumed run lacks.
    batches = streams.isolate(rest, f"data {progress.epoch}")
    if not settings.drop_last:
        return batches
    return (batch for batch in batches if batch.x.shape[1] == settings.batch_size)


def _windows(batches: Iterator[Batch], size: int) -> Iterator[Iterator[Batch]]:
    """The batches of each training step, drawn one by one; the last step of an epoch may have fewer than ``size``."""
    for first in batches:
        yield itertools.chain((first,), itertools.islice(batches, size - 1))


def _batches_of_epoch(part: Part, settings: Settings) -> int:
    whole, rest = divmod(len(part), settings.batch_size)
    return whole + (rest > 0 and not settings.drop_last)


def steps_of_epoch(part: Part, settings: Settings) -> int:
    """The training steps of an epoch on ``part``."""
    return math.ceil(_batches_of_epoch(part, settings) / settings.accumulate)


def steps_of_training(part: Part, settings: Settings) -> int:
    """The training steps of all epochs on ``part``, at most ``max_steps``; early stopping may end it before."""
    steps = settings.epochs * steps_of_epoch(part, settings)
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    part: Part,
    encoder: Encoder,
    loss_function: Loss,
    streams: Streams,
    settings: Settings,
    *,
    watch: Callable[[], None] = lambda: None,
    look: Callable[[Batch], None] = lambda batch: None,
    classes: Sequence[str] = (),
    team: Team | None = None,
) -> Scores:
    """Loss and accuracy over one data set; has its own random stream, so that training is not changed.

    ``watch`` is called between two batches; what it raises ends the evaluation. ``look`` gets every batch. With
    ``classes``, the names of all labels, the scores have a confusion matrix. A ``team`` shares whole batches, so that
    its scores equal one process's bit for bit.
    """
    model.eval()
    team = Team() if team is None else team
    generator, totals, predictions = streams.evaluation(), Totals(), Predictions(classes)
    results: list[tuple[Tensor, Tensor | None] | None] = []
    samples: list[int] = []
    with streams.global_stream("evaluation"):
        for i, batch in enumerate(part.batches(settings.batch_size)):
            encoded = encode(encoder, batch, settings, generator)  # in all processes, since it draws
            own = i % team.size == team.rank
            results.append(
                score(run(model, encoded, settings), batch, loss_function, None, predictions) if own else None
            )
            samples.append(batch.x.shape[1])
            look(batch)
            if (i + 1) % team.size == 0:
                watch()
    for (loss, result), size in zip(team.gather_scores(results), samples, strict=True):
        totals.add(loss, result, size)
    return totals.scores()._replace(confusion=predictions.confusion(team))


def forward(
    model: nn.Module,
    encoder: Encoder,
    batch: Batch,
    settings: Settings,
    encoding: torch.Generator,
    dropout: torch.Generator | None = None,
    team: Team | None = None,
) -> dict[str, Trace]:
    """Encode the input of ``batch`` and run the model on it; every layer's trace, the read-out last.

    ``precision=bf16`` computes the matrix products in bfloat16; weights, membranes and the rest stay in float32. Each
    process of a ``team`` encodes all samples, so that all draw the same, and runs the model on its own samples.
    """
    encoded = encode(encoder, batch, settings, encoding)
    if team is not None:
        team.split(batch.x.shape[1])
        encoded = team.own(encoded)
    return run(model, encoded, settings, dropout)


def encode(encoder: Encoder, batch: Batch, settings: Settings, generator: torch.Generator) -> Tensor:
    """The train ``[T, B, *N]`` of the input; T is ``num_steps``, or the steps of the longest sample."""
    own = batch.lengths is not None or isinstance(settings.num_steps, str)
    steps = batch.x.shape[0] if own else cast(int, settings.num_steps)
    with _precision(batch.x, settings):
        return encoder(batch.x, steps, generator)


def run(
    model: nn.Module, encoded: Tensor, settings: Settings, dropout: torch.Generator | None = None
) -> dict[str, Trace]:
    """Every layer's trace for a train, the read-out last."""
    with _precision(encoded, settings):
        traces: dict[str, Trace] = model(encoded, dropout)
    return traces


def score(
    traces: dict[str, Trace],
    batch: Batch,
    loss_function: Loss,
    team: Team | None = None,
    predictions: Predictions | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The loss of a batch, regularisers included, and if there is a target its ``outcome``, to be summed.

    ``batch`` is the whole batch; the traces are of this process's own samples, and ``team`` has the others'.
    ``predictions`` collects the answers of the read-out.
    """
    team = Team() if team is None else team
    spikes, membrane, _ = list(traces.values())[-1]
    if team.size > 1:
        # In one message, since each takes time.
        spikes, membrane = team.whole(torch.stack((spikes, membrane)), 2)
    whole = Record(spikes, membrane, batch.target)
    if batch.lengths is None:
        records, loss = [whole], loss_function(*whole)
    else:
        records = [*whole.samples(batch.lengths, target_has_steps=loss_function.needs_steps)]
        loss = loss_function.of_records(records)
    if loss_function.regularises:  # else the other layers are not sent
        name = list(traces)[-1]
        trains = {key: spikes if key == name else team.whole(trace.spikes) for key, trace in traces.items()}
        penalty = loss_function.penalty
        loss = loss + (penalty(trains) if batch.lengths is None else penalty(trains, batch.lengths))
    outcomes = []
    for spikes, membrane, target in records:
        if target is None:
            return loss, None
        prediction = loss_function.predict(spikes.detach(), membrane.detach())
        if predictions is not None:
            predictions.add(prediction, target)
        outcomes.append(outcome(prediction, target))
    return loss, sum(outcomes[1:], outcomes[0])


def _without_samples(traces: dict[str, Trace]) -> dict[str, Trace]:
    return {name: Trace(trace.spikes[:, :0], trace.membrane[:, :0]) for name, trace in traces.items()}


def _precision(x: Tensor, settings: Settings) -> torch.autocast:
    return torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16")
