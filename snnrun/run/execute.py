"""One training run, from the job to the trained network and its record."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch

from snnrun import report
from snnrun.config.settings import Settings
from snnrun.errors import ConfigError
from snnrun.job.job import Job
from snnrun.job.parts import Parts
from snnrun.model import multiply_adds
from snnrun.model.execution import product_of
from snnrun.run import checkpoint, new_folder
from snnrun.run.build import backends, build_model, build_state, count_parameters, load_data
from snnrun.run.evaluation import load_weights, result_of, show
from snnrun.run.initial_weights import Fit, start_from, weights_file
from snnrun.run.run_folder import RunFolder, recorded_threads
from snnrun.system.ranks import Ranks
from snnrun.system.team import Team, lead
from snnrun.task import Batch, Data, check_streams
from snnrun.training import graph
from snnrun.training.loop import encode, evaluate, fit, steps_of_epoch
from snnrun.training.metrics import Activity, Chance, SampleSearch, Scores
from snnrun.training.records import EpochRecord, LogRecord, RunResult
from snnrun.training.runtime import resolve_device, runtime, use_threads
from snnrun.training.state import TrainingState
from snnrun.training.stop import Interrupted, Stop, TimeUp, mask_signals
from snnrun.training.streams import Streams

Watch = Callable[[LogRecord], None]


def execute(job: Job, *, watch: Watch = lambda record: None) -> RunResult:
    """Train, test, and write the record in the folder of the job; returns the content of ``result.json``.

    Under a launcher such as torchrun this is for rank 0; the other processes ``follow``. ``watch`` is called with every
    record, after it is written and, at the end of an epoch, the state is saved. It may raise Pruned, which ends the run
    like an interruption.

    Raises:
        SnnrunError: for all that ends the run early; ``result.json`` has it too.
        Interrupted: a signal requested a stop.
        Pruned: ``watch`` raised it.
    """
    with mask_signals():  # from the first file on
        if job.marks is not None:
            new_folder.make(job.folder, job.marks)
        ranks = Ranks.of(os.environ)
        if ranks.size == 1:
            return _execute(job, Team(), watch)
        device = resolve_device(job.settings.device, ranks).type
        with lead(ranks, {"config": job.local}, device) as team:
            return _execute(job, team, watch)


def _execute(job: Job, team: Team, watch: Watch) -> RunResult:
    settings, parts, stop = job.settings, job.parts, Stop(job.settings.max_seconds)
    open_folder = RunFolder.reopen if job.resuming else RunFolder.create
    with (
        report.Console(progress=settings.report.progress) as console,
        stop.handle_signals(mask=True),  # else a signal could leave a folder without a result
        # Processes stop together, between two steps; and a launcher sends signals when one of them was lost.
        stop.defer() if team.size > 1 else nullcontext(),
        open_folder(job, console, stop) as folder,
        team.diagnose(),
        runtime(settings, team.ranks) as device,
    ):
        threads = recorded_threads(folder.path, team.size) if folder.resuming else None
        state, data = _build(parts, settings, device, team, threads)
        fit_of_weights = _initial_weights(state, settings, folder, console)
        _introduce(state, data, job, folder, console, device, team)
        with state.streams.global_stream("training"):
            folder.start(state, _manifest(job, state, data, device, team, fit_of_weights))
            _announce(state, data, settings, console)
            if team.size > 1:
                shared = folder.resuming or fit_of_weights is not None
                team.broadcast(checkpoint.pack(state.state_dict()) if shared else None)
            _train(state, data, parts, settings, stop, team, folder=folder, watch=watch)
        weights = checkpoint.weights_sha256(state.model.state_dict())
        last = _test_last(state, data, parts, settings, stop, team)
        test, best_epoch = _test_best(state, data, job, stop, team, folder, console, device)
        result = replace(
            result_of(test, last or test, folder.epochs),
            best_epoch=best_epoch,
            epochs=len(folder.epochs),
            samples_per_second=_speed(folder.epochs),
            seconds=folder.partial_result().seconds,
            parameters=count_parameters(state.model),
            weights_sha256=weights,
        )
        stop.mask()  # it has finished: a request to stop comes too late
        folder.result(result)
        best = "of the last epoch" if best_epoch is None else f"of epoch {best_epoch}, the lowest validation loss"
        console.line(f"test {_describe(test)} ({best})  {result.seconds:.1f} s  {folder.path}")
    return result


def _build(
    parts: Parts, settings: Settings, device: torch.device, team: Team, recorded: int | None = None
) -> tuple[TrainingState, Data]:
    """The state before the first step, and the data.

    ``recorded``: threads of the run that is resumed; only rank 0 has them.
    """
    graph.check_settings(settings, device, team.size)
    streams = Streams(settings.seed, device)
    # The first process of each machine goes before the others, since it may have to download the data.
    if team.ranks.local:
        team.reduce_max(0)
    data = load_data(parts, settings, streams, device)
    if not team.ranks.local:
        team.reduce_max(0)
    check_streams(data)
    if settings.report.figures and settings.report.sample >= len(data.test):
        raise ConfigError(
            f"report.sample: expected at most {len(data.test) - 1}, the last of the {len(data.test):,} samples of the "
            f"test set, got {settings.report.sample}"
        )
    model = build_model(parts, settings, streams, team).to(device)
    (threads,) = team.reduce_max(recorded or 0)
    use_threads(settings, multiply_adds(model), team.ranks, recorded=threads or None)
    return build_state(model, parts, settings, streams, data), data


def _initial_weights(
    state: TrainingState, settings: Settings, folder: RunFolder, console: report.Console
) -> Fit | None:
    """Load the weights of ``init_from`` at the start of a run; returns None without."""
    if folder.resume_state is not None or settings.init_from is None:
        return None
    fit_of_weights = start_from(state.model, weights_file(settings.init_from))
    console.line(f"{len(fit_of_weights.taken)} tensors have the weights of {settings.init_from}")
    for warning in fit_of_weights.warnings():
        console.warning(warning)
    return fit_of_weights


def _introduce(
    state: TrainingState,
    data: Data,
    job: Job,
    folder: RunFolder,
    console: report.Console,
    device: torch.device,
    team: Team,
) -> None:
    """The first line on the console, and ``summary.txt``."""
    settings, model = job.settings, state.model
    if device.type == "mps":
        console.warning(
            "device mps: neurons run as torch operations, sums are in float32, and snnrun was never tested there"
        )
    console.line(
        f"{type(model).__name__} with {count_parameters(model):,} parameters on {device}"
        f"{f', {team.size} processes' if team.size > 1 else ''}; "
        f"{len(data.train):,} training, {len(data.validation):,} validation, {len(data.test):,} test samples"
    )
    if settings.report.summary and (folder.resume_state is None or not (folder.path / "summary.txt").exists()):
        first = next(data.test.batches(1))
        folder.summary(model, encode(job.parts.encoder, first, settings, state.streams.evaluation()))


def _manifest(
    job: Job, state: TrainingState, data: Data, device: torch.device, team: Team, fit_of_weights: Fit | None
) -> dict[str, Any]:
    """The values of :func:`snnrun.report.manifest`."""
    return {
        "settings": asdict(job.settings),
        "command": job.command,
        "device": device,
        "backend": backends(state.model),
        "product": asdict(product_of(job.settings)) if device.type == "cpu" else None,
        "data_hashes": data.hashes,
        "data_place": data.place if device.type != "cpu" else None,
        "world_size": team.size,
        "world_backend": team.backend,
        "init_from": None if fit_of_weights is None else fit_of_weights.to_json(),
    }


def _announce(state: TrainingState, data: Data, settings: Settings, console: report.Console) -> None:
    """Start the display of progress."""
    console.start(settings.epochs, steps_of_epoch(data.train, settings), state.progress.step, settings.max_steps)


def _train(
    state: TrainingState,
    data: Data,
    parts: Parts,
    settings: Settings,
    stop: Stop,
    team: Team,
    *,
    folder: RunFolder | None = None,
    watch: Watch = lambda record: None,
) -> None:
    """The rest of the training. A stop saves its state. Only rank 0 has the folder.

    The clock stops a process only after a step or the end of an epoch, so that a run comes to its end even if it is
    resumed again and again for fewer seconds than it takes to begin.
    """
    progress = state.progress
    begin = progress.epoch, progress.step

    def boundary() -> None:
        save, request = team.reduce_max(int(folder is not None and folder.save_due(state)), stop.request())
        if save or request:
            progress.activity.pool(team)
        if save and folder is not None:
            folder.save(state)
        stop.raise_request(request)

    def between_batches() -> None:
        (request,) = team.reduce_max(stop.request(clock=(progress.epoch, progress.step) != begin))
        if request:
            progress.activity.pool(team)
        stop.raise_request(request)

    def check_same() -> None:
        if team.size > 1:
            team.check_same(checkpoint.weights_sha256(state.model.state_dict()))

    try:
        with stop.defer():
            check_same()
            for record in fit(
                state, data, parts.encoder, parts.loss, settings, boundary=boundary, watch=between_batches, team=team
            ):
                if folder is not None:
                    weights = state.evaluated_weights() if isinstance(record, EpochRecord) else None
                    folder.add(record, state.model, weights)
                if isinstance(record, EpochRecord):
                    check_same()
                    if folder is not None:
                        folder.save(state)
                watch(record)
            between_batches()
    except (Interrupted, TimeUp):
        if folder is not None and not stop.second_signal:
            folder.save(state)
        raise
    if state.average is not None:
        state.average.apply()


def _test_last(
    state: TrainingState, data: Data, parts: Parts, settings: Settings, stop: Stop, team: Team
) -> Scores | None:
    """The scores of the last epoch's weights; None if the test of the best epoch, or of the last one, has them."""
    progress = state.progress
    if progress.best_epoch in (0, progress.epoch - 1):
        return None
    return _test(state, data, parts, settings, stop, team)


def _test_best(
    state: TrainingState,
    data: Data,
    job: Job,
    stop: Stop,
    team: Team,
    folder: RunFolder,
    console: report.Console,
    device: torch.device,
) -> tuple[Scores, int | None]:
    """The scores of the best epoch's weights, and that epoch, if one is the best. Draws the figures."""
    settings, model = job.settings, state.model
    best_epoch = max((record.epoch for record in folder.epochs if record.best), default=None)
    if best_epoch is not None:
        load_weights(model, folder.best)
    team.broadcast(checkpoint.pack(model.state_dict()) if team.size > 1 else None)
    chance, search = Chance(), SampleSearch(settings.report.sample)

    def look(batch: Batch) -> None:
        chance.add(batch)
        search.add(batch)

    test = _test(state, data, job.parts, settings, stop, team, look=look)
    folder.compare_with_chance(model, accuracy=test.accuracy, r2=test.r2, share=chance.share(), samples=chance.samples)
    if settings.report.figures and search.sample is None:
        console.warning(
            f"report.sample: the test set ended after {search.count} samples and says it has {len(data.test)}; "
            "there are no figures"
        )
    elif settings.report.figures and search.sample is not None:
        encoded, traces, example = show(search.sample, settings.report.sample, model, job, state.streams, device)
        folder.figures(model, encoded, traces, settings.style, example, test.confusion)
    return test, best_epoch


def _test(
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
        if team.size > 1:  # one process does not wait for this
            (request,) = team.reduce_max(stop.request(clock=False))  # a trained network is tested
            stop.raise_request(request)

    return evaluate(
        state.model, data.test, parts.encoder, parts.loss, state.streams, settings,
        watch=watch, look=look, classes=parts.task.class_names(), team=team,
    )  # fmt: skip


def follow(job: Job, team: Team) -> None:
    """Run the share of a process of another rank than 0. It writes and prints nothing.

    Raises:
        SnnrunError: for all that ends the run early, here or in another process.
        Interrupted: a signal requested a stop of one of the processes.
    """
    settings, parts, stop = job.settings, job.parts, Stop(job.settings.max_seconds)
    with stop.handle_signals(), stop.defer(), team.diagnose(), runtime(settings, team.ranks) as device:
        state, data = _build(parts, settings, device, team)
        with state.streams.global_stream("training"):
            if (message := team.broadcast(None)) is not None:
                state.load_state_dict(checkpoint.unpack(message))
                state.progress.activity = Activity(state.progress.activity.skip)  # rank 0 has the counts
            _train(state, data, parts, settings, stop, team)
        _test_last(state, data, parts, settings, stop, team)
        if (message := team.broadcast(None)) is not None:
            state.model.load_state_dict(checkpoint.unpack(message))
        _test(state, data, parts, settings, stop, team)


def _speed(epochs: Sequence[EpochRecord]) -> float:
    """Samples per second of the median epoch, without the first, which compiles, and epochs resumed at their end."""
    later = [epoch.samples_per_second for epoch in epochs[1:] if epoch.samples_per_second]
    return statistics.median(later or [epoch.samples_per_second for epoch in epochs])


def _describe(test: Scores) -> str:
    words = f"loss {test.loss:.4g}" if test.accuracy is None else f"accuracy {100 * test.accuracy:.2f} %"
    return words + ("" if test.r2 is None else f"  R² {test.r2:.4f}")
