"""The folder that a run leaves: what is written into it, when, and what happens when that fails."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from snnrun import checkpoint, files, report
from snnrun.errors import ConfigError, SnnrunError, StorageError
from snnrun.model import neurons
from snnrun.sequence import Trace
from snnrun.trainer import Record


class FolderRecord:
    """Writes what every command leaves: config, manifest, result and log.

    Args:
        folder: exists and belongs to this record alone.
        console: hears of what failed.

    Raises: ConfigError, for a folder that holds a record already; StorageError, from every method, if a file of the
        record cannot be written.
    """

    def __init__(self, folder: Path, console: report.Console) -> None:
        self.folder, self._console = folder, console
        self._config: Mapping[str, Any] = {}
        if any((folder / name).exists() for name in ("manifest.json", "result.json")):
            raise ConfigError(
                f"{folder}: expected a folder of this run's own, but it holds the record of another; "
                "remove it, or leave hydra.run.dir as it is"
            )
        with storing(folder):
            (folder / "figures").mkdir(exist_ok=True)
        console.attach(folder / "run.log")

    def config(self, config: Mapping[str, Any], name: str = "config.yaml") -> None:
        """``config.yaml``: the resolved config."""
        self._config = config
        self._text(name, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def manifest(self, **facts: Any) -> None:
        """``manifest.json``: see :func:`snnrun.report.manifest`."""
        self._values("manifest.json", report.manifest(**facts))

    def result(self, result: Mapping[str, Any]) -> None:
        """``result.json``: how it ended."""
        self._values("result.json", result)

    def ended_early(self, error: BaseException, **values: Any) -> None:
        """``result.json`` and the log of what did not finish; never raises: the first error is the one to tell."""
        interrupted = isinstance(error, KeyboardInterrupt)
        message = str(error) if isinstance(error, SnnrunError) else f"{type(error).__name__}: {error}"
        status = "interrupted" if interrupted else "failed"
        with suppress(SnnrunError):
            self.result({"status": status, "error": None if interrupted else message, **values})
            self.log(status if interrupted else f"error: {message}")

    def log(self, text: str) -> None:
        """A line for ``run.log`` that is said elsewhere."""
        self._console.log(text)

    def _values(self, name: str, values: Any) -> None:
        with storing(self.folder / name):
            files.write_json(self.folder / name, _finite(values))

    def _text(self, name: str, text: str) -> None:
        with storing(self.folder / name):
            files.write_text(self.folder / name, text)


class RunRecord(FolderRecord):
    """Writes a run's files. Checkpoints and metrics must succeed; a figure or a summary that fails is a warning.

    Args:
        folder, console: of every record.
        silence_is_the_target: of the task, so that nobody is warned of it.
    """

    def __init__(self, folder: Path, console: report.Console, *, silence_is_the_target: bool = False) -> None:
        super().__init__(folder, console)
        self._silence_is_the_target = silence_is_the_target
        self._warned: set[tuple[str, str]] = set()
        self.records: list[Record] = []
        with storing(folder):
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "metrics.jsonl").touch()

    def summary(self, model: nn.Module, example: Tensor) -> None:
        """``summary.txt`` for one encoded sample ``[T, 1, *N]``."""
        self._decorate("summary.txt", lambda: self._text("summary.txt", report.summary(model, example)))

    def add(self, record: Record, model: nn.Module) -> None:
        """One record of ``fit``: a line of ``metrics.jsonl``, the console, and after an epoch the checkpoints."""
        if record["kind"] == "epoch":
            # First, so that an epoch that is told of has its weights on disk, wherever the run is killed.
            with storing(self.folder / "checkpoints"):
                checkpoint.save(self.folder / "checkpoints" / "last.safetensors", model)
                if record["best"]:
                    checkpoint.save(self.best, model)
        self.records.append(record)
        path = self.folder / "metrics.jsonl"
        with storing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(record), allow_nan=False, ensure_ascii=False) + "\n")
        if record["kind"] == "warning":
            self._console.warning(record["message"])
            return
        self._console.record(record)
        if record["kind"] == "epoch":
            for warning in report.activity_warnings(
                record, self._warned, self._config, silence_is_the_target=self._silence_is_the_target
            ):
                self._console.warning(warning)

    @property
    def best(self) -> Path:
        """The weights of the epoch with the lowest validation loss."""
        return self.folder / "checkpoints" / "best.safetensors"

    def figures(self, model: nn.Module, encoded: Tensor, traces: Mapping[str, Trace]) -> None:
        """``figures/`` and the numbers behind the raster, for one encoded sample and the trained model's traces."""
        folder = self.folder / "figures"
        thresholds = {name: neuron.threshold() for name, neuron in neurons(model).items() if neuron.spiking}
        with_input = {"input": encoded, **traces}
        drawings: dict[str, Callable[[], object]] = {
            "loss.png": lambda: report.loss_figure(self.records, folder / "loss.png"),
            "accuracy.png": lambda: report.accuracy_figure(self.records, folder / "accuracy.png"),
            "firing_rate.png": lambda: report.firing_rate_figure(self.records, folder / "firing_rate.png"),
            "raster.png": lambda: report.raster_figure(with_input, folder / "raster.png"),
            "membrane.png": lambda: report.membrane_figure(traces, thresholds, folder / "membrane.png"),
            "raster.npz": lambda: report.save_raster(traces, encoded, folder / "raster.npz"),
        }
        for name, draw in drawings.items():
            self._decorate(f"figures/{name}", draw)

    def _decorate(self, name: str, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception as error:  # whatever it is, hours of training must not be lost to a picture
            self._console.warning(f"{name} could not be made ({type(error).__name__}: {error}); the run goes on")


class storing:
    """Context in which a failing write becomes a StorageError that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StorageError(
                f"{self.path}: writing failed: {error.strerror or error}. Free some space or check the rights, or "
                "choose another output_dir"
            ) from error


def _finite(value: Any) -> Any:
    # JSON has no NaN or Infinity; null is what every reader understands.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
