"""The story of one experiment: parts in, a trained network and its whole record out."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from snnrun import report
from snnrun.config import fingerprint
from snnrun.config.settings import Settings
from snnrun.errors import ArgumentError, ConfigError, DataError
from snnrun.job.job import Job
from snnrun.job.parts import Parts
from snnrun.loss import Loss, count_ties
from snnrun.model import Layer, multiply_adds, plan_of, set_plan
from snnrun.model.execution import product_of
from snnrun.run import checkpoint, new_folder
from snnrun.run.checkpointer import Keeper, latest
from snnrun.run.folder import RunRecord, recorded_threads, verdict
from snnrun.run.initial_weights import start_from, weights_file
from snnrun.sequence import Trace
from snnrun.system import cache, processes
from snnrun.system.jit import cache_is_empty
from snnrun.system.lock import RunLock
from snnrun.system.processes import Team
from snnrun.system.ranks import Ranks
from snnrun.task import Batch, Data, check_streams
from snnrun.tracker import Trackers
from snnrun.training.loop import evaluate, fit
from snnrun.training.metrics import Activity, Chance, SampleSearch, Scores
from snnrun.training.records import EpochRecord, LogRecord, RunResult, of_kind
from snnrun.training.runtime import resolve_device, runtime, use_threads
from snnrun.training.state import TrainingState
from snnrun.training.stop import Interrupted, Stop, TimeUp, waiting
from snnrun.training.streams import Streams


def execute(job: Job, *, watch: Callable[[LogRecord], None] = lambda record: None) -> RunResult:
    """Train, test, and leave the record in the folder of the job; returns what ``result.json`` says.

    Under a launcher such as torchrun this is for rank 0; the other processes ``follow``. ``watch`` is called with every
    record, once it is written and, after an epoch, the state is saved; it may raise Pruned, which ends the run as an
    interruption does.

    Raises:
        SnnrunError: whatever ends the run early; ``result.json`` says so too.
        Interrupted: a signal asked it to stop.
        Pruned: ``watch`` did.
    """
    with waiting():  # from the first file on
        if job.marks is not None:
            new_folder.make(job.folder, job.marks)
        return _execute(job, watch)


def _execute(job: Job, watch: Callable[[LogRecord], None]) -> RunResult:
    ranks = Ranks.of(os.environ)
    if ranks.size == 1:
        return _run(job, Team(), watch)
    device = resolve_device(job.settings.device, ranks).type
    with processes.lead(ranks, {"config": job.local}, device) as team:
        return _run(job, team, watch)


def _run(job: Job, team: Team, watch: Callable[[LogRecord], None]) -> RunResult:
    settings, parts, config, folder, resume = job.settings, job.parts, job.config, job.folder, job.resuming
    begin, stop = time.perf_counter(), Stop(settings.max_seconds)
    # Several leave together, between two steps; and a launcher sends signals when one of them was lost.
    patience = stop.patiently if team.size > 1 else nullcontext
    with (
        report.Console(progress=settings.report.progress) as console,
        stop.listening(deaf=True),  # else a signal could leave a folder that says nothing of how it ended
        RunLock(folder),
        patience(),
    ):
        saved = latest(folder / "checkpoints", config, console.warning) if resume else None
        if resume and saved is None and not fingerprint.check(folder, config):
            console.warning(
                "manifest.json does not say with which config the run was started; config.yaml is taken as it is"
            )
        trackers = Trackers(parts.trackers, console.warning)
        silent = not parts.task.has_accuracy
        record = RunRecord(folder, console, silence_is_the_target=silent, again=resume, trackers=trackers)

        def so_far() -> RunResult:
            done = len(of_kind(record.records, EpochRecord))
            return RunResult(epochs=done, seconds=time.perf_counter() - begin)

        with verdict(record, stop, so_far), team.diagnose(), runtime(settings, team.ranks) as device:
            if not resume:  # first, so that whatever ends the run, it can be resumed
                record.begin(config, job.command, job.source)
            threads = recorded_threads(folder, team.size) if resume else None
            state, data = _built(parts, settings, device, team, threads)
            model, streams = state.model, state.streams
            begins_from = None
            if saved is None and settings.init_from is not None:
                begins_from = start_from(model, weights_file(settings.init_from))
            facts = {
                "settings": asdict(settings),
                "command": job.command,
                "device": device,
                "backend": backends(model),
                "product": asdict(product_of(settings)) if device.type == "cpu" else None,
                "data_hashes": data.hashes,
                "world_size": team.size,
                "world_backend": team.backend,
                "init_from": None if begins_from is None else begins_from.to_json(),
            }
            if not resume:
                record.manifest(**facts)
            console.line(
                f"{type(model).__name__} with {count_parameters(model):,} parameters on {device}"
                f"{f', {team.size} processes' if team.size > 1 else ''}; "
                f"{len(data.train):,} training, {len(data.validation):,} validation, {len(data.test):,} test samples"
            )
            if begins_from is not None:
                console.line(f"{len(begins_from.taken)} tensors have the weights of {settings.init_from}")
                for warning in begins_from.warnings():
                    console.warning(warning)
            if settings.report.summary and (saved is None or not (folder / "summary.txt").exists()):
                first = next(data.test.batches(1)).x
                record.summary(model, parts.encoder(first, settings.num_steps, streams.evaluation()))

            kept = Keeper(record, settings.checkpoint, config, state, warn=console.warning)
            with streams.ambient("training"):
                if saved is not None:
                    kept.restore(saved)
                elif resume:  # it was killed before it could save anything
                    record.rewind(0)
                if resume:
                    record.resumed(**facts, config=config, step=state.progress.step)
                record.track(config)
                if device.type == "cpu" and (reason := cache.fault()) is not None:
                    console.warning(reason)
                if device.type == "cpu" and cache_is_empty():
                    console.line("the first step compiles some kernels, which takes a few seconds, once")
                whole, rest = divmod(len(data.train), settings.batch_size)
                steps = whole + (rest > 0 and not settings.drop_last)
                console.start(settings.epochs, steps, state.progress.step, settings.max_steps)
                if team.size > 1:
                    team.broadcast(checkpoint.pack(state.state_dict()) if resume or begins_from is not None else None)
                _train(state, data, parts, settings, stop, team, record=record, kept=kept, watch=watch)
            weights = checkpoint.weights_sha256(model.state_dict())

            epochs = of_kind(record.records, EpochRecord)
            best_epoch = max((epoch.epoch for epoch in epochs if epoch.best), default=None)
            if best_epoch is not None:
                _load(model, record.best)
            team.broadcast(checkpoint.pack(model.state_dict()) if team.size > 1 else None)
            chance, chosen = Chance(), SampleSearch(settings.report.sample)

            def look(batch: Batch) -> None:
                chance.add(batch)
                chosen.add(batch)

            test = _tested(state, data, parts, settings, stop, team, look=look)
            record.compare_with_chance(accuracy=test.accuracy, r2=test.r2, share=chance.share(), n=chance.samples)
            if settings.report.figures and chosen.found is None:
                console.warning(
                    f"report.sample: the test part ended after {chosen.seen} samples and says it has {len(data.test)}; "
                    "there are no figures"
                )
            elif settings.report.figures and chosen.found is not None:
                encoded, traces, example = _shown(chosen.found, settings.report.sample, model, job, streams, device)
                record.figures(model, encoded, traces, settings.style, example, test.confusion)
            seconds = time.perf_counter() - begin
            result = replace(
                tested(test),
                best_epoch=best_epoch,
                epochs=len(epochs),
                samples_per_second=_speed(epochs),
                seconds=seconds,
                parameters=count_parameters(model),
                weights_sha256=weights,
            )
            stop.deafen()  # it has finished, whoever wants it to stop now
            record.result(result)
            best = "of the last epoch" if best_epoch is None else f"of epoch {best_epoch}, the lowest validation loss"
            console.line(f"test {words_of(test)} ({best})  {seconds:.1f} s  {folder}")
    return result


def _speed(epochs: Sequence[EpochRecord]) -> float:
    """Samples per second of the median epoch: the first compiles, and one resumed at its end has trained nothing."""
    later = [epoch.samples_per_second for epoch in epochs[1:] if epoch.samples_per_second]
    return statistics.median(later or [epoch.samples_per_second for epoch in epochs])


def _train(
    state: TrainingState,
    data: Data,
    parts: Parts,
    settings: Settings,
    stop: Stop,
    team: Team,
    *,
    record: RunRecord | None = None,
    kept: Keeper | None = None,
    watch: Callable[[LogRecord], None] = lambda record: None,
) -> None:
    """All that is left of the training; whatever wants it to stop finds its state saved. Rank 0 keeps the record.

    The clock stops no process before it has made a step or ended an epoch: a run that is resumed again and again, each
    time for fewer seconds than it takes to begin, comes to its end all the same.
    """
    progress = state.progress
    begin = progress.epoch, progress.step

    def boundary() -> None:
        save, wanted = team.reduce_max(int(kept is not None and kept.due()), stop.wanted())
        if save or wanted:
            progress.activity.pool(team)
        if save and kept is not None:
            kept.save()
        stop.obey(wanted)

    def between_batches() -> None:
        (wanted,) = team.reduce_max(stop.wanted(clock=(progress.epoch, progress.step) != begin))
        if wanted:
            progress.activity.pool(team)
        stop.obey(wanted)

    try:
        with stop.patiently():
            if team.size > 1:
                team.check_same(checkpoint.weights_sha256(state.model.state_dict()))
            for entry in fit(
                state,
                data,
                parts.encoder,
                parts.loss,
                settings,
                boundary=boundary,
                watch=between_batches,
                team=team,
            ):
                if record is not None:
                    record.add(entry, state.model)
                if isinstance(entry, EpochRecord):
                    if team.size > 1:
                        team.check_same(checkpoint.weights_sha256(state.model.state_dict()))
                    if kept is not None:
                        kept.save()
                watch(entry)
            between_batches()
    except (Interrupted, TimeUp):
        if kept is not None and not stop.twice:
            kept.save()
        raise


def follow(job: Job, team: Team) -> None:
    """What a process that is not rank 0 does of a run: its share of the work. It writes and says nothing.

    Raises:
        SnnrunError: whatever ends the run early, here or in another process.
        Interrupted: a signal asked one of the processes to stop.
    """
    settings, parts, stop = job.settings, job.parts, Stop(job.settings.max_seconds)
    with stop.listening(), stop.patiently(), team.diagnose(), runtime(settings, team.ranks) as device:
        state, data = _built(parts, settings, device, team)
        with state.streams.ambient("training"):
            if (message := team.broadcast(None)) is not None:
                state.load_state_dict(checkpoint.unpack(message))
                state.progress.activity = Activity(state.progress.activity.skip)  # rank 0 has the counts
            _train(state, data, parts, settings, stop, team)
        if (message := team.broadcast(None)) is not None:
            state.model.load_state_dict(checkpoint.unpack(message))
        _tested(state, data, parts, settings, stop, team)


def _built(
    parts: Parts, settings: Settings, device: torch.device, team: Team, recorded_threads: int | None = None
) -> tuple[TrainingState, Data]:
    """The state before the first step, and the data.

    ``recorded_threads``: of the run that goes on, as rank 0 knows it.
    """
    streams = Streams(settings.seed, device)
    # The first of each machine goes before the others, should there be something to download.
    if team.ranks.local:
        team.reduce_max(0)
    data = _load_data(parts, settings, device, streams)
    if not team.ranks.local:
        team.reduce_max(0)
    check_streams(data)
    if settings.report.figures and settings.report.sample >= len(data.test):
        raise ConfigError(
            f"report.sample: expected at most {len(data.test) - 1}, the last of the {len(data.test):,} samples of the "
            f"test part, got {settings.report.sample}"
        )
    model = build_model(parts, settings, streams, team).to(device)
    (recorded,) = team.reduce_max(recorded_threads or 0)
    use_threads(settings, multiply_adds(model), team.ranks, recorded=recorded or None)
    return TrainingState.create(model, streams, optimizer=parts.optimizer, scheduler=parts.scheduler), data


def _tested(
    state: TrainingState,
    data: Data,
    parts: Parts,
    settings: Settings,
    stop: Stop,
    team: Team,
    *,
    look: Callable[[Batch], None] = lambda batch: None,
) -> Scores:
    def watch() -> None:
        if team.size > 1:  # one process does not wait for this to be asked
            (wanted,) = team.reduce_max(stop.wanted(clock=False))  # what is trained is tested
            stop.obey(wanted)

    return evaluate(
        state.model, data.test, parts.encoder, parts.loss, state.streams, settings,
        watch=watch, look=look, classes=parts.task.class_names(), team=team,
    )  # fmt: skip


def evaluate_run(job: Job, weights: Path | None = None) -> RunResult:
    """What the test part says of the weights of the job's run, as ``result.json`` has it; writes nothing.

    ``weights``: a file of weights to test. Default: those that the run tested.

    Raises:
        DataError: if the weights are missing or damaged, or those of another model.
    """
    settings, parts = job.settings, job.parts
    with runtime(settings) as device:
        streams, data, model = _reopened(job, device, weights)
        names = parts.task.class_names()
        test = evaluate(model, data.test, parts.encoder, parts.loss, streams, settings, classes=names)
        return tested(test)


def sample_traces(job: Job, index: int) -> tuple[Tensor, dict[str, Trace], report.Example]:
    """The input, the traces and the facts of one sample of the test part, by the weights that the run tested.

    Raises:
        DataError: if weights or data cannot be read, or there is no such sample.
    """
    with runtime(job.settings) as device:
        streams, data, model = _reopened(job, device)
        if not 0 <= index < len(data.test):
            raise ArgumentError("index", f"0 to {len(data.test) - 1}, a sample of the test part", index)
        search = SampleSearch(index)
        for batch in data.test.batches(job.settings.batch_size):
            search.add(batch)
            if search.found is not None:
                return _shown(search.found, index, model, job, streams, device)
    raise DataError(f"task: the test part ended after {search.seen} samples and says it has {len(data.test)}")


def load_model(job: Job, weights: str = "best") -> nn.Module:
    """The model of the job's run with its ``best`` or ``last`` weights, on the CPU, in ``eval`` mode.

    Raises:
        DataError: if the weights are missing or damaged.
    """
    model = build_model(job.parts, job.settings, Streams(job.settings.seed, torch.device("cpu")))
    _load(
        model,
        checkpoint.tested_weights(job.folder) if weights == "best" else job.folder / "checkpoints" / "last.safetensors",
    )
    return model.eval()


def load_data(job: Job, device: torch.device) -> Data:
    """The data of the job, as a run of it has them before its first step."""
    return _load_data(job.parts, job.settings, device, Streams(job.settings.seed, device))


def _load_data(parts: Parts, settings: Settings, device: torch.device, streams: Streams) -> Data:
    return parts.task.load(Path(settings.data_dir).expanduser(), settings.num_steps, device, streams.data)


def _reopened(job: Job, device: torch.device, weights: Path | None = None) -> tuple[Streams, Data, nn.Module]:
    """The streams, the data and the model of the job's run, within its runtime."""
    settings, streams = job.settings, Streams(job.settings.seed, device)
    data = _load_data(job.parts, settings, device, streams)
    model = build_model(job.parts, settings, streams).to(device)
    use_threads(settings, multiply_adds(model))
    best = job.folder / "checkpoints" / "best.safetensors"
    # Without a validation part no epoch is the best, and the last one's weights were tested.
    _load(model, weights or (best if len(data.validation) else best.with_name("last.safetensors")))
    return streams, data, model


def _shown(
    sample: Batch, index: int, model: nn.Module, job: Job, streams: Streams, device: torch.device
) -> tuple[Tensor, dict[str, Trace], report.Example]:
    """What figures show of one sample, ``sample`` being a batch of it alone."""
    settings, parts = job.settings, job.parts
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
    with torch.no_grad(), streams.ambient("evaluation"), bf16:
        encoded = parts.encoder(sample.x, settings.num_steps, streams.evaluation())
        traces = model.eval()(encoded)
    return encoded, traces, example_of(sample, index, traces, parts)


def _load(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(checkpoint.load(path, like=model.state_dict()))
    except RuntimeError as error:
        raise DataError(f"{path}: expected the weights of this config's model: {error}") from error


def tested(test: Scores) -> RunResult:
    """The fields of a result that the test part gives."""
    confusion = test.confusion
    return RunResult(
        status="finished",
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_r2=test.r2,
        test_accuracy_by_class=None if confusion is None else confusion.accuracy_by_class(),
        test_confusion=None if confusion is None else confusion.counts,
    )


def example_of(batch: Batch, index: int, traces: Mapping[str, Trace], parts: Parts) -> report.Example:
    """What figures say of one test sample: ``batch`` of it alone, and the ``traces`` that the model made of it."""
    names = parts.task.class_names()
    image = batch.x[0, 0].cpu().numpy() if batch.x.shape[0] == 1 and batch.x.dim() == 5 else None
    label = prediction = None
    sharing = 1
    if names and batch.target is not None and batch.target.dim() == 1:
        spikes, membrane, _ = list(traces.values())[-1]
        label = int(batch.target[0])
        prediction = int(parts.loss.predict(spikes.detach(), membrane.detach())[0])
        if type(parts.loss).predict is Loss.predict:  # else its scores may not be what it answers by
            sharing = int(count_ties(parts.loss.scores(spikes.detach(), membrane.detach()))[0])
    return report.Example(index, names, label, prediction, image, sharing)


def words_of(test: Scores) -> str:
    """The same, for people."""
    words = f"loss {test.loss:.4g}" if test.accuracy is None else f"accuracy {100 * test.accuracy:.2f} %"
    return words + ("" if test.r2 is None else f"  R² {test.r2:.4f}")


def build_model(parts: Parts, settings: Settings, streams: Streams, team: Team | None = None) -> nn.Module:
    """The model with its initial weights and its execution plan, on the CPU.

    Raises:
        ValueError: if its arguments do not fit together.
        ConfigError: for a matrix product that this machine lacks.
    """
    with streams.initialisation():
        model = parts.model(
            input_shape=parts.encoder.output_shape(parts.task.input_shape),
            num_outputs=parts.loss.num_outputs(parts.task.num_outputs),
            neuron=parts.neuron,
            readout=parts.readout,
            backend=settings.backend,
        )
    set_plan(model, plan_of(settings, spikes=parts.loss.regularises, team=team))
    return model


def backends(model: nn.Module) -> str:
    """How the neurons of the model are run: ``fused``, ``reference``, or both."""
    used = {layer.backend for layer in model.modules() if isinstance(layer, Layer)}
    return " and ".join(sorted(used)) or "the model's own"


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
