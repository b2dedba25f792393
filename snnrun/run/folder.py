"""The folder that a run leaves: what is written into it, when, and what happens when that fails."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from snnrun import report
from snnrun.config import fingerprint
from snnrun.config.settings import Style
from snnrun.errors import ConfigError, SnnrunError
from snnrun.model import neurons
from snnrun.report.manifest import differences
from snnrun.report.manifest import start as manifest_start
from snnrun.run import checkpoint
from snnrun.sequence import Trace
from snnrun.system import files, safe_read
from snnrun.system.safe_read import Unreadable, printable, shown
from snnrun.system.storage import storing
from snnrun.tracker import Trackers
from snnrun.training.confusion import Confusion
from snnrun.training.records import EpochRecord, LogRecord, Result, WarningRecord, of_kind, record_of
from snnrun.training.stop import Interrupted, Pruned, Stop, TimeUp

MOST_CHANGES = 20  # warnings of what is not as it was, when a run goes on
INIT_FROM = "init_from"  # in manifest.json: which tensors began with other weights
PARENT = "parent"  # in manifest.json: the run that this one trains on

MOST_THREADS = 1024  # that a process computes on; more are no number of ours

FOLDERS = ("figures", "checkpoints")  # made when the first file goes into them

SOURCE = "config_file"  # in manifest.json

LASTING = 150  # training steps; a network that is silent at first may need a hundred to wake up
STUCK = 3  # epochs of saturated layers; a network whose accuracy stays where it is does not get out of that by itself
LEAST_GAIN = 0.05  # of accuracy or R² in so many epochs; less is none


class FolderRecord:
    """Writes what every command leaves: config, manifest, result and log.

    Args:
        folder: exists and belongs to this record alone.
        console: hears of what failed.
        again: the folder holds this run's own record, which goes on.

    Raises: ConfigError, for a folder that holds a record already, or with ``again`` a link or a pipe;
        StorageError, from every method, if a file of the record cannot be written.
    """

    def __init__(self, folder: Path, console: report.Console, *, again: bool = False) -> None:
        self.folder, self._console = folder, console
        self._config: Mapping[str, Any] = {}
        self._start: dict[str, Any] = {}
        self._manifest: dict[str, Any] = {}
        if not again and any((folder / name).exists() for name in ("manifest.json", "result.json")):
            raise ConfigError(
                f"{folder}: expected a folder of this run's own, but it holds the record of another; "
                "remove it, or leave hydra.run.dir as it is"
            )
        with storing(folder):
            if again:
                check_own(folder)
            for name in FOLDERS:
                check_place(folder / name)
        console.attach(folder / "run.log")

    def begin(self, config: Mapping[str, Any], command: Sequence[str], source: Mapping[str, str] | None = None) -> None:
        """The first files: ``manifest.json`` with the hash of the config, then ``config.yaml``.

        In this order, so that wherever the run is killed a config that is there can be compared with its hash.
        ``source``: ``name`` and ``sha256`` of the file that the config is from, if it is from one.
        """
        self._start = {**manifest_start(command, record=self.folder), fingerprint.KEY: fingerprint.config_hash(config)}
        self._start |= {SOURCE: dict(source)} if source else {}
        self._values("manifest.json", self._start)
        self.config(config)

    def config(self, config: Mapping[str, Any], name: str = "config.yaml") -> None:
        """``config.yaml``: the resolved config."""
        self._config = config
        self._text(name, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def manifest(self, **facts: Any) -> None:
        """``manifest.json``: see :func:`snnrun.report.manifest`; and what ``begin`` wrote."""
        self._manifest = {**report.manifest(**facts, record=self.folder), **self._start}
        self._values("manifest.json", self._manifest)

    def resumed(self, *, step: int, config: Mapping[str, Any], **facts: Any) -> None:
        """Note in ``manifest.json`` that the run went on after ``step`` steps, and what is not as it was.

        The manifest that is there may be damaged, or a stranger's. Values of a kind that it cannot have, or that are
        missing since the run was stopped before it wrote them, become what they are now.
        """
        self._config = config
        now = {**report.manifest(**facts, record=self.folder), fingerprint.KEY: fingerprint.config_hash(config)}
        try:
            there = safe_read.json_object(self.folder, "manifest.json")
        except Unreadable as error:
            there = {}
            self._console.warning(f"manifest.json cannot be read ({error}); it is written anew, as the run is now")
        if lost := [key for key in now if key in there and not _alike(there[key], now[key])]:
            self._console.warning(f"manifest.json is damaged; written anew, as the run is now: {', '.join(lost)}")
        before = {key: there[key] if key in there and key not in lost else now[key] for key in now}
        before[fingerprint.KEY] = now[fingerprint.KEY]
        changed = differences(before, now)
        for name, (old, new) in islice(changed.items(), MOST_CHANGES):
            self._console.warning(
                f"{printable(name, 80)} was {shown(old)} and is now {shown(new)}; "
                "the results may differ from an unbroken run's"
            )
        if len(changed) > MOST_CHANGES:
            self._console.warning(f"{len(changed) - MOST_CHANGES} more are not as they were; see manifest.json")
        noted = there.get("resumed")
        earlier = [entry for entry in noted if isinstance(entry, dict)] if isinstance(noted, list) else []
        entry = {"started": now["started"], "command": now["command"], "step": step, "changed": changed}
        origin = {key: there[key] for key in (PARENT, SOURCE, INIT_FROM) if isinstance(there.get(key), dict)}
        self._manifest = {**before, **origin, "resumed": [*earlier, entry]}
        if len(json.dumps(self._manifest, indent=2)) > safe_read.LARGEST:  # nobody would read it again
            self._console.warning("manifest.json is larger than any is; it is written anew, as the run is now")
            self._manifest = {**now, "resumed": [{**entry, "changed": {}}]}
        self._values("manifest.json", self._manifest)
        self._console.line(f"resumed after {step} steps")

    def result(self, result: Result) -> None:
        """``result.json``: how it ended."""
        self._values("result.json", result.to_json())

    def ended_early(self, error: BaseException, so_far: Result) -> None:
        """``result.json`` and the log of what did not finish; never raises: the first error is the one to tell."""
        interrupted = isinstance(error, (KeyboardInterrupt, TimeUp, Pruned))
        message = str(error) if isinstance(error, SnnrunError) else f"{type(error).__name__}: {error}"
        status = "interrupted" if interrupted else "failed"
        with suppress(SnnrunError):
            pruned = isinstance(error, Pruned)
            self.result(replace(so_far, status=status, error=None if interrupted else message, pruned=pruned))
            self.log(str(error) if pruned else status if interrupted else f"error: {message}")

    def log(self, text: str) -> None:
        """A line for ``run.log`` that is said elsewhere."""
        self._console.log(text)

    def _values(self, name: str, values: Any) -> None:
        with storing(self.folder / name):
            files.write_json(self.folder / name, files.plain(values))

    def _text(self, name: str, text: str) -> None:
        with storing(self.folder / name):
            files.write_text(self.folder / name, text)


class RunRecord(FolderRecord):
    """Writes a run's files. Checkpoints and metrics must succeed; a figure or a summary that fails is a warning.

    Args:
        folder, console: of every record.
        silence_is_the_target: of the task, so that nobody is warned of it.
        again: of every record.
        trackers: told of all that is written; none by default.
    """

    def __init__(
        self,
        folder: Path,
        console: report.Console,
        *,
        silence_is_the_target: bool = False,
        again: bool = False,
        trackers: Trackers | None = None,
    ) -> None:
        super().__init__(folder, console, again=again)
        self._trackers = trackers or Trackers({}, console.warning)
        self._silence_is_the_target = silence_is_the_target
        self._warned: set[tuple[str, str]] = set()
        self.records: list[LogRecord] = []
        with storing(self._metrics):
            files.touch(self._metrics)

    def summary(self, model: nn.Module, example: Tensor) -> None:
        """``summary.txt`` for one encoded sample ``[T, 1, *N]``."""
        self._decorate("summary.txt", lambda: self._text("summary.txt", report.summary(model, example)))

    def add(self, record: LogRecord, model: nn.Module) -> None:
        """One record of ``fit``: a line of ``metrics.jsonl``, the console, and after an epoch the checkpoints."""
        if isinstance(record, EpochRecord):
            # First, so that an epoch that is told of has its weights on disk, wherever the run is killed.
            with storing(self.checkpoints):
                files.make_folder(self.checkpoints)
                checkpoint.save(self.checkpoints / "last.safetensors", model)
                if record.best:
                    checkpoint.save(self.best, model)
        self.records.append(record)
        written = record.to_json()
        line = json.dumps(written, allow_nan=False, ensure_ascii=False) + "\n"
        with storing(self._metrics):
            _append(self._metrics, line.encode())
        self._trackers.record(written)
        if isinstance(record, WarningRecord):
            self._console.warning(record.message)
            return
        self._console.record(record)
        if isinstance(record, EpochRecord):
            self._warn_of_layers(model)

    def _warn_of_layers(self, model: nn.Module) -> None:
        """Warn of layers that cannot learn, where that lasts for 150 training steps or is so in the last epoch.

        Of saturated ones after three epochs that brought nothing, however few steps they are.
        """
        epochs = of_kind(self.records, EpochRecord)
        last, known = epochs[-1], self._config.get("epochs")
        found = []
        if len(epochs) >= STUCK and _stuck(epochs[-STUCK:]):
            found += self._activity(epochs[-STUCK:], model, ("saturated",))
        # Those since the last epoch that was over before then.
        over = [i for i, record in enumerate(epochs) if record.step <= last.step - LASTING]
        at_end = known is None or last.epoch >= known
        if at_end or over or last.step >= LASTING:
            epochs = epochs[-1:] if at_end else epochs[over[-1] + 1 if over else 0 :]
            found += self._activity(epochs, model, ("silent", "saturated"))
            found += report.gradient_warnings(
                epochs, self._warned, self._config, learns=self._silence_is_the_target or _learns(last)
            )
        for warning in found:
            self._console.warning(warning)

    def _activity(self, epochs: Sequence[EpochRecord], model: nn.Module, kinds: Sequence[str]) -> list[str]:
        """Of what all these epochs show."""
        return report.activity_warnings(
            epochs[-1],
            self._warned,
            self._config,
            silence_is_the_target=self._silence_is_the_target,
            before=epochs[:-1],
            analogue=[name for name, neuron in neurons(model).items() if neuron.analogue],
            kinds=kinds,
        )

    def compare_with_chance(self, *, accuracy: float | None, r2: float | None, share: float | None, n: int) -> None:
        """Warn of a test result that guessing would reach too; ``share``: of the most frequent of ``n`` samples."""
        last = next(reversed(of_kind(self.records, EpochRecord)), None)
        warning = report.chance_warning(
            accuracy=accuracy,
            r2=r2,
            share=share,
            samples=n,
            config=self._config,
            last_epoch=last,
            warned={kind for _, kind in self._warned},
        )
        if warning is not None:
            self._console.warning(warning)

    def track(self, config: Mapping[str, Any]) -> None:
        """From here on trackers are told; first of what the record has already."""
        self._config = config  # a run that goes on has not written it again
        self._trackers.begin(
            self.folder, config, files.plain(self._manifest), [each.to_json() for each in self.records]
        )

    def result(self, result: Result) -> None:
        """``result.json``: how it ended; trackers end with it."""
        try:
            super().result(result)
        finally:
            self._trackers.end(result.to_json())

    def durable(self) -> int:
        """See to it that all metrics are on disk; returns how many bytes they are."""
        with storing(self._metrics), os.fdopen(files.open_to_append(self._metrics), "rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def rewind(self, size: int) -> None:
        """Go back to the first ``size`` bytes of the metrics, and to no result.

        Raises:
            ValueError: if they are not there.
        """
        with storing(self._metrics), self._metrics.open("rb") as file:
            metrics = file.read(max(size, 0))
            if len(metrics) != size:
                raise ValueError(f"metrics.jsonl has {len(metrics)} bytes, and had {size}")
            records = [record_of(json.loads(line)) for line in metrics.splitlines()]
            self.records = [record for record in records if record is not None]
            if len(self.records) != len(records):
                raise ValueError("metrics.jsonl is not as it was written")
            files.write_bytes(self._metrics, metrics)
        with storing(self.folder / "result.json"):
            (self.folder / "result.json").unlink(missing_ok=True)

    @property
    def checkpoints(self) -> Path:
        """The folder of weights and states."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """The weights of the epoch with the lowest validation loss."""
        return self.checkpoints / "best.safetensors"

    @property
    def _metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def figures(
        self,
        model: nn.Module,
        encoded: Tensor,
        traces: Mapping[str, Trace],
        style: Style,
        example: report.Example,
        confusion: Confusion | None = None,
    ) -> None:
        """``figures/`` and the numbers behind the raster.

        Args:
            encoded, traces: of one test sample, by the trained model.
            style: of the figures.
            example: which sample that is.
            confusion: of the test part, where there are classes.
        """
        folder = self.folder / "figures"
        thresholds = {name: neuron.threshold() for name, neuron in neurons(model).items() if neuron.spiking}
        with_input = {"input": encoded, **traces}
        drawings: dict[str, Callable[[], object]] = {
            "loss": lambda: report.loss_figure(self.records, folder, style),
            "accuracy": lambda: report.accuracy_figure(self.records, folder, style),
            "firing_rate": lambda: report.firing_rate_figure(self.records, folder, style),
            "parameters": lambda: report.parameters_figure(self.records, folder, style),
            "confusion": lambda: report.confusion_figure(confusion, folder, style),
            "raster": lambda: report.raster_figure(with_input, folder, style, example),
            "membrane": lambda: report.membrane_figure(traces, thresholds, folder, style, example),
        }
        for name, draw in drawings.items():
            self._decorate(", ".join(f"figures/{name}.{kind}" for kind in style.format), draw)
        self._decorate(
            "figures/raster.npz", lambda: report.save_raster(traces, encoded, folder / "raster.npz", example=example)
        )

    def _decorate(self, name: str, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception as error:  # whatever it is, hours of training must not be lost to a picture
            self._console.warning(f"{name} could not be made ({type(error).__name__}: {error}); the run goes on")


@contextmanager
def verdict(record: FolderRecord, stop: Stop, so_far: Callable[[], Result]) -> Iterator[None]:
    """Within this context, where ``stop`` listens deaf, ``result.json`` and the log say whatever ends the run.

    ``so_far``: gives the result at that moment, but for its status.
    """
    try:
        with stop.alert():
            yield
    except BaseException as error:
        with suppress(Interrupted):  # a second signal, after which none raises
            stop.deafen()
        record.ended_early(error, so_far())
        if isinstance(error, (Interrupted, TimeUp)):
            error.folder = record.folder
        raise


def _learns(record: EpochRecord) -> bool:
    """Whether training goes well, whatever the gradient: most optimizers do not care for its scale."""
    return max(record.train_accuracy or 0.0, record.train_r2 or 0.0) > 0.9


def _stuck(epochs: Sequence[EpochRecord]) -> bool:
    """Whether these epochs of training have brought nothing; False where there is neither accuracy nor R²."""
    for found in ([record.train_accuracy for record in epochs], [record.train_r2 for record in epochs]):
        if len(scores := [score for score in found if score is not None]) == len(epochs):
            return max(scores) <= min(scores) + LEAST_GAIN and not any(map(_learns, epochs))
    return False


def _append(path: Path, line: bytes) -> None:
    """Add a line, or nothing of it."""
    with os.fdopen(files.open_to_append(path), "rb+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) != len(line):  # the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(size)
            raise


def recorded_threads(folder: Path, world_size: int) -> int | None:
    """The threads that each process of the run in ``folder`` computed on, if they were as many; None where unknown."""
    try:
        manifest = safe_read.json_object(folder, "manifest.json")
    except Unreadable:
        return None
    threads, parallel = manifest.get("threads"), manifest.get("parallel")
    size = parallel.get("world_size") if isinstance(parallel, dict) else None
    return threads if size == world_size and type(threads) is int and 0 < threads <= MOST_THREADS else None


def check_own(folder: Path) -> None:
    """A record that goes on may be a stranger's: no link in it may lead what is written elsewhere, no pipe wait.

    What a killed process left half written goes.
    """
    for path in [
        folder,
        *folder.iterdir(),
        *(folder / ".hydra").glob("*"),
        *(folder / "figures").glob("*"),
        *(folder / "checkpoints").glob("*"),
        *(folder / "csv").glob("*"),
    ]:
        status = path.lstat()
        if not (stat.S_ISREG(status.st_mode) and status.st_nlink == 1) and not stat.S_ISDIR(status.st_mode):
            raise ConfigError(f"{path}: expected a file of this run alone, got a link or no file at all; remove it")
        if path.name.startswith(".") and path.name.endswith(".tmp") and not path.is_dir():
            path.unlink()


def check_place(path: Path) -> None:
    """See to it that a folder can be made at ``path``, now and not after hours of training, or is there.

    Raises:
        OSError: if there is a link of that name, or anything else.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _alike(one: Any, other: Any) -> bool:
    """Whether two values of one key of a manifest are of one kind; any may be unknown."""
    if one is None or other is None:
        return True
    numbers = (int, float)
    return type(one) is type(other) or (type(one) in numbers and type(other) in numbers)
