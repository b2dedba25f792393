"""One run as an object: its records, model and data, and how to run it again.

A run folder may be a stranger's. To look at it runs none of its code. Methods that build its parts (``model``,
``data``, ``traces``, ``evaluate``, ``resume``, ``reproduce``) check its config as ``snnrun evaluate`` does: only
trusted code is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from snnrun.config import settings
from snnrun.config import trust as trusting
from snnrun.errors import ArgumentError, ConfigError, DataError
from snnrun.job.arguments import Arguments, parse
from snnrun.job.words import overrides_of
from snnrun.run import browse
from snnrun.system import files, safe_read
from snnrun.system.safe_read import Unreadable
from snnrun.training.records import LogRecord, RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from snnrun.job.job import Job
    from snnrun.report import Example
    from snnrun.report.style import Palette
    from snnrun.run.compare import Verdict
    from snnrun.sequence import Trace
    from snnrun.task import Batch, Part

OUTPUTS = Path("outputs")
CURVES = ("loss", "accuracy")
SETS = ("train", "validation", "test")
WEIGHTS = ("best", "last")


class SampleTraces(NamedTuple):
    """The traces of the network for one sample of the test set.

    Attributes:
        input: of the first layer, ``[T, 1, *N]``.
        layers: the trace of each layer, by name: ``spikes`` and ``membrane`` (before the reset), ``[T, 1, *N]``.
        example: the sample's index, its label and the answer of the network.
    """

    input: Tensor
    layers: Mapping[str, Trace]
    example: Example


@dataclass(frozen=True)
class Batches:
    """A data set of a run, batched as in training.

    Iterating gives :class:`~snnrun.task.Batch` with ``x`` ``[T, B, *input_shape]`` (``[1, B, *input_shape]`` for still
    input) and ``target``. The training set comes in the order of the first epoch, the others in their own order.

    Attributes:
        part: the samples; ``len(part)`` is their number.
        batch_size: samples in a batch.
        seed: of the run, for the order. Default: not shuffled.
    """

    part: Part
    batch_size: int
    seed: int | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.part)

    def __iter__(self) -> Iterator[Batch]:
        if self.seed is None:
            return self.part.batches(self.batch_size)
        import torch

        from snnrun.training.streams import Streams

        return self.part.batches(self.batch_size, Streams(self.seed, torch.device("cpu")).order)


class Run:
    """A run in its folder.

    Args:
        folder: of the run.
        trusted: packages whose code the config may name, beside snnrun's own.
        config_dir: the folder of the user's own parts. Default: none.
    """

    def __init__(self, folder: Path, *, trusted: Sequence[str] = (), config_dir: Path | None = None) -> None:
        self.folder = folder
        self._arguments = Arguments(trusted=tuple(trusted), config_dir=config_dir)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.status})"

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config, as ``config.yaml`` has it.

        Raises:
            DataError: if the file is missing or damaged.
        """
        return self._read("config.yaml", safe_read.yaml_object)

    @property
    def manifest(self) -> dict[str, Any]:
        """Command, versions and machine, as ``manifest.json`` has them.

        Raises:
            DataError: if the file is missing or damaged.
        """
        return self._read("manifest.json", safe_read.json_object)

    @property
    def result(self) -> RunResult:
        """The result of the run, as ``result.json`` has it: ``test_accuracy``, ``test_loss``, ``best_epoch``, …

        Raises:
            DataError: if the file is missing, since the run has not ended, or damaged.
        """
        return RunResult.from_json(self._read("result.json", safe_read.json_object))

    @property
    def status(self) -> str:
        """``finished``, ``failed``, ``interrupted``, ``running``, ``stalled`` (alive, but silent) or ``dead``."""
        return browse.read(self.folder).status

    def records(self, kind: str | None = None) -> Iterator[LogRecord]:
        """The records of ``metrics.jsonl`` one by one; damaged lines are left out.

        Args:
            kind: ``"epoch"``, ``"step"`` or ``"warning"``. Default: all records.

        Raises:
            DataError: if the file is missing.
        """
        try:
            yield from (record for record in browse.records(self.folder) if kind in (None, record.kind))
        except Unreadable as error:
            raise DataError(f"{self.folder / 'metrics.jsonl'}: expected the records of a run: {error}") from error

    def metrics(self, kind: str | None = None) -> Any:
        """The records as a pandas DataFrame, a row for each; a list of dictionaries if pandas is not installed.

        Raises:
            DataError: if the file is missing.
        """
        records = [record.to_json() for record in self.records(kind)]
        try:
            import pandas
        except ImportError:
            return records
        return pandas.DataFrame.from_records(records)

    def model(self, weights: str = "best", *, device: str = "cpu") -> nn.Module:
        """The network with its weights, in ``eval`` mode. It maps ``[T, B, *N]`` to the trace of each layer, by name.

        Args:
            weights: ``"best"``, of the epoch with the lowest validation loss (of the last epoch if the run has no
                validation set), or ``"last"``.
            device: of the network.

        Raises:
            ConfigError: if the config is faulty, or names code that is not trusted.
            DataError: if the weights are missing or damaged.
        """
        from snnrun.run.evaluation import load_model

        if weights not in WEIGHTS:
            raise ArgumentError("weights", " or ".join(map(repr, WEIGHTS)), weights)
        with self._importable():
            return load_model(self._job(), weights).to(device)

    def data(self, part: str = "test", *, device: str = "cpu") -> Batches:
        """A data set, batched as in training; ``part``: ``"train"``, ``"validation"`` or ``"test"``.

        Raises:
            ConfigError: if the config is faulty, or names code that is not trusted.
            DataError: if the data cannot be read.
        """
        import torch

        from snnrun.run.evaluation import load_data

        if part not in SETS:
            raise ArgumentError("part", ", ".join(map(repr, SETS)), part)
        with self._importable():
            job = self._job()
            data = load_data(job, torch.device(device))
        return Batches(getattr(data, part), job.settings.batch_size, job.settings.seed if part == "train" else None)

    def traces(self, index: int = 0) -> SampleTraces:
        """The traces of the tested network for sample ``index`` of the test set, computed as in the run itself.

        Raises:
            ConfigError: if the config is faulty, or names code that is not trusted.
            DataError: if weights or data cannot be read, or there is no such sample.
        """
        from snnrun.run.evaluation import sample_traces

        with self._importable():
            return SampleTraces(*sample_traces(self._job(), index))

    def evaluate(self) -> RunResult:
        """Test the weights anew, as ``snnrun evaluate`` does; the fields ``test_…`` of a result. Writes nothing.

        Raises:
            ConfigError: if the config is faulty, or names code that is not trusted.
            DataError: if weights or data cannot be read.
        """
        from snnrun.run.evaluation import evaluate_run

        with self._importable():
            return evaluate_run(self._job())

    def resume(self, *words: str, **keys: Any) -> Run:
        """Bring the run to its end, or train a finished one on (``epochs=N``), as ``snnrun resume`` does.

        Returns:
            This run, or the new run that trains it on.

        Raises:
            SnnrunError: for a run that cannot go on, and for all that ends it early.
        """
        from snnrun.run import rerun

        arguments = self._parse(words, keys)
        with self._importable():
            command = ["snnrun", "resume", str(self.folder), *arguments.overrides]
            folder = rerun.resume(self.folder, arguments, command)
        return self if folder == self.folder else self._at(folder)

    def reproduce(self, seed: int | None = None) -> tuple[Run, Verdict]:
        """Run the config again, as ``snnrun reproduce`` does; returns the new run, and the comparison of the two.

        ``seed``: of the new run. Default: the same.

        Raises:
            SnnrunError: for a run that cannot be repeated, and for all that ends the new one early.
        """
        from snnrun.run import rerun

        words = [] if seed is None else [f"--seed={seed}"]
        with self._importable():
            arguments = replace(self._arguments, seed=seed)
            folder, verdict = rerun.reproduce(self.folder, arguments, ["snnrun", "reproduce", str(self.folder), *words])
        return self._at(folder), verdict

    def curves(self, of: str = "loss") -> Figure:
        """The curves of ``"loss"`` or ``"accuracy"`` over training and validation; a notebook shows the figure inline.

        Raises:
            DataError: if the run has recorded none.
        """
        from snnrun.report import figures

        if of not in CURVES:
            raise ArgumentError("of", " or ".join(map(repr, CURVES)), of)
        draw = figures.draw_loss if of == "loss" else figures.draw_accuracy
        return self._draw(lambda colours: draw(list(self.records()), colours), f"records with {of}")

    def raster(self, index: int = 0) -> Figure:
        """The spikes of every layer for sample ``index`` of the test set; a notebook shows the figure inline.

        Raises:
            ConfigError, DataError: see ``traces``.
        """
        from snnrun.report import figures

        traces = self.traces(index)
        trains = {"input": traces.input, **traces.layers}
        return self._draw(lambda colours: figures.draw_raster(trains, 0, traces.example, colours), "layers")

    def _at(self, folder: Path) -> Run:
        return Run(folder, trusted=self._arguments.trusted, config_dir=self._arguments.config_dir)

    def _parse(self, words: Sequence[str], keys: Mapping[str, Any]) -> Arguments:
        new, old = parse(["resume", str(self.folder), *words, *overrides_of(keys)]), self._arguments
        return replace(new, trusted=(*old.trusted, *new.trusted), config_dir=new.config_dir or old.config_dir)

    def _importable(self) -> AbstractContextManager[None]:
        return trusting.allow_imports(self._arguments.config_dir, self._arguments.trusted)

    def _job(self) -> Job:
        """The job of the folder, checked at every call, since the folder may have changed."""
        from snnrun.run.recorded import recorded_job

        if (command := browse.read(self.folder).command) != "train":
            raise ConfigError(f"{self.folder}: expected a training run, got one of `snnrun {command}`")
        return recorded_job(self.folder, self._arguments)

    def _read(self, name: str, read: Callable[[Path, str], dict[str, Any]]) -> dict[str, Any]:
        try:
            return read(self.folder, name)
        except Unreadable as error:
            raise DataError(f"{self.folder / name}: expected a file of a run, it cannot be read: {error}") from error

    def _draw(self, draw: Callable[[Palette], Figure | None], what: str) -> Figure:
        from snnrun.report.style import sheet

        own, _ = settings.read(self.config)
        with sheet(settings.Style() if own is None else own.style) as colours:
            figure = draw(colours)
        if figure is None:
            raise DataError(f"{self.folder}: expected {what} to draw, but there are none")
        return figure


def load(
    run: str | os.PathLike[str],
    *,
    trust: str | Sequence[str] = (),
    config_dir: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] = OUTPUTS,
) -> Run:
    """A run by its folder, its name, or a unique part of its path in ``root``.

    Args:
        run: as ``snnrun show RUN`` takes it.
        trust: packages whose code the config of the run may name, as ``trust=`` of the command. Default: none.
        config_dir: the folder of your own parts, as ``--config-dir`` of the command. Default: none.
        root: the folder that is searched. Default: ``outputs``.

    Raises:
        ConfigError: if no run matches, or several do.
        ValueError: if ``trust`` names anything but packages of parts.
    """
    folder = files.without_links(browse.resolve(os.fspath(run), Path(root)))
    words = trust if isinstance(trust, str) else ",".join(trust)
    trusted = trusting.names(words, "trust") + trusting.of_environment()
    return Run(folder, trusted=trusted, config_dir=None if config_dir is None else Path(config_dir))


def runs(root: str | os.PathLike[str] = OUTPUTS) -> Iterator[Run]:
    """Every run in ``root``, at any depth, also damaged ones. None of their code is executed."""
    return map(Run, browse.find(Path(root)))
