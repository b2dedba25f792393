"""The training loop. ``fit`` is read once, downwards; it yields records, prints nothing and writes no file."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from snnrun import nonfinite
from snnrun.encoder import Encoder
from snnrun.errors import NonFiniteError
from snnrun.loss import Loss, outcome
from snnrun.model import neurons
from snnrun.sequence import Trace
from snnrun.settings import Settings
from snnrun.streams import Streams
from snnrun.tally import Activity, Scores, Totals
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
) -> Iterator[Record]:
    """Train ``model`` and yield a record for every logged step, every warning and every epoch.

    While a record is out the weights are those it speaks of, so the caller may save them. ``best`` in an epoch's
    record says that its validation loss is the lowest so far.

    Raises:
        NonFiniteError: with ``on_nonfinite=stop``, at the first loss or gradient that is not finite, before it reaches
            the weights.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    begin, step = time.perf_counter(), 0
    best_loss, best_epoch = math.inf, 0
    silent = {name for name, neuron in neurons(model).items() if not neuron.spiking}
    lost: dict[str, int] | None = None  # parameters with neurons that training has already broken
    for epoch in range(1, settings.epochs + 1):
        model.train()
        totals, activity = Totals(), Activity(silent)
        epoch_begin = last_time = time.perf_counter()
        last_samples, away = 0, 0.0  # away: seconds that the caller spent on records
        for batch in data.train.batches(settings.batch_size, streams.order):
            step += 1
            traces = forward(model, encoder, batch.x, settings, streams.encoding, streams.dropout)
            loss, result = score(traces, batch, loss_function)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            due = step == 1 or step % settings.report.log_every == 0
            correct = [result] if due and result is not None and not result.dim() else []
            # Read together, since on CUDA reading waits for all that is under way. One wait is the price of the check.
            loss_value, norm_value, *correct = torch.stack((loss.detach().reshape(()), norm, *correct)).tolist()

            # A broken gradient silences neurons for good, and the loss may fall all the same: nobody would notice.
            broken = not (math.isfinite(loss_value) and math.isfinite(norm_value))
            if broken and settings.on_nonfinite == "stop":
                raise NonFiniteError(nonfinite.describe(model, step, loss_value))
            if settings.clip_grad_norm is not None:
                # A norm that is not finite would carry one neuron's fault to all the others.
                bound = nonfinite.finite_norm(parameters) if broken else norm
                torch.nn.utils.clip_grads_with_norm_(parameters, settings.clip_grad_norm, bound)
            optimizer.step()
            if broken and (now_lost := nonfinite.lost_neurons(model)) != lost:
                lost = now_lost
                message = nonfinite.describe(model, step, loss_value)
                yield {"kind": "warning", "epoch": epoch, "step": step, "message": message}

            totals.add(loss_value, result, batch.x.shape[1])
            activity.add(traces)
            if due:
                now = time.perf_counter()
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
                last_time, last_samples = time.perf_counter(), totals.samples
                away += last_time - now

        seconds = time.perf_counter() - epoch_begin - away
        train, validation = totals.scores(), evaluate(model, data.validation, encoder, loss_function, streams, settings)
        best = validation.loss < best_loss
        if best:
            best_loss, best_epoch = validation.loss, epoch
        yield {
            "kind": "epoch",
            "epoch": epoch,
            "step": step,
            "train_loss": train.loss,
            **_optional("train_accuracy", train.accuracy),
            **_optional("train_r2", train.r2),
            "validation_loss": validation.loss,
            **_optional("validation_accuracy", validation.accuracy),
            **_optional("validation_r2", validation.r2),
            "learning_rate": optimizer.param_groups[0]["lr"],
            "samples_per_second": totals.samples / seconds,
            "seconds": seconds,
            "best": best,
            "time": time.perf_counter() - begin,
            "layers": activity.summary(),
        }
        if settings.early_stopping is not None and epoch - best_epoch >= settings.early_stopping:
            return
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(validation.loss)
        else:
            scheduler.step()


@torch.no_grad()
def evaluate(
    model: nn.Module, part: Part, encoder: Encoder, loss_function: Loss, streams: Streams, settings: Settings
) -> Scores:
    """Loss and accuracy over one part; draws from a stream of its own, so that training goes on as if it had not."""
    model.eval()
    generator, totals = streams.evaluation(), Totals()
    with streams.ambient("evaluation"):
        for batch in part.batches(settings.batch_size):
            loss, result = score(forward(model, encoder, batch.x, settings, generator), batch, loss_function)
            totals.add(loss, result, batch.x.shape[1])
    return totals.scores()


def forward(
    model: nn.Module,
    encoder: Encoder,
    x: Tensor,
    settings: Settings,
    encoding: Generator,
    dropout: Generator | None = None,
) -> dict[str, Trace]:
    """Encode ``x`` ``[1 or T, B, *N]`` and run the model on it; every layer's trace, the read-out last.

    ``precision=bf16`` takes the matrix products in bfloat16; weights, membranes and the rest stay in float32.
    """
    with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        traces: dict[str, Trace] = model(encoder(x, settings.num_steps, encoding), dropout)
    return traces


def score(traces: dict[str, Trace], batch: Batch, loss_function: Loss) -> tuple[Tensor, Tensor | None]:
    """The loss of a batch, regularisers included, and where there is a target its ``outcome``, to be summed."""
    spikes, membrane = list(traces.values())[-1]
    loss = loss_function(spikes, membrane, batch.target)
    loss = loss + loss_function.penalty({name: trace.spikes for name, trace in traces.items()})
    if batch.target is None:
        return loss, None
    return loss, outcome(loss_function.predict(spikes.detach(), membrane.detach()), batch.target)


def _optional(key: str, value: Any) -> Record:
    return {} if value is None else {key: value}
