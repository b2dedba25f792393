"""The training loop. ``fit`` is read once, downwards; it yields records, prints nothing and writes no file."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from snnrun import nonfinite
from snnrun.confusion import Predictions
from snnrun.encoder import Encoder
from snnrun.errors import ConfigError, NonFiniteError
from snnrun.gradients import layer_gradients
from snnrun.loss import Loss, outcome
from snnrun.model import neurons
from snnrun.parallel import Team
from snnrun.parameters import neuron_parameters
from snnrun.progress import Progress
from snnrun.sequence import Trace
from snnrun.settings import Settings
from snnrun.streams import Streams
from snnrun.tally import Scores, Totals
from snnrun.task import Batch, Data, Part

Record = dict[str, Any]


def fit(
    model: nn.Module,
    data: Data,
    encoder: Encoder,
    loss_function: Loss,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    streams: Streams,
    settings: Settings,
    *,
    progress: Progress | None = None,
    boundary: Callable[[], None] = lambda: None,
    watch: Callable[[], None] = lambda: None,
    team: Team | None = None,
) -> Iterator[Record]:
    """Train ``model`` and yield a record for every logged step, every warning and every epoch.

    While a record is out the weights are those it speaks of, so the caller may save them. ``best`` in an epoch's
    record says that its validation loss is the lowest so far; without validation samples none is.

    Args:
        progress: where to go on; it is kept up to date, so that between two steps it says all there is to say.
        boundary: called between two steps, where nothing is half done. What it raises ends the training.
        watch: called between two batches of an evaluation; likewise.
        team: the processes that share out each batch. Each yields the same records, but for ``layers``, which rank 0
            alone has. Default: this one has it all.

    Raises:
        NonFiniteError: with ``on_nonfinite=stop``, at the first loss or gradient that is not finite, before it reaches
            the weights.
        ConfigError: where ``drop_last`` leaves no batch.
    """
    progress = Progress() if progress is None else progress
    team = Team() if team is None else team
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    begin = time.perf_counter() - progress.seconds
    progress.activity.skip = {name for name, neuron in neurons(model).items() if not neuron.spiking}
    while goes_on(progress, settings):
        model.train()
        epoch, totals, activity = progress.epoch, progress.totals, progress.activity
        epoch_begin = last_time = time.perf_counter()
        first_samples = last_samples = totals.samples
        away = 0.0  # seconds that the caller spent on records and boundaries
        progress.begin_epoch(streams, data.train)
        for batch in _batches(data.train, progress, streams, settings):
            progress.step += 1
            step = progress.step
            traces = forward(model, encoder, batch.x, settings, streams.encoding, streams.dropout, team)
            loss, result = score(traces, batch, loss_function, team)
            optimizer.zero_grad()
            loss.backward()
            team.add_gradients(parameters)
            norm = nonfinite.norm([p.grad for p in parameters if p.grad is not None])
            due = step == 1 or step % settings.report.log_every == 0
            correct = [result] if due and result is not None and not result.dim() else []
            # Read together, since on CUDA reading waits for all that is under way. One wait is the price of the check.
            loss_value, norm_value, *correct = torch.stack((loss.detach().reshape(()), norm, *correct)).tolist()

            # A broken gradient silences neurons for good, and the loss may fall all the same: nobody would notice.
            broken = not (math.isfinite(loss_value) and math.isfinite(norm_value))
            if broken and settings.on_nonfinite == "stop":
                raise NonFiniteError(nonfinite.describe(model, step, loss_value))
            if _ends_epoch(progress, data.train, settings):
                progress.gradients = layer_gradients(model)
            if settings.clip_grad_norm is not None:
                # A norm that is not finite would carry one neuron's fault to all the others.
                bound = nonfinite.finite_norm(parameters) if broken else norm
                torch.nn.utils.clip_grads_with_norm_(parameters, settings.clip_grad_norm, bound)
            optimizer.step()
            totals.add(loss_value, result, batch.x.shape[1])
            activity.add(traces if team.counted else _of_nobody(traces))
            progress.batch += 1
            if broken and (now_lost := nonfinite.lost_neurons(model)) != progress.lost:
                progress.lost = now_lost
                message = nonfinite.describe(model, step, loss_value)
                yield {"kind": "warning", "epoch": epoch, "step": step, "message": message, "lost": now_lost}
            now = time.perf_counter()
            if due:
                yield {
                    "kind": "step",
                    "epoch": epoch,
                    "step": step,
                    "loss": loss_value,
                    **_optional("accuracy", correct[0] / batch.x.shape[1] if correct else None),
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    "samples_per_second": (totals.samples - last_samples) / (now - last_time),
                    "gradient_norm": norm_value,
                    "time": now - begin,
                }
            progress.seconds = now - begin
            boundary()
            if due:
                last_time, last_samples = time.perf_counter(), totals.samples
            away += time.perf_counter() - now

        if not totals.samples:
            raise ConfigError(
                f"batch_size: expected at most {len(data.train)}, the number of training samples, since drop_last=true "
                f"leaves out a smaller batch, got {settings.batch_size}"
            )
        seconds = time.perf_counter() - epoch_begin - away
        samples = totals.samples - first_samples  # those of this process
        train = totals.scores()
        validation = Scores(math.nan, None)
        if len(data.validation):
            validation = evaluate(
                model, data.validation, encoder, loss_function, streams, settings, watch=watch, team=team
            )
        activity.pool(team)
        best = validation.loss < progress.best_loss
        if best:
            progress.best_loss, progress.best_epoch = validation.loss, epoch
        record = {
            "kind": "epoch",
            "epoch": epoch,
            "step": progress.step,
            "train_loss": train.loss,
            **_optional("train_accuracy", train.accuracy),
            **_optional("train_r2", train.r2),
            **_optional("validation_loss", validation.loss if len(data.validation) else None),
            **_optional("validation_accuracy", validation.accuracy),
            **_optional("validation_r2", validation.r2),
            "learning_rate": optimizer.param_groups[0]["lr"],
            "samples_per_second": samples / seconds,
            "seconds": seconds,
            "best": best,
            "time": time.perf_counter() - begin,
            "layers": activity.summary() if team.leads else {},
            **_optional("gradients", progress.gradients),
            **_optional("neuron_parameters", neuron_parameters(model) or None),
        }
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(validation.loss)
        else:
            scheduler.step()
        progress.end_epoch(streams, data.train)
        progress.seconds = time.perf_counter() - begin
        yield record


def goes_on(progress: Progress, settings: Settings) -> bool:
    """Whether there is another epoch, or one under way to be brought to its end."""
    most = settings.max_steps
    enough = most is not None and progress.step >= most and progress.batch == 0
    return progress.epoch <= settings.epochs and not out_of_patience(progress, settings) and not enough


def out_of_patience(progress: Progress, settings: Settings) -> bool:
    """Whether ``early_stopping`` ends training: the validation loss was lowest so many epochs ago."""
    patience = settings.early_stopping
    return patience is not None and progress.epoch - 1 - progress.best_epoch >= patience


def _batches(part: Part, progress: Progress, streams: Streams, settings: Settings) -> Iterator[Batch]:
    """What is left of the epoch under way."""
    left = None if settings.max_steps is None else progress.batch + settings.max_steps - progress.step

    def rest() -> Iterator[Batch]:
        return itertools.islice(part.batches(settings.batch_size, streams.order), progress.batch, left)

    # What a part draws without a generator must not depend on what the model drew in between: that is not drawn again.
    batches = streams.apart(rest, f"data {progress.epoch}")
    if not settings.drop_last:
        return batches
    return (batch for batch in batches if batch.x.shape[1] == settings.batch_size)


def _ends_epoch(progress: Progress, part: Part, settings: Settings) -> bool:
    """Whether the batch under way is the last one of its epoch."""
    whole, rest = divmod(len(part), settings.batch_size)
    batches = whole + (rest > 0 and not settings.drop_last)
    return progress.batch + 1 == batches or progress.step == settings.max_steps


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
    """Loss and accuracy over one part; draws from a stream of its own, so that training goes on as if it had not.

    ``watch`` is called between two batches; what it raises ends the evaluation. ``look`` gets every batch. With
    ``classes``, the names of all labels, the scores have a confusion matrix. A ``team`` shares out whole batches, so
    that its scores are, bit for bit, those of one process.
    """
    model.eval()
    team = Team() if team is None else team
    generator, totals, predictions = streams.evaluation(), Totals(), Predictions(classes)
    scored: list[tuple[Tensor, Tensor | None] | None] = []
    samples: list[int] = []
    with streams.ambient("evaluation"):
        for i, batch in enumerate(part.batches(settings.batch_size)):
            encoded = encode(encoder, batch.x, settings, generator)  # by all, since it draws
            mine = i % team.size == team.rank
            scored.append(
                score(run(model, encoded, settings), batch, loss_function, None, predictions) if mine else None
            )
            samples.append(batch.x.shape[1])
            look(batch)
            if (i + 1) % team.size == 0:
                watch()
    for (loss, result), size in zip(team.scored(scored), samples, strict=True):
        totals.add(loss, result, size)
    return totals.scores()._replace(confusion=predictions.confusion(team))


def forward(
    model: nn.Module,
    encoder: Encoder,
    x: Tensor,
    settings: Settings,
    encoding: Generator,
    dropout: Generator | None = None,
    team: Team | None = None,
) -> dict[str, Trace]:
    """Encode ``x`` ``[1 or T, B, *N]`` and run the model on it; every layer's trace, the read-out last.

    ``precision=bf16`` takes the matrix products in bfloat16; weights, membranes and the rest stay in float32. Each
    process of a ``team`` encodes all samples, whatever the encoder draws and looks at, and runs the model on its own.
    """
    encoded = encode(encoder, x, settings, encoding)
    if team is not None:
        team.split(x.shape[1])
        encoded = team.own(encoded)
    return run(model, encoded, settings, dropout)


def encode(encoder: Encoder, x: Tensor, settings: Settings, generator: Generator) -> Tensor:
    """The train ``[T, B, *N]`` of ``x``."""
    with _precision(x, settings):
        return encoder(x, settings.num_steps, generator)


def run(model: nn.Module, encoded: Tensor, settings: Settings, dropout: Generator | None = None) -> dict[str, Trace]:
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
    """The loss of a batch, regularisers included, and where there is a target its ``outcome``, to be summed.

    ``batch`` is the whole batch; the traces are of this process's own samples, and ``team`` has the others'.
    ``predictions`` collects what the read-out says.
    """
    team = Team() if team is None else team
    spikes, membrane, _ = list(traces.values())[-1]
    if team.size > 1:
        # In one message: each has its price.
        spikes, membrane = team.whole(torch.stack((spikes, membrane)), 2)
    loss = loss_function(spikes, membrane, batch.target)
    if loss_function.regularises:  # else the other layers need not be sent
        name = list(traces)[-1]
        trains = {key: spikes if key == name else team.whole(trace.spikes) for key, trace in traces.items()}
        loss = loss + loss_function.penalty(trains)
    if batch.target is None:
        return loss, None
    prediction = loss_function.predict(spikes.detach(), membrane.detach())
    if predictions is not None:
        predictions.add(prediction, batch.target)
    return loss, outcome(prediction, batch.target)


def _of_nobody(traces: dict[str, Trace]) -> dict[str, Trace]:
    return {name: Trace(trace.spikes[:, :0], trace.membrane[:, :0]) for name, trace in traces.items()}


def _precision(x: Tensor, settings: Settings) -> torch.autocast:
    return torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16")


def _optional(key: str, value: Any) -> Record:
    return {} if value is None else {key: value}
