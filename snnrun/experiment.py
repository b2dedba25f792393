"""The story of one experiment: parts in, a trained network and its whole record out."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from snnrun import checkpoint, report
from snnrun.encoder import Encoder
from snnrun.lock import RunLock
from snnrun.loss import Loss
from snnrun.model import Layer
from snnrun.neuron import Neuron
from snnrun.record import RunRecord
from snnrun.runtime import runtime
from snnrun.settings import Settings
from snnrun.streams import Streams
from snnrun.task import Task
from snnrun.trainer import evaluate, fit

Result = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """What a config composes: finished parts, and makers for those that need another part first."""

    task: Task
    encoder: Encoder
    neuron: Callable[..., Neuron]  # shape= -> the neurons of one layer
    model: Callable[..., nn.Module]  # input_shape=, num_outputs=, neuron=, readout=, backend= -> the model
    loss: Loss
    optimizer: Callable[..., Optimizer]  # parameters -> optimizer
    scheduler: Callable[..., LRScheduler]  # optimizer -> scheduler
    readout: Callable[..., Neuron] | None = None  # as neuron, for the output layer; None: neuron makes that too


def run(*, settings: Settings, parts: Parts, config: Mapping[str, Any], folder: Path, command: Sequence[str]) -> Result:
    """Train, test, and leave the record in ``folder``; returns what ``result.json`` says.

    Raises:
        SnnrunError: whatever ends the run early; ``result.json`` says so too.
    """
    begin = time.perf_counter()
    with report.Console(progress=settings.report.progress) as console, RunLock(folder):
        record = RunRecord(folder, console, silence_is_the_target=not parts.task.has_accuracy)
        with _verdict(record, begin), runtime(settings) as device:
            record.config(config)
            streams = Streams(settings.seed, device)
            data = parts.task.load(Path(settings.data_dir).expanduser(), settings.num_steps, device, streams.data)
            model = build_model(parts, settings, streams).to(device)
            optimizer = parts.optimizer(model.parameters())
            scheduler = parts.scheduler(optimizer)
            record.manifest(
                settings=asdict(settings),
                command=command,
                device=device,
                backend=backends(model),
                data_hashes=data.hashes,
            )
            console.line(
                f"{type(model).__name__} with {count_parameters(model):,} parameters on {device}; "
                f"{len(data.train):,} training, {len(data.validation):,} validation, {len(data.test):,} test samples"
            )
            example = next(data.test.batches(1)).x
            if settings.report.summary:
                record.summary(model, parts.encoder(example, settings.num_steps, streams.evaluation()))

            console.start(settings.epochs, math.ceil(len(data.train) / settings.batch_size))
            with streams.ambient("training"):
                for entry in fit(model, data, parts.encoder, parts.loss, optimizer, scheduler, streams, settings):
                    record.add(entry, model)
            weights = checkpoint.weights_sha256(model.state_dict())

            epochs = [entry for entry in record.records if entry["kind"] == "epoch"]
            best_epochs = [epoch["epoch"] for epoch in epochs if epoch["best"]]
            if best_epochs:
                model.load_state_dict(checkpoint.load(record.best))
            test = evaluate(model, data.test, parts.encoder, parts.loss, streams, settings)
            if settings.report.figures:
                bf16 = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
                with torch.no_grad(), streams.ambient("evaluation"), bf16:
                    encoded = parts.encoder(example, settings.num_steps, streams.evaluation())
                    traces = model.eval()(encoded)
                record.figures(model, encoded, traces)
            result: Result = {
                "status": "finished",
                "test_accuracy": test.accuracy,
                "test_loss": test.loss,
                **({} if test.r2 is None else {"test_r2": test.r2}),
                "best_epoch": best_epochs[-1] if best_epochs else None,
                "epochs": len(epochs),
                # The first epoch compiles and warms up.
                "samples_per_second": statistics.median(e["samples_per_second"] for e in epochs[1:] or epochs),
                "seconds": time.perf_counter() - begin,
                "parameters": count_parameters(model),
                "weights_sha256": weights,
            }
            record.result(result)
            score = f"loss {test.loss:.4g}" if test.accuracy is None else f"accuracy {100 * test.accuracy:.2f} %"
            score += "" if test.r2 is None else f"  R² {test.r2:.4f}"
            best = (
                f"of epoch {result['best_epoch']}, the lowest validation loss" if best_epochs else "of the last epoch"
            )
            console.line(f"test {score} ({best})  {result['seconds']:.1f} s  {folder}")
    return result


def build_model(parts: Parts, settings: Settings, streams: Streams) -> nn.Module:
    """The model with its initial weights, on the CPU.

    Raises:
        ValueError: if its arguments do not fit together.
    """
    with streams.initialisation():
        return parts.model(
            input_shape=parts.encoder.output_shape(parts.task.input_shape),
            num_outputs=parts.loss.num_outputs(parts.task.num_outputs),
            neuron=parts.neuron,
            readout=parts.readout,
            backend=settings.backend,
        )


def backends(model: nn.Module) -> str:
    """How the neurons of the model are run: ``fused``, ``reference``, or both."""
    used = {layer.backend for layer in model.modules() if isinstance(layer, Layer)}
    return " and ".join(sorted(used)) or "the model's own"


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@contextmanager
def _verdict(record: RunRecord, begin: float) -> Iterator[None]:
    """A run that ends early says so in ``result.json`` and in its log."""
    try:
        yield
    except BaseException as error:
        record.ended_early(
            error,
            test_accuracy=None,
            test_loss=None,
            epochs=sum(entry["kind"] == "epoch" for entry in record.records),
            seconds=time.perf_counter() - begin,
        )
        raise
