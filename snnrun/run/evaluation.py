"""The trained network of a recorded run: loads its weights, tests them again, and traces one sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from snnrun import report
from snnrun.errors import ArgumentError, DataError
from snnrun.job.job import Job
from snnrun.job.parts import Parts
from snnrun.loss import Loss, count_ties
from snnrun.model import multiply_adds
from snnrun.run import build, checkpoint
from snnrun.sequence import Trace
from snnrun.task import Batch, Data
from snnrun.training.loop import encode, evaluate
from snnrun.training.metrics import SampleSearch, Scores
from snnrun.training.records import EpochRecord, RunResult
from snnrun.training.runtime import runtime, use_threads
from snnrun.training.streams import Streams


def evaluate_run(job: Job, weights: Path | None = None) -> RunResult:
    """The result of the job's run on the test set, as ``result.json`` has it; writes nothing.

    ``weights``: a file of weights to test. Default: the weights that the run tested.

    Raises:
        DataError: if the weights are missing, damaged, or of another model.
    """
    settings, parts = job.settings, job.parts
    with runtime(settings) as device:
        streams, data, model = _reopen(job, device, weights)
        names = parts.task.class_names()
        return result_of(evaluate(model, data.test, parts.encoder, parts.loss, streams, settings, classes=names))


def sample_traces(job: Job, index: int) -> tuple[Tensor, dict[str, Trace], report.Example]:
    """The input, the traces and the description of one test sample, by the weights that the run tested.

    Raises:
        DataError: if weights or data cannot be read, or there is no such sample.
    """
    with runtime(job.settings) as device:
        streams, data, model = _reopen(job, device)
        if not 0 <= index < len(data.test):
            raise ArgumentError("index", f"0 to {len(data.test) - 1}, a sample of the test set", index)
        search = SampleSearch(index)
        for batch in data.test.batches(job.settings.batch_size):
            search.add(batch)
            if search.sample is not None:
                return show(search.sample, index, model, job, streams, device)
    raise DataError(f"task: the test set ended after {search.count} samples and says it has {len(data.test)}")


def load_model(job: Job, weights: str = "best") -> nn.Module:
    """The model of the job's run with its ``best`` or ``last`` weights, on the CPU, in ``eval`` mode.

    Raises:
        DataError: if the weights are missing or damaged.
    """
    model = build.build_model(job.parts, job.settings, Streams(job.settings.seed, torch.device("cpu")))
    last = job.folder / "checkpoints" / "last.safetensors"
    load_weights(model, checkpoint.tested_weights(job.folder) if weights == "best" else last)
    return model.eval()


def load_data(job: Job, device: torch.device) -> Data:
    """The data of the job, as before its first step."""
    return build.load_data(job.parts, job.settings, Streams(job.settings.seed, device), device)


def _reopen(job: Job, device: torch.device, weights: Path | None = None) -> tuple[Streams, Data, nn.Module]:
    """The streams, the data and the model of the job's run, within its runtime."""
    settings, streams = job.settings, Streams(job.settings.seed, device)
    data = build.load_data(job.parts, settings, streams, device)
    model = build.build_model(job.parts, settings, streams).to(device)
    use_threads(settings, multiply_adds(model))
    best = job.folder / "checkpoints" / "best.safetensors"
    # Without a validation set no epoch is the best, and the last epoch's weights were tested.
    load_weights(model, weights or (best if len(data.validation) else best.with_name("last.safetensors")))
    return streams, data, model


def load_weights(model: nn.Module, path: Path) -> None:
    """Give the model the weights in ``path``.

    Raises:
        DataError: if they are missing, damaged, or of another model.
    """
    try:
        model.load_state_dict(checkpoint.load(path, like=model.state_dict()))
    except RuntimeError as error:
        raise DataError(f"{path}: expected the weights of this config's model: {error}") from error


def result_of(scores: Scores, last: Scores | None = None, epochs: Sequence[EpochRecord] = ()) -> RunResult:
    """The result with the fields of the test set.

    Args:
        scores: with the weights that are kept.
        last: with the weights of the last epoch, if they were tested.
        epochs: of training; if each has a test, the result names the best.
    """
    confusion = scores.confusion
    best = max(epochs, key=_measure, default=None)
    best = None if best is None or best.test_loss is None else best
    return RunResult(
        status="finished",
        test_accuracy=scores.accuracy,
        test_loss=scores.loss,
        test_r2=scores.r2,
        last_test_accuracy=None if last is None else last.accuracy,
        last_test_loss=None if last is None else last.loss,
        last_test_r2=None if last is None else last.r2,
        best_test_accuracy=None if best is None else best.test_accuracy,
        best_test_r2=None if best is None else best.test_r2,
        best_test_epoch=None if best is None else best.epoch,
        test_accuracy_by_class=None if confusion is None else confusion.accuracy_by_class(),
        test_confusion=None if confusion is None else confusion.counts,
    )


def _measure(record: EpochRecord) -> float:
    """The larger, the better the test of an epoch."""
    measures = (record.test_accuracy, record.test_r2, None if record.test_loss is None else -record.test_loss)
    return next((each for each in measures if each is not None and not math.isnan(each)), -math.inf)


def show(
    sample: Batch, index: int, model: nn.Module, job: Job, streams: Streams, device: torch.device
) -> tuple[Tensor, dict[str, Trace], report.Example]:
    """The input, the traces and the description of one sample; ``sample`` is a batch of it alone."""
    settings, parts = job.settings, job.parts
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
    with torch.no_grad(), streams.global_stream("evaluation"), bf16:
        encoded = encode(parts.encoder, sample, settings, streams.evaluation())
        traces = model.eval()(encoded)
    return encoded, traces, example_of(sample, index, traces, parts)


def example_of(sample: Batch, index: int, traces: Mapping[str, Trace], parts: Parts) -> report.Example:
    """The description of one test sample for figures: ``sample`` is a batch of it alone, ``traces`` the model's."""
    names = parts.task.class_names()
    image = sample.x[0, 0].cpu().numpy() if sample.x.shape[0] == 1 and sample.x.dim() == 5 else None
    label = prediction = None
    ties, steps = 1, None
    if names and sample.target is not None and sample.target.dim() == 1:
        spikes, membrane, _ = list(traces.values())[-1]
        label = int(sample.target[0])
        prediction = int(parts.loss.predict(spikes.detach(), membrane.detach())[0])
        if type(parts.loss).predict is Loss.predict:  # else its answer may not follow its scores
            ties = int(count_ties(parts.loss.scores(spikes.detach(), membrane.detach()))[0])
    elif names and parts.task.has_steps and sample.target is not None:
        spikes, membrane, _ = list(traces.values())[-1]
        predicted = parts.loss.predict(spikes.detach(), membrane.detach())
        steps = report.StepLabels(sample.target[0].cpu().numpy(), predicted[0].cpu().numpy())
    return report.Example(index, names, label, prediction, image, ties, steps)
