"""The story of a run, from its parts to its record, and how it is told when it ends early."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from snnrun import report
from snnrun.config.settings import Settings
from snnrun.encoder import Encoder
from snnrun.errors import ConfigError, DataError, NonFiniteError, OutOfMemoryError, StorageError
from snnrun.job.job import Job
from snnrun.job.parts import parts_of
from snnrun.loss import CECount
from snnrun.report.style import DARK
from snnrun.run import checkpoint
from snnrun.run.build import build_model, count_parameters, load_data
from snnrun.run.evaluation import evaluate_run
from snnrun.run.execute import execute
from snnrun.training.loop import evaluate
from snnrun.training.state import build_optimizer
from snnrun.training.streams import Streams
from support.refusals import fails
from support.small import CPU, config_for

SMALL = ["num_steps=6", "epochs=2", "batch_size=128", "model.hidden=[20]"]
PLAIN = ["report.figures=false", "report.summary=false"]

Experiment = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def experiment(folder: Path) -> Experiment:
    """``experiment(*overrides, **parts)``: a small run on digits, with some of its parts replaced."""

    def start(*overrides: str, folder: Path = folder, **parts: Any) -> dict[str, Any]:
        config = config_for(*SMALL, *overrides)
        job = Job.of(config, folder=folder, command=["snnrun", *overrides])
        return execute(dataclasses.replace(job, parts=dataclasses.replace(job.parts, **parts))).to_json()

    return start


#: What draws a file of figures/, which takes longer than the training.
PICTURES = [
    f"{name}_figure" for name in ("loss", "accuracy", "firing_rate", "parameters", "confusion", "raster", "membrane")
]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing is drawn; the names of the pictures that would be."""
    names: list[str] = []
    for name in PICTURES:
        monkeypatch.setattr(report, name, lambda *_, name=name, **__: names.append(name), raising=False)
    return names


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = strict((folder / "result.json").read_text())
    return result


def strict(text: str) -> Any:
    """Strict JSON: NaN and Infinity are refused."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [strict(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith(".tmp")]


# --- a run that finishes -------------------------------------------------------------------------------------------


def test_the_result(experiment: Experiment, folder: Path) -> None:
    result = experiment(*PLAIN)
    assert list(result) == [
        "status",
        "test_accuracy",
        "test_loss",
        "last_test_accuracy",
        "last_test_loss",
        "best_epoch",
        "epochs",
        "samples_per_second",
        "seconds",
        "parameters",
        "weights_sha256",
        "test_accuracy_by_class",
        "test_confusion",
    ]
    assert result == result_of(folder)
    assert result["status"] == "finished"
    assert result["parameters"] == 64 * 20 + 20 + 20 * 10 + 10
    assert result["epochs"] == 2
    epochs = [record for record in metrics(folder) if record["kind"] == "epoch"]
    assert result["best_epoch"] == max(record["epoch"] for record in epochs if record["best"])
    assert result["samples_per_second"] == epochs[1]["samples_per_second"], "the first epoch is left out"
    assert result["weights_sha256"] == checkpoint.weights_sha256(
        checkpoint.load(folder / "checkpoints/last.safetensors")
    )
    assert 0 < result["test_accuracy"] <= 1
    assert 0 < result["seconds"] < 600
    matrix, by_class = result["test_confusion"], result["test_accuracy_by_class"]
    assert list(by_class) == list("0123456789")
    assert [len(row) for row in matrix] == [10] * 10
    assert list(by_class.values()) == [row[i] / sum(row) for i, row in enumerate(matrix)]
    right, samples = sum(row[i] for i, row in enumerate(matrix)), sum(map(sum, matrix))
    assert (right / samples, samples) == (result["test_accuracy"], 359)


def test_the_record(experiment: Experiment, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment()
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pictures = ("loss", "accuracy", "raster", "membrane", "firing_rate", "confusion")
    figures = {f"figures/{name}.png" for name in pictures}
    texts = {"config.yaml", "manifest.json", "summary.txt", "metrics.jsonl", "result.json", "run.log"}
    assert names == figures | texts | {
        "figures/raster.npz",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "checkpoints/step-0000000010.safetensors",
        "checkpoints/step-0000000020.safetensors",
    }
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config_for(*SMALL)
    out, err = capsys.readouterr()
    assert err == ""
    assert (folder / "run.log").read_text() == out
    assert len(out.splitlines()) == 2 + 2


def test_a_task_without_labels(experiment: Experiment, folder: Path) -> None:
    result = experiment(
        "task=zeros", "neuron=if", "surrogate=heaviside", "optimizer=sgd", "optimizer.lr=0.1", "num_steps=6"
    )
    assert result["test_accuracy"] is None
    assert result["test_loss"] > 0
    assert not {"test_confusion", "test_accuracy_by_class"} & set(result)
    assert not (folder / "figures/accuracy.png").exists()
    assert not (folder / "figures/confusion.png").exists()
    assert (folder / "figures/loss.png").stat().st_size > 5000
    with np.load(folder / "figures/raster.npz") as raster:
        assert {"sample", "label", "prediction"} & set(raster) == {"sample"}


def test_the_test_uses_the_best_weights_and_the_hash_is_of_the_last(experiment: Experiment, folder: Path) -> None:
    @dataclass(frozen=True)
    class Rising(CECount):
        """Validation says that each epoch is worse than the one before, whatever was learnt."""

        calls: list[int] = dataclasses.field(default_factory=list)

        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            loss = super().__call__(spikes, membrane, target)
            if torch.is_grad_enabled():
                return loss
            self.calls.append(1)
            return loss + len(self.calls)

    result = experiment("epochs=5", "optimizer.lr=0.01", *PLAIN, loss=Rising())
    assert result["best_epoch"] == 1
    accuracies = {}
    for name in ("best", "last"):
        config = config_for(*SMALL)
        settings, parts = Settings.from_config(config), parts_of(config)
        streams = Streams(settings.seed, CPU)
        model = build_model(parts, settings, streams)
        state = checkpoint.load(folder / f"checkpoints/{name}.safetensors")
        model.load_state_dict(state)
        data = load_data(parts, settings, streams, CPU)
        accuracies[name] = evaluate(model, data.test, parts.encoder, parts.loss, streams, settings).accuracy
        assert (result["weights_sha256"] == checkpoint.weights_sha256(state)) == (name == "last")
    assert accuracies["best"] != accuracies["last"]
    assert result["test_accuracy"] == accuracies["best"]
    assert result["last_test_accuracy"] == accuracies["last"]
    assert not [key for key in result if key.startswith("best_test")]
    assert not [key for record in metrics(folder) for key in record if key.startswith("test")]


def test_a_test_in_each_epoch_is_recorded_and_chooses_nothing(experiment: Experiment, tmp_path: Path) -> None:
    results = []
    for words in [(), ("report.test_every_epoch=true",)]:
        folder = tmp_path / f"run{len(words)}"
        folder.mkdir()
        results.append((experiment("epochs=4", "optimizer.lr=0.03", *words, *PLAIN, folder=folder), metrics(folder)))
    (plain, _), (tested, records) = results
    epochs = [record for record in records if record["kind"] == "epoch"]
    accuracies = [record["test_accuracy"] for record in epochs]
    assert tested["best_test_accuracy"] == max(accuracies)
    assert tested["best_test_epoch"] == accuracies.index(max(accuracies)) + 1
    assert tested["test_accuracy"] == accuracies[tested["best_epoch"] - 1]
    assert (tested["last_test_accuracy"], tested["last_test_loss"]) == (accuracies[-1], epochs[-1]["test_loss"])
    own = ("best_test_accuracy", "best_test_epoch", "seconds", "samples_per_second")
    assert {key: value for key, value in tested.items() if key not in own} == {
        key: value for key, value in plain.items() if key not in own
    }


def test_without_a_best_epoch_the_last_weights_are_tested(experiment: Experiment, folder: Path) -> None:
    @dataclass(frozen=True)
    class Nan(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            loss = super().__call__(spikes, membrane, target)
            return loss if torch.is_grad_enabled() else loss * math.nan

    result = experiment(*PLAIN, loss=Nan())
    assert result["best_epoch"] is None
    assert result_of(folder)["test_loss"] is None, "JSON has no NaN"
    assert not (folder / "checkpoints/best.safetensors").exists()
    epochs = [record for record in metrics(folder) if record["kind"] == "epoch"]
    assert [record["validation_loss"] for record in epochs] == [None, None]
    assert all(record["train_loss"] > 0 for record in epochs)


def test_without_a_validation_part_the_last_weights_are_tested(experiment: Experiment, folder: Path) -> None:
    result = experiment("task.validation=0", "max_steps=15", "drop_last=true", *PLAIN)  # 11 steps an epoch
    assert (result["best_epoch"], result["epochs"]) == (None, 2)
    assert not (folder / "checkpoints/best.safetensors").exists()
    last = checkpoint.load(folder / "checkpoints/last.safetensors")
    assert result["weights_sha256"] == checkpoint.weights_sha256(last)
    assert [record["step"] for record in metrics(folder) if record["kind"] == "epoch"] == [11, 15]
    config = config_for(*SMALL, "task.validation=0")
    again = evaluate_run(Job.of(config, folder=folder, command=[]))
    keys = ("test_accuracy", "test_loss", "test_accuracy_by_class", "test_confusion")
    assert {key: again.to_json()[key] for key in keys} == {key: result[key] for key in keys}


def test_reports_and_the_global_random_numbers_change_nothing(experiment: Experiment, tmp_path: Path) -> None:
    hashes = []
    for index, words in enumerate([[], PLAIN, ["report.log_every=7", *PLAIN], ["seed=1", *PLAIN]]):
        folder = tmp_path / str(index)
        folder.mkdir()
        torch.manual_seed(index)
        before = torch.get_rng_state()
        hashes.append(experiment("model.dropout=0.3", *words, folder=folder)["weights_sha256"])
        assert torch.equal(before, torch.get_rng_state())
    assert hashes[0] == hashes[1] == hashes[2]
    assert hashes[3] != hashes[0]


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("value", ["true", "false"])
def test_deterministic_is_put_back(experiment: Experiment, value: str, before: bool) -> None:
    modes = []

    @dataclass(frozen=True)
    class Watching(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            modes.append(torch.are_deterministic_algorithms_enabled())
            if len(modes) == 5:
                raise DataError("enough")
            return super().__call__(spikes, membrane, target)

    torch.use_deterministic_algorithms(before, warn_only=True)
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with pytest.raises(DataError):
            experiment(f"deterministic={value}", *PLAIN, loss=Watching())
        assert torch.are_deterministic_algorithms_enabled() is before
        assert torch.is_deterministic_algorithms_warn_only_enabled() is warns
    finally:
        torch.use_deterministic_algorithms(False)
    assert set(modes) == {value == "true"}


class Restless(Encoder):
    """Draws anew at each call, without the generator."""

    def encode(self, x: Tensor, num_steps: int, generator: torch.Generator | None) -> Tensor:
        return (torch.rand(num_steps, *x.shape[1:]) < x).to(x.dtype)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_raster_shows_the_input_that_the_network_saw(
    precision: str, experiment: Experiment, folder: Path, pictures: list[str]
) -> None:
    experiment("epochs=1", f"precision={precision}", "report.summary=false", encoder=Restless())
    raster = np.load(folder / "figures/raster.npz")
    weights = checkpoint.load(folder / "checkpoints/best.safetensors")
    weight, bias = (next(value for key, value in weights.items() if key.endswith(end)) for end in ("weight", "bias"))
    current = torch.from_numpy(raster["input"]).float() @ weight.T + bias
    assert current.any() and weight.shape == (20, 64)
    tolerance = 1e-5 if precision == "fp32" else 0.05
    torch.testing.assert_close(torch.from_numpy(raster["hidden1.membrane"][0]), current[0], atol=tolerance, rtol=0)


@pytest.mark.parametrize(("threshold", "ties"), [(100.0, 10), (1.0, 1)])
def test_a_silent_output_is_a_tie_and_not_correct(
    threshold: float, ties: int, experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headlines: list[str] = []
    words = report.Example.words

    def record_headline(example: report.Example) -> str:
        headlines.append(words(example))
        return headlines[-1]

    monkeypatch.setattr(report.Example, "words", record_headline)
    experiment("epochs=1", f"neuron.threshold={threshold}", "encoder=direct", "encoder.gain=9", "report.sample=0")
    with np.load(folder / "figures/raster.npz") as raster:
        counts = raster["output.spikes"].sum(0)
        assert int(raster["tied"]) == (counts == counts.max()).sum() == ties
    assert headlines and all(("correct" in each or "wrong" in each) is (ties == 1) for each in headlines)
    assert all(("a tie of 10 classes" in each) is (ties == 10) for each in headlines)


@pytest.mark.parametrize("sample", [0, 130, 358])
def test_the_raster_is_of_the_sample_of_the_option(
    sample: int, experiment: Experiment, folder: Path, pictures: list[str]
) -> None:
    experiment("epochs=1", "encoder=direct", f"report.sample={sample}", "report.summary=false")
    config = config_for(*SMALL)
    data = parts_of(config).task.load(Path("nowhere"), 6, CPU, torch.Generator())
    (whole,) = data.test.batches(1000)
    assert whole.target is not None
    with np.load(folder / "figures/raster.npz") as raster:
        assert np.array_equal(raster["input"], whole.x[:, sample].flatten(1).expand(6, -1).numpy())
        assert (int(raster["sample"]), int(raster["label"])) == (sample, int(whole.target[sample]))
        assert int(raster["prediction"]) == raster["output.spikes"].sum(0).argmax()


def test_a_sample_that_is_not_there_is_refused_before_training(experiment: Experiment, folder: Path) -> None:
    with fails(ConfigError, "report.sample: ", "at most 358", "got 359"):
        experiment("report.sample=359")
    assert metrics(folder) == []
    assert result_of(folder)["status"] == "failed"
    assert not [path.name for path in folder.iterdir() if path.is_dir()], "no folder is empty"


def test_a_sample_counts_only_where_there_are_figures(experiment: Experiment) -> None:
    assert experiment("report.sample=359", "epochs=1", *PLAIN)["status"] == "finished"


def test_the_figures_have_the_style_of_the_config(experiment: Experiment, folder: Path) -> None:
    experiment("epochs=1", "style.format=[pdf,svg]", "style.theme=dark", "report.summary=false")
    names = ("loss", "accuracy", "firing_rate", "raster", "membrane", "confusion")
    expected = {f"{name}.{kind}" for name in names for kind in ("pdf", "svg")}
    assert {path.name for path in (folder / "figures").iterdir()} == {*expected, "raster.npz"}
    assert DARK.paper.lower() in (folder / "figures/confusion.svg").read_text().lower()


def test_without_figures_there_is_no_folder_for_them(experiment: Experiment, folder: Path) -> None:
    experiment("epochs=1", *PLAIN)
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["checkpoints"]
    assert all(any(path.iterdir()) for path in folder.rglob("*") if path.is_dir())


# --- what may fail without ending the run --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PICTURES, "save_raster"])
def test_a_figure_that_fails_is_a_warning(
    name: str,
    experiment: Experiment,
    folder: Path,
    pictures: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: Any, **options: Any) -> NoReturn:
        raise RuntimeError("the pen is broken")

    monkeypatch.setattr(report, name, fail, raising=False)
    result = experiment("epochs=1", "report.summary=false")
    assert result["status"] == "finished"
    missing = {"save_raster": "raster.npz"}.get(name, name.replace("_figure", ".png"))
    assert {*pictures} == {*PICTURES} - {name}
    assert (folder / "figures" / "raster.npz").exists() is (name != "save_raster")
    warning = f"warning: figures/{missing} could not be made (RuntimeError: the pen is broken); the run goes on"
    assert warning in capsys.readouterr().err
    assert warning in (folder / "run.log").read_text()


def test_a_summary_that_fails_is_a_warning(
    experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> NoReturn:
        raise ValueError("no table")

    monkeypatch.setattr(report, "summary", fail)
    assert experiment("report.figures=false")["status"] == "finished"
    assert not (folder / "summary.txt").exists()
    assert "warning: summary.txt could not be made (ValueError: no table)" in capsys.readouterr().err


def test_values_that_are_not_finite_are_null(experiment: Experiment, folder: Path) -> None:
    @dataclass(frozen=True)
    class NonFinite(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            return super().__call__(spikes, membrane, target) * math.nan

    result = experiment("on_nonfinite=warn", *PLAIN, loss=NonFinite())
    assert result["status"] == "finished"
    records = metrics(folder)
    assert all(
        record["loss"] is None and record["gradient_norm"] is None for record in records if record["kind"] == "step"
    )
    assert [record["step"] for record in records if record["kind"] == "warning"] == [1]
    assert result_of(folder)["test_loss"] is None
    assert "warning: iteration 1: not finite: the loss (nan)" in (folder / "run.log").read_text()


# --- a run that ends early -----------------------------------------------------------------------------------------


def check_failure(folder: Path, message: str) -> None:
    result = result_of(folder)
    assert result["status"] == "failed"
    assert message in result["error"]
    assert result["test_accuracy"] is result["test_loss"] is None
    assert message in (folder / "run.log").read_text()
    assert (folder / "config.yaml").exists()
    assert not leftovers(folder)


def test_missing_data(experiment: Experiment, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnrun.task.download.download", lambda *arguments: "no network")
    with pytest.raises(DataError) as error:
        experiment("task=mnist", f"data_dir={tmp_path / 'empty'}")
    for words in (str(tmp_path / "empty"), "t10k-labels-idx1-ubyte", "task=digits", "no network"):
        assert words in str(error.value)
    check_failure(folder, "mnist: the data is missing")
    assert result_of(folder)["epochs"] == 0


def test_not_finite(experiment: Experiment, folder: Path) -> None:
    @dataclass(frozen=True)
    class NonFinite(CECount):
        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            return super().__call__(spikes, membrane, target) * math.inf

    with pytest.raises(NonFiniteError):
        experiment(loss=NonFinite())
    check_failure(folder, "iteration 1: not finite: the loss (inf)")


def after(calls: int, error: BaseException) -> CECount:
    """A loss that raises at the given call."""

    @dataclass(frozen=True)
    class Raising(CECount):
        calls: list[int] = dataclasses.field(default_factory=list)

        def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
            self.calls.append(1)
            if len(self.calls) == calls:
                raise error
            return super().__call__(spikes, membrane, target)

    return Raising()


def test_an_interrupt(experiment: Experiment, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        experiment(*PLAIN, loss=after(15, KeyboardInterrupt()))  # 10 training and 2 validation batches an epoch
    result = result_of(folder)
    assert result["status"] == "interrupted"
    assert result["error"] is None
    assert result["epochs"] == 1
    records = metrics(folder)
    assert [record["kind"] for record in records] == ["step"] * 10 + ["epoch"] + ["step"] * 2
    assert checkpoint.load(folder / "checkpoints/last.safetensors")
    assert (folder / "run.log").read_text().splitlines()[-1] == "interrupted"


def test_an_error_that_nobody_foresaw(experiment: Experiment, folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        experiment(*PLAIN, loss=after(3, ZeroDivisionError("a bug")))
    check_failure(folder, "ZeroDivisionError: a bug")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 2 TiB"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation"),
        # What torch raises on the CPU.
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
            "to allocate 25600000000 bytes. Error code 12 (Cannot allocate memory)"
        ),
    ],
    ids=["MemoryError", "numpy", "cuda", "cpu"],
)
def test_out_of_memory_comes_with_advice(error: Exception, experiment: Experiment, folder: Path) -> None:
    with pytest.raises(OutOfMemoryError) as refusal:
        experiment(*PLAIN, loss=after(3, error))
    assert refusal.value.exit_code == 5
    message = str(refusal.value)
    for words in ("out of memory on cpu", "batch_size", "num_steps", "model.hidden"):
        assert words in message
    assert "\n" not in message
    check_failure(folder, "out of memory on cpu")


def test_a_batch_larger_than_memory(experiment: Experiment) -> None:
    """The real thing: the spikes of a batch would need more than any address space holds."""
    with pytest.raises(OutOfMemoryError):
        experiment("num_steps=200_000_000_000", *PLAIN)


# --- a disk that is full -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", range(1, 11, 3))
def test_a_full_disk_leaves_no_half_written_file(
    call: int, experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="No space left on device") as error:
        experiment(*PLAIN)
    assert error.value.exit_code == 6
    assert str(folder) in str(error.value)
    assert "output_dir" in str(error.value)
    assert not leftovers(folder)
    for path in folder.rglob("*.safetensors"):
        assert checkpoint.load(path)
    for path in folder.glob("*.json"):
        strict(path.read_text())


@pytest.mark.parametrize("name", ["metrics.jsonl", "run.log", "config.yaml", "manifest.json", "last.safetensors"])
def test_a_file_that_cannot_be_opened_is_named(
    name: str, experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def open_or_fail(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if name in Path(path).name and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", open_or_fail)
    with pytest.raises(StorageError, match="No space left on device") as error:
        experiment(*PLAIN)
    monkeypatch.undo()
    assert name in str(error.value) or (name == "last.safetensors" and "checkpoints" in str(error.value))
    assert not leftovers(folder)
    if name != "run.log":  # the log is opened first of all, before there is anything to tell
        assert result_of(folder)["status"] == "failed"


def test_a_folder_that_is_not_there(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        experiment(folder=tmp_path / "nowhere")


# --- helpers -------------------------------------------------------------------------------------------------------


def test_parameters_that_do_not_learn_are_not_counted() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert count_parameters(model) == 6


@pytest.mark.parametrize(
    ("words", "is_fused"),
    [
        (("optimizer=adam",), True),
        (("optimizer=adamw",), True),
        (("optimizer=sgd",), True),
        (("optimizer=rmsprop",), None),  # torch has no fused one
        (("optimizer=adam", "+optimizer.fused=false"), False),
        (("optimizer=adam", "+optimizer.foreach=true"), None),
    ],
)
def test_the_fused_step_is_taken_where_there_is_one(words: tuple[str, ...], is_fused: bool | None) -> None:
    parts = parts_of(config_for(*words))
    optimizer = build_optimizer(parts.optimizer, nn.Linear(3, 2))
    assert optimizer.defaults.get("fused") is is_fused


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_fused_step_is_the_same_update(optimizer: str) -> None:
    option = ("+optimizer.amsgrad=true",) if optimizer != "sgd" else ("optimizer.nesterov=true",)
    words = (f"optimizer={optimizer}", "optimizer.weight_decay=0.1", *option)
    models = [nn.Linear(3, 2).double() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    fast, plain = (
        build_optimizer(parts_of(config_for(*words, *extra)).optimizer, model)
        for model, extra in zip(models, [(), ("+optimizer.fused=false",)], strict=True)
    )
    for step in range(4):
        for model, each in zip(models, (fast, plain), strict=True):
            each.zero_grad()
            (model(torch.full((1, 3), 1.0 + step, dtype=torch.float64)) ** 2).sum().backward()
            each.step()
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_optimizer_of_the_users_own_is_left_alone() -> None:
    class Own(torch.optim.Adam):
        pass

    parts = dataclasses.replace(parts_of(config_for()), optimizer=functools.partial(Own, lr=0.1))
    assert build_optimizer(parts.optimizer, nn.Linear(3, 2)).defaults["fused"] is None
