"""The story of one experiment: parts in, a trained network and its whole record out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snnrun import report
from snnrun.config import fingerprint
from snnrun.config.settings import Settings
from snnrun.errors import ConfigError, DataError
from snnrun.job.parts import Parts
from snnrun.loss import Loss, tied
from snnrun.model import Layer, multiply_adds, plan_of, set_plan
from snnrun.model.execution import product_of
from snnrun.run import checkpoint, classes
from snnrun.run.checkpointer import Keeper, latest
from snnrun.run.folder import RunRecord, recorded_threads, verdict
from snnrun.sequence import Trace
from snnrun.system import cache
from snnrun.system.jit import nothing_kept
from snnrun.system.lock import RunLock
from snnrun.system.processes import Team
from snnrun.task import Batch, Data, check_streams
from snnrun.tracker import Trackers
from snnrun.training.chance import Chance
from snnrun.training.loop import Record, evaluate, fit
from snnrun.training.metrics import Activity, Scores
from snnrun.training.runtime import runtime, use_threads
from snnrun.training.sample import SampleSearch
from snnrun.training.state import TrainingState
from snnrun.training.stop import Interrupted, Stop, TimeUp
from snnrun.training.streams import Streams

Result = dict[str, Any]


def run(
    *,
    settings: Settings,
    parts: Parts,
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
    resume: bool = False,
    team: Team | None = None,
    watch: Callable[[Record], None] = lambda record: None,
    source: Mapping[str, str] | None = None,
) -> Result:
    """Train, test, and leave the record in ``folder``; returns what ``result.json`` says.

    With ``resume`` the folder holds the record of a run that did not finish, which goes on from its last state, or from
    the beginning where it was killed before it saved one. Where several processes train together (``team``), this is
    for rank 0; the others ``follow``. ``watch`` is called with every record, once it is written and, after an epoch,
    the state is saved; it may raise Pruned, which ends the run as an interruption does.
    ``source``: ``name`` and ``sha256`` of the file that the config is from, for the manifest.

    Raises:
        SnnrunError: whatever ends the run early; ``result.json`` says so too.
        Interrupted: a signal asked it to stop.
        Pruned: ``watch`` did.
    """
    begin, stop = time.perf_counter(), Stop(settings.max_seconds)
    team = Team() if team is None else team
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

        def so_far() -> Result:
            seconds = time.perf_counter() - begin
            done = len(_epochs(record.records))
            return {"test_accuracy": None, "test_loss": None, "epochs": done, "seconds": seconds}

        with verdict(record, stop, so_far), team.diagnosed(), runtime(settings, team.ranks) as device:
            if not resume:  # first, so that whatever ends the run, it can be resumed
                record.begin(config, command, source)
            threads = recorded_threads(folder, team.size) if resume else None
            state, data = _built(parts, settings, device, team, threads)
            model, streams = state.model, state.streams
            facts = {
                "settings": asdict(settings),
                "command": command,
                "device": device,
                "backend": backends(model),
                "product": asdict(product_of(settings)) if device.type == "cpu" else None,
                "data_hashes": data.hashes,
                "world_size": team.size,
                "world_backend": team.backend,
            }
            if not resume:
                record.manifest(**facts)
            console.line(
                f"{type(model).__name__} with {count_parameters(model):,} parameters on {device}"
                f"{f', {team.size} processes' if team.size > 1 else ''}; "
                f"{len(data.train):,} training, {len(data.validation):,} validation, {len(data.test):,} test samples"
            )
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
                if device.type == "cpu" and nothing_kept():
                    console.line("the first step compiles some kernels, which takes a few seconds, once")
                whole, rest = divmod(len(data.train), settings.batch_size)
                steps = whole + (rest > 0 and not settings.drop_last)
                console.start(settings.epochs, steps, state.progress.step, settings.max_steps)
                if team.size > 1:
                    team.told(checkpoint.pack(state.state_dict()) if resume else None)
                _train(state, data, parts, settings, stop, team, record=record, kept=kept, watch=watch)
            weights = checkpoint.weights_sha256(model.state_dict())

            epochs = _epochs(record.records)
            best_epoch = max((epoch["epoch"] for epoch in epochs if epoch["best"]), default=None)
            if best_epoch is not None:
                _load(model, record.best)
            team.told(checkpoint.pack(model.state_dict()) if team.size > 1 else None)
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
                bf16 = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
                with torch.no_grad(), streams.ambient("evaluation"), bf16:
                    encoded = parts.encoder(chosen.found.x, settings.num_steps, streams.evaluation())
                    traces = model.eval()(encoded)
                example = example_of(chosen.found, settings.report.sample, traces, parts)
                record.figures(model, encoded, traces, settings.style, example, test.confusion)
            result: Result = {
                "status": "finished",
                **figures_of(test),
                "best_epoch": best_epoch,
                "epochs": len(epochs),
                "samples_per_second": _speed(epochs),
                "seconds": time.perf_counter() - begin,
                "parameters": count_parameters(model),
                "weights_sha256": weights,
                **classes_of(test),
            }
            stop.deafen()  # it has finished, whoever wants it to stop now
            record.result(result)
            best = "of the last epoch" if best_epoch is None else f"of epoch {best_epoch}, the lowest validation loss"
            console.line(f"test {words_of(test)} ({best})  {result['seconds']:.1f} s  {folder}")
    return result


def _epochs(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record["kind"] == "epoch"]


def _speed(epochs: Sequence[Record]) -> float:
    """Samples per second of the median epoch: the first compiles, and one resumed at its end has trained nothing."""
    later = [epoch["samples_per_second"] for epoch in epochs[1:] if epoch["samples_per_second"]]
    return statistics.median(later or [epoch["samples_per_second"] for epoch in epochs])


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
    watch: Callable[[Record], None] = lambda record: None,
) -> None:
    """All that is left of the training; whatever wants it to stop finds its state saved. Rank 0 keeps the record.

    The clock stops no process before it has made a step or ended an epoch: a run that is resumed again and again, each
    time for fewer seconds than it takes to begin, comes to its end all the same.
    """
    progress = state.progress
    begin = progress.epoch, progress.step

    def boundary() -> None:
        save, wanted = team.agree(int(kept is not None and kept.due()), stop.wanted())
        if save or wanted:
            progress.activity.pool(team)
        if save and kept is not None:
            kept.save()
        stop.obey(wanted)

    def between_batches() -> None:
        (wanted,) = team.agree(stop.wanted(clock=(progress.epoch, progress.step) != begin))
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
                if entry["kind"] == "epoch":
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


def follow(*, settings: Settings, parts: Parts, team: Team) -> None:
    """What a process that is not rank 0 does of a run: its share of the work. It writes and says nothing.

    Raises:
        SnnrunError: whatever ends the run early, here or in another process.
        Interrupted: a signal asked one of the processes to stop.
    """
    stop = Stop(settings.max_seconds)
    with stop.listening(), stop.patiently(), team.diagnosed(), runtime(settings, team.ranks) as device:
        state, data = _built(parts, settings, device, team)
        with state.streams.ambient("training"):
            if (message := team.told(None)) is not None:
                state.load_state_dict(checkpoint.unpack(message))
                state.progress.activity = Activity(state.progress.activity.skip)  # rank 0 has the counts
            _train(state, data, parts, settings, stop, team)
        if (message := team.told(None)) is not None:
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
        team.agree(0)
    data = parts.task.load(Path(settings.data_dir).expanduser(), settings.num_steps, device, streams.data)
    if not team.ranks.local:
        team.agree(0)
    check_streams(data)
    if settings.report.figures and settings.report.sample >= len(data.test):
        raise ConfigError(
            f"report.sample: expected at most {len(data.test) - 1}, the last of the {len(data.test):,} samples of the "
            f"test part, got {settings.report.sample}"
        )
    model = build_model(parts, settings, streams, team).to(device)
    (recorded,) = team.agree(recorded_threads or 0)
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
            (wanted,) = team.agree(stop.wanted(clock=False))  # what is trained is tested
            stop.obey(wanted)

    return evaluate(
        state.model, data.test, parts.encoder, parts.loss, state.streams, settings,
        watch=watch, look=look, classes=parts.task.class_names(), team=team,
    )  # fmt: skip


def evaluate_run(*, settings: Settings, parts: Parts, folder: Path, weights: Path | None = None) -> Result:
    """What the test part says of the weights in ``folder`` that were tested, as ``result.json`` has it; writes nothing.

    ``weights``: those, where the config is another one than the run's. Default: found out.

    Raises:
        DataError: if the weights are missing or damaged, or those of another model.
    """
    with runtime(settings) as device:
        streams = Streams(settings.seed, device)
        data = parts.task.load(Path(settings.data_dir).expanduser(), settings.num_steps, device, streams.data)
        model = build_model(parts, settings, streams).to(device)
        use_threads(settings, multiply_adds(model))
        best = folder / "checkpoints" / "best.safetensors"
        # Without a validation part no epoch is the best, and the last one's weights were tested.
        _load(model, weights or (best if len(data.validation) else best.with_name("last.safetensors")))
        names = parts.task.class_names()
        test = evaluate(model, data.test, parts.encoder, parts.loss, streams, settings, classes=names)
        return {**figures_of(test), **classes_of(test)}


def _load(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(checkpoint.load(path, like=model.state_dict()))
    except RuntimeError as error:
        raise DataError(f"{path}: expected the weights of this config's model: {error}") from error


def figures_of(test: Scores) -> Result:
    """What ``result.json`` says of the test part."""
    return {
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        **({} if test.r2 is None else {"test_r2": test.r2}),
    }


def classes_of(test: Scores) -> Result:
    """What it says of each class: share that is right, by name, and the confusion matrix, a row for each class."""
    if test.confusion is None:
        return {}
    counts = [list(row) for row in test.confusion.counts]
    return {classes.ACCURACY: test.confusion.accuracy_by_class(), classes.CONFUSION: counts}


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
            sharing = int(tied(parts.loss.scores(spikes.detach(), membrane.detach()))[0])
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
