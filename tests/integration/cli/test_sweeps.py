"""Sweeps, with a stand-in for the training: what is frozen, what is run again, what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from snnrun.errors import ConfigError, NonFiniteError
from snnrun.run import browse
from snnrun.sweep import local, summary
from snnrun.sweep.job import JobTask
from snnrun.sweep.job_list import LOCK, NAME, read
from snnrun.sweep.local import LocalParallel
from snnrun.system.lock import RunLock
from support.command import Command, Training
from support.swept import make_job

WORDS = ("-m", "seed=0,1", "hydra.sweep.dir=sweep")
SWEEP = Path("sweep")


def finishes(call: dict[str, Any]) -> None:
    """The stand-in leaves what a run leaves."""
    (call["folder"] / "config.yaml").write_text(yaml.safe_dump(dict(call["config"])))
    accuracy = 0.5 + 0.1 * call["settings"].seed
    result = {"status": "finished", "test_accuracy": accuracy, "test_loss": 1.0, "seconds": 1.0}
    (call["folder"] / "result.json").write_text(json.dumps(result))


def diverges(*seeds: int) -> Callable[[dict[str, Any]], None]:
    def behaviour(call: dict[str, Any]) -> None:
        if call["settings"].seed in seeds:
            (call["folder"] / "config.yaml").write_text("seed: 0\n")
            (call["folder"] / "run.log").write_text("epoch 1\nepoch 2\nerror: the loss is NaN\n")
            raise NonFiniteError("the loss is NaN")
        finishes(call)

    return behaviour


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sweep_is_frozen_at_launch(command: Command, training: Training) -> None:
    training.behaviour = finishes
    words = ("-m", "seed=0", "neuron=if,lif", "hydra.sweep.dir=sweep", "on_error=stop")
    assert command(*words).code == 0
    book = json.loads((SWEEP / NAME).read_text())
    assert book.keys() == {"version", "started", "command", "search", "jobs"}
    assert (book["version"], book["search"]) == (1, False)
    assert book["command"] == ["snnrun", *words]
    assert book["jobs"][1] == {"number": 1, "folder": "1-lif-atan-s0", "overrides": ["seed=0", "neuron=lif"]}
    assert len(book["jobs"]) == 2
    for job, call in zip(book["jobs"], training.calls, strict=True):
        config = yaml.safe_load((SWEEP / "configs" / f"{job['number']}.yaml").read_text())
        assert config == call["config"]
        assert config["threads"] == 1
        assert call["resuming"] is False
        assert browse.read(SWEEP / job["folder"]).choices["neuron"] == job["overrides"][1].partition("=")[2]
    assert not (SWEEP / LOCK).exists()
    assert not browse.is_run(SWEEP)


def test_resume_runs_what_is_not_finished(command: Command, training: Training) -> None:
    training.behaviour = diverges(1)
    outcome = command(*WORDS)
    assert outcome.code == 7
    training.calls.clear()
    training.behaviour = finishes
    outcome = command(*WORDS, "--resume")
    assert (outcome.code, outcome.err) == (0, "")
    assert [(call["folder"].name, call["resuming"]) for call in training.calls] == [
        ("1-lif-atan-s1", True),
    ]
    assert "snnrun: 1 of 2 jobs are finished already" in outcome.out
    before = content(SWEEP)
    training.calls.clear()
    assert command(*WORDS, "--resume").code == 0
    assert not training.calls
    assert content(SWEEP) == before


@pytest.mark.long
def test_the_newest_sweep_of_the_same_command_is_found(command: Command, training: Training) -> None:
    training.behaviour = diverges(0, 1)
    words = ("-m", "seed=0,1", "output_dir=out")
    for more in ((), ("epochs=3",)):
        assert command(*words, *more).code == 7
    sweeps = {len(read(path.parent).command): path.parent for path in Path("out").glob(f"multirun/*/*/{NAME}")}
    training.calls.clear()
    assert command(*words, "--resume", "hydra/launcher=serial").code == 7, "another launcher is the same sweep"
    assert {call["folder"].parent for call in training.calls} == {sweeps[4].absolute()}
    assert command(*words, "epochs=3", f"--resume={sweeps[5]}").code == 7
    other = command(*words, "epochs=4", "--resume")
    assert other.code == 2
    assert "--resume: " in other.err and "in out, but there is none" in other.err
    other = command(*words, "epochs=4", f"--resume={sweeps[5]}")
    assert other.code == 2
    assert "`snnrun -m seed=0,1 output_dir=out epochs=3`" in other.err


@pytest.mark.long
def test_what_is_refused(command: Command, training: Training) -> None:
    training.behaviour = diverges(1)
    command(*WORDS)
    calls = len(training.calls)
    again = command(*WORDS)
    assert again.code == 2
    assert "without a sweep" in again.err and "add --resume" in again.err
    with RunLock(SWEEP, LOCK):
        refusal = command(*WORDS, "--resume")
    assert refusal.code == 2
    assert "a sweep that nobody is writing" in refusal.err and f"process {os.getpid()} " in refusal.err
    with RunLock(SWEEP / "1-lif-atan-s1"):
        refusal = command(*WORDS, "--resume")
    assert refusal.code == 2
    assert "a job that nobody runs" in refusal.err and f"process {os.getpid()} " in refusal.err
    config_file = SWEEP / "configs" / "1.yaml"
    config_file.write_text(config_file.read_text().replace("epochs: 20", "epochs: 30"))
    differs = command(*WORDS, "--resume")
    assert differs.code == 2
    assert "in job 2 epochs was 30 and is now 20" in differs.err
    config_file.unlink()
    err = command(*WORDS, "--resume").err
    assert "1.yaml: " in err and "missing" in err
    (SWEEP / NAME).write_text("{}")
    assert "version 1" in command(*WORDS, "--resume").err
    assert len(training.calls) == calls


def test_the_failures_at_the_end(command: Command, training: Training) -> None:
    training.behaviour = diverges(1)
    err = command(*WORDS).err
    summary = err[err.index("snnrun: 1 of 2 jobs failed:") :].splitlines()
    assert summary[1:6] == [
        "  job 2 of 2: seed=1",
        "    snnrun: the loss is NaN",
        "      epoch 1",
        "      epoch 2",
        f"    {(SWEEP / '1-lif-atan-s1').absolute()}",
    ]


def test_on_error_stop(command: Command, training: Training) -> None:
    training.behaviour = diverges(0)
    outcome = command(*WORDS, "on_error=stop")
    assert outcome.code == 7
    assert len(training.calls) == 1
    assert "snnrun: 1 of 2 jobs failed:" in outcome.err
    assert "on_error=stop" in outcome.err and "--resume" in outcome.err
    assert command(*WORDS, "--resume").code == 7
    assert len(training.calls) == 3


@pytest.mark.long
def test_mean_and_deviation_over_seeds(command: Command, training: Training) -> None:
    training.behaviour = finishes
    out = command("-m", "neuron=lif", "seed=0,1,2", "epochs=3,4").out.splitlines()
    start = out.index("configuration  seeds  test accuracy")
    assert out[start + 1 : start + 3] == [
        "epochs=3           3  60.00 % ± 10.00",
        "epochs=4           3  60.00 % ± 10.00",
    ]


def ways_on(out: str) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in out.splitlines() if line.startswith("snnrun report ")] + [
        shlex.split(line, comments=True) for line in out.splitlines() if line.startswith("snnrun best ")
    ]


def test_every_sweep_ends_with_the_commands_that_go_on(command: Command, training: Training) -> None:
    where = ("hydra.sweep.dir='my sweep'",)
    expected = [["snnrun", "report", "my sweep"], ["snnrun", "best", "my sweep"]]
    training.behaviour = diverges(0, 1)
    failure = command("-m", "seed=0,1", *where)
    assert failure.code == 7 and ways_on(failure.out) == expected
    training.behaviour = finishes
    for outcome in (command("-m", "seed=0,1", *where, "--resume"), command("-m", "seed=0,1", *where, "--resume")):
        assert outcome.code == 0 and ways_on(outcome.out) == expected
    assert command(*expected[0][1:]).code == 0
    assert ways_on(command("-m", "seed=0,1", "--dry-run").out) == []


def test_a_large_sweep_shows_its_ten_best_by_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for i in range(40):
        job = make_job(tmp_path / "s" / f"{i}-x", [f"epochs={i}", "neuron=lif"], 0.5 + i / 100)
        result = json.loads((job / "result.json").read_text())  # the test set would have it the other way round
        (job / "result.json").write_text(json.dumps({**result, "test_accuracy": 0.9 - i / 100}))
    make_job(tmp_path / "s" / "40-x", ["epochs=40", "neuron=lif"], None, status="failed")
    summary.ranking(tmp_path / "s")
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].split("  ") == ["configuration", "seeds", "validation accuracy", "test accuracy"]
    assert [line.split()[0] for line in lines[1:-1]] == [f"epochs={i}" for i in range(39, 29, -1)]
    assert lines[1].split() == ["epochs=39", "1", "89.00", "%", "51.00", "%"]
    assert lines[-1] == "and 31 more configurations"


@pytest.mark.parametrize("width", [80, 60])
def test_the_table_of_a_sweep_fits(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ["model.hidden=[500,400,300,200,100]", "encoder=population_deterministic", "optimizer.lr="]
    for i in range(4):
        make_job(tmp_path / "s" / f"{i}-x", [*long[:2], f"{long[2]}0.{i}", f"seed={i}"], 0.5)
    for i in range(4):
        make_job(tmp_path / "s" / f"{i + 4}-x", [f"seed={i}"], 0.6)
    monkeypatch.setenv("COLUMNS", str(width))
    summary.ranking(tmp_path / "s")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) == width and ".." in out and "60.00 % ± 0.00" in out


def test_a_dry_run_writes_nothing(command: Command) -> None:
    outcome = command("-m", "seed=0,1", "model.hidden=[100],[50]", "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["job", "overrides", "parameters", "folder"]
    rows = [re.split(r"  +", line.strip()) for line in lines[1:5]]
    assert rows[0] == ["1", "seed=0 model.hidden=[100]", "7,510", "0-lif-atan-s0"]
    assert [row[2] for row in rows] == ["7,510", "3,760", "7,510", "3,760"]
    assert re.fullmatch(r"4 jobs, in outputs/multirun/\d{4}-\d\d-\d\d; nothing was started", lines[5])
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["--resume"], ("--resume: ", "`snnrun -m`")),
        (["simulate", "-m", "--dry-run"], ("--dry-run: ", "a sweep of training runs")),
        (["on_error=stop"], ("on_error: ", "a sweep of training runs")),
        (["-m", "on_error=never"], ("on_error: ", "continue or stop", "got 'never'")),
        (["-m", "--resume=nowhere"], ("--resume: ", "the folder of a sweep", "got 'nowhere'")),
        (["-m", "--resume"], ("--resume: ", "in outputs, but there is none")),
        (["-m", "hydra/launcher=joblib"], ("there are local_parallel, ray, serial, slurm",)),
        (["-m", "hydra/launcher=local_parallel", "hydra.launcher.n_jobs=0"],
         ("hydra.launcher.n_jobs: ", "whole number of at least 1", "got 0")),
        (["-m", "seed=0,1", "hydra.sweep.subdir=here"], ("a folder for each job", "got 'here' for jobs 1 and 2")),
        (["-m", "seed=0,1", "hydra.sweep.subdir=../${hydra:job.num}"], ("a folder in that of the sweep",)),
        (["simulate", "-m", "hydra/launcher=local_parallel"], ("sweeps of training runs only",)),
    ],
)  # fmt: skip
def test_what_makes_no_sweep(words: list[str], facts: tuple[str, ...], command: Command, training: Training) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    for fact in facts:
        assert fact in outcome.err
    assert not training.calls


@pytest.mark.parametrize(("launcher", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_extra_that_is_missing(
    launcher: str, package: str, command: Command, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    outcome = command("-m", f"hydra/launcher={launcher}", "seed=0,1")
    assert outcome.code == 2
    assert f'is not installed; pip install "snnrun[{launcher}]"' in outcome.err
    assert list(Path.cwd().iterdir()) == []


def test_a_book_from_a_stranger(tmp_path: Path) -> None:
    for job in ({"number": -1}, {"number": 0, "folder": "../x"}, {"number": 0, "folder": "/x"}, {"number": True}, 3):
        (tmp_path / NAME).write_text(json.dumps({"version": 1, "jobs": [job]}))
        with pytest.raises(ConfigError, match=r"sweep\.json: expected"):
            read(tmp_path)


def task(number: int, *, uses_cuda: bool, sweep: Path = Path("nowhere")) -> JobTask:
    return JobTask(number, f"job {number}", (), sweep, sweep / "0", (), (), None, False, sweep, 1, uses_cuda, {})


@pytest.mark.parametrize(
    ("n_jobs", "share", "expected"),
    [
        (4, 1.0, ["0", "GPU-7"]),
        (4, 0.5, ["0", "GPU-7", "0", "GPU-7"]),
        (3, 0.3, ["0", "GPU-7", "0"]),
        (1, 1.0, ["0"]),
    ],
)
def test_how_gpus_are_shared_out(
    n_jobs: int, share: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, GPU-7")
    engine = LocalParallel(n_jobs, share, threads=1)
    assert engine._places([task(i, uses_cuda=True) for i in range(8)]) == expected
    assert engine._places([task(i, uses_cuda=False) for i in range(8)]) == [None] * n_jobs


@pytest.mark.parametrize(
    ("count", "expected"), [(0, [None, None, None]), (1, ["0"]), (2, ["0", "1"]), (8, ["0", "1", "2"])]
)
def test_gpus_without_a_choice_of_the_environment(
    count: int, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    engine = LocalParallel(3, 1.0, threads=1)
    assert engine._places([task(i, uses_cuda=True) for i in range(8)]) == expected


@pytest.mark.parametrize("device", [None, "GPU-7"])
def test_a_job_sees_its_gpu_alone(device: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def run(task: JobTask) -> int:
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return 0

    monkeypatch.setattr(local, "run", run)
    monkeypatch.setattr(os, "setpgrp", lambda: None)
    monkeypatch.setattr(local, "_follow", lambda: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    with pytest.raises(SystemExit):
        local._main(task(0, uses_cuda=True), device)
    assert seen == [device or "3,4"]


def test_the_batch_file_for_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not run on a real Slurm; this is the text of the batch file."""
    pytest.importorskip("submitit")
    from snnrun.sweep.slurm import Slurm

    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    options = {
        "cpus_per_task": 2,
        "timeout_min": 90,
        "gpus_per_node": 1,
        "mem_gb": 8.0,
        "slurm_array_parallelism": 5,
        "slurm_partition": "short",
        "slurm_setup": ["module load cuda"],
        "slurm_additional_parameters": {"account": "mine"},
    }
    executor = Slurm("slurm", options).executor([task(0, uses_cuda=True, sweep=tmp_path)])
    text = executor._executor._make_submission_file_text("python -m job", "id")
    for line in (
        "--cpus-per-task=2", "--time=90", "--gpus-per-node=1", "--mem=8GB", "--partition=short", "--account=mine"
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert "module load cuda" in text
    assert re.search(r"--signal=USR[12]@90", text)
