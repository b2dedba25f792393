"""Several processes follow one, sample for sample; and what becomes of a run when one of them is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.catalogued import assemble, options, part
from support.event_sets import write_event_set
from support.forked import snnrun
from support.paths import SUPPORT
from support.shell import Run, environment, strict
from support.small import config_for
from support.written import of_lengths, write_everything

TIMES = ("time", "seconds", "samples_per_second")
TINY = ("report.figures=false", "report.summary=false", "model.hidden=[16]", "num_steps=6", "hydra.run.dir=run")


def launcher(processes: int) -> list[str]:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node"]
    return [*run, str(processes), sys.executable]


def torchrun(processes: int, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``torchrun -m snnrun WORDS``."""
    cwd.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [*launcher(processes), "-m", "snnrun", *words],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def messages(process: subprocess.CompletedProcess[str]) -> list[str]:
    """The command's own errors and warnings, without torchrun's."""
    return [line for line in process.stderr.splitlines() if line.startswith(("snnrun:", "warning:"))]


def together(jobs: Mapping[str, Any], folder: Path, processes: int = 2) -> Any:
    """What ``processes.py`` makes of the jobs."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    program = [str(SUPPORT / "processes.py"), str(folder / "jobs.json"), str(folder / "found.json")]
    subprocess.run([*launcher(processes), *program], env=environment(), check=True, timeout=600)
    return json.loads((folder / "found.json").read_text())


def job(config: dict[str, Any], batches: int = 25, data_dir: Path = Path("nowhere")) -> dict[str, Any]:
    return {"config": config, "batches": batches, "data_dir": str(data_dir)}


def assert_follows(name: str, pair: Any, spare: Sequence[str] = TIMES) -> None:
    """Losses to 1e-5, and everything else that is not spared, of 50 steps and more."""
    (alone, score), (team, team_score) = pair
    steps = [record for record in alone if record["kind"] == "step"]
    assert len(steps) >= 50, name
    assert [record["kind"] for record in team] == [record["kind"] for record in alone], name
    for one, other in zip(alone, team, strict=True):
        for key in set(one) - set(spare):
            inexact = isinstance(one[key], float)
            expected = pytest.approx(one[key], rel=1e-5, abs=1e-12) if inexact else one[key]
            # A gradient is a sum of parts that nearly cancel.
            expected = pytest.approx(one[key], rel=1e-3) if key == "gradient_norm" else expected
            if key == "gradients":
                expected = {layer: pytest.approx(values, rel=1e-3) for layer, values in one[key].items()}
            assert other[key] == expected, (name, one["kind"], one["step"], key)
    assert any(record["gradient_norm"] > 0 for record in steps), name
    assert team_score == score, name  # to the bit, since whole batches are shared out
    assert (score[1] is None) == (score[3] is None), "there is a confusion matrix where there is an accuracy"


def with_sizes(*words: str) -> tuple[str, ...]:
    # 25 batches, of 26 and 25 samples each, the last of 18 and 17; twice.
    return ("epochs=2", "num_steps=6", "batch_size=51", *words)


SPREAD = {
    "rate, dropout": with_sizes("model.hidden=[16,12]", "model.dropout=0.3"),
    "population": with_sizes("model.hidden=[12]", "encoder=population"),
    "weights of classes": with_sizes("model.hidden=[12]", "loss.class_weights=[1,2,3,1,1,0.5,1,1,1,2]"),
    "sums": with_sizes(
        "model.hidden=[12]", "loss.reduction=sum", "regulariser=sparsity", "loss.regularisers.sparsity.reduction=sum"
    ),
    "rates of neurons": with_sizes("model.hidden=[12]", "regulariser=rate_bounds", "loss=ce_membrane"),
    "pairs of samples": with_sizes("model.hidden=[12]", "loss=spike_similarity"),
    "a batch of one": with_sizes("model.hidden=[12]", "batch_size=1", "model.dropout=0.2"),
    "recurrent": with_sizes("model=recurrent", "model.hidden=[12]"),
    "convolutions": with_sizes("model=convnet", "model.layers=[3c3p1,mp2]", "model.norm=none", "model.dropout=0.2"),
    "scaled by the batch": with_sizes("model.hidden=[12]", "encoder=latency", "encoder.normalize=batch"),
    "augmented images": with_sizes("model.hidden=[12]", "augmentation=[affine,crop,erase,flip]"),
    "clipped, low memory": with_sizes("model.hidden=[12]", "clip_grad_norm=0.1", "memory=low"),
    "clipped by value, one cycle": with_sizes("model.hidden=[12]", "clip_grad_value=1e-3", "scheduler=one_cycle"),
    "groups of parameters": with_sizes("model.hidden=[12]", "optimizer.groups.readout.lr=1e-2", "scheduler=linear"),
    "several batches a step, average": with_sizes(
        "model.hidden=[12]", "batch_size=26", "accumulate=2", "ema=0.9", "epochs=4"
    ),
    "delays": with_sizes(
        *("model=recurrent", "model.hidden=[12]", "delay=gaussian", "model.delay.maximum=3"),
        *("model.delay.connections=both", "optimizer.groups.delays.lr=1e-2"),
    ),
    "no validation, whole batches, a last step": with_sizes(
        "model.hidden=[12]", "task.validation=0", "drop_last=true", "max_steps=53"
    ),
    "silence": ("task=zeros", "num_steps=6", "epochs=5", "batch_size=5", "model.hidden=[12]"),
}


def test_two_processes_follow_one(tmp_path: Path) -> None:
    follow({name: job(config_for(*words)) for name, words in SPREAD.items()}, tmp_path)


def test_two_processes_follow_one_with_samples_of_different_length(tmp_path: Path) -> None:
    words = (
        *of_lengths(tmp_path),
        "batch_size=5",
        "epochs=5",
        "regulariser=sparsity",
        "model.dropout=0.2",
        "seed=2",
        "seed=1",
    )
    follow({"lengths": job(config_for(*words))}, tmp_path)


def test_three_processes(tmp_path: Path) -> None:
    follow({name: job(config_for(*SPREAD[name])) for name in ("rates of neurons", "a batch of one")}, tmp_path, 3)


def follow(jobs: dict[str, Any], folder: Path, processes: int = 2, spare: Sequence[str] = TIMES) -> None:
    results = together({"train": jobs, "norm": [1, 2, 5]}, folder, processes)
    assert set(results["trained"]) == set(jobs)
    for name, pair in results["trained"].items():
        assert_follows(name, pair, spare)
    for alone, team in results["norm"].values():
        assert team == pytest.approx(alone, rel=1e-11, abs=1e-13)


def test_the_command_under_torchrun(tmp_path: Path) -> None:
    words = (*TINY, "epochs=2", "batch_size=400")
    process = torchrun(2, *words, cwd=tmp_path)
    # The run is too short to learn anything, and says so.
    assert (process.returncode, [line for line in messages(process) if not line.startswith("warning: ")]) == (0, [])
    assert process.stdout.count("epoch 1/2") == 1
    assert "2 processes" in process.stdout
    run = Run(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # one folder
    assert run.result["status"] == "finished"
    assert run.manifest["parallel"] == {"world_size": 2, "backend": "gloo"}
    assert len(run.metrics("step")) == 8


def test_one_process_under_torchrun_is_a_plain_run_and_two_follow_it(tmp_path: Path) -> None:
    words = (*TINY, "epochs=5", "model.dropout=0.1")
    plain = snnrun(*words, cwd=tmp_path / "plain").run
    assert torchrun(1, *words, cwd=tmp_path / "one").returncode == 0
    one = Run(tmp_path / "one" / "run")
    assert one.result["weights_sha256"] == plain.result["weights_sha256"]
    assert one.manifest["parallel"] == plain.manifest["parallel"] == {"world_size": 1, "backend": None}

    process = torchrun(2, "reproduce", str(plain.folder), cwd=tmp_path / "two")
    assert process.returncode == 0, process.stderr
    assert "parallel.world_size: 1 there, 2 here" in process.stdout
    (two,) = (Run(path.parent) for path in (tmp_path / "two").rglob("reproduction.json"))
    losses, expected = ([step["loss"] for step in of.metrics("step")] for of in (two, plain))
    assert len(expected) == 50
    assert losses == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="finds a process by /proc")
def test_a_lost_rank_ends_the_run_which_goes_on_with_any_number(tmp_path: Path) -> None:
    words = (*TINY, "epochs=15", "checkpoint.every_steps=3")
    plain = snnrun(*words, cwd=tmp_path / "plain").run
    with subprocess.Popen(
        [*launcher(2), "-m", "snnrun", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        run = Run(tmp_path / "run")
        metrics, lock = run.folder / "metrics.jsonl", run.folder / "run.lock"
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") > 25) and process.poll() is None:
            time.sleep(0.02)
        (other,) = set(children(process.pid)) - {strict(lock.read_text())["pid"]}
        os.kill(other, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert err.count("snnrun: rank 1 of 2 processes was lost") == 1
    assert run.result["status"] == "failed"
    assert "rank 1 of 2 processes was lost" in run.result["error"]

    resumption = torchrun(3, "resume", "run", cwd=tmp_path)
    assert resumption.returncode == 0, resumption.stderr
    assert run.result["status"] == "finished"
    assert "parallel.world_size was 2 and is now 3" in resumption.stderr
    losses, expected = ([step["loss"] for step in of.metrics("step")] for of in (run, plain))
    assert len(losses) == len(expected) == 150
    assert losses[:50] == pytest.approx(expected[:50], rel=1e-5)
    for epoch, same in zip(run.metrics("epoch")[:5], plain.metrics("epoch"), strict=False):
        assert epoch["layers"] == same["layers"]  # counted by 2 processes, and then by 3


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_all_leave_together_when_the_time_is_up(tmp_path: Path) -> None:
    process = torchrun(2, *TINY, "epochs=100000", "max_seconds=1", cwd=tmp_path)
    assert [line.partition(";")[0] for line in messages(process)] == ["snnrun: max_seconds=1 are over"]
    run = Run(tmp_path / "run")
    assert run.result["status"] == "interrupted"
    states = list((run.folder / "checkpoints").glob("step-*.safetensors"))
    assert states


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-m", "seed=0,1"), 2, "a sweep under torchrun"),
        (("report.figures=true", "report.sample=359"), 2, "report.sample: expected at most 358"),
        (("surrogate=poisson_pass",), 2, "surrogate=poisson_pass (hidden1) draws random numbers"),
        (("loss=ce_membrane", "optimizer=sgd", "optimizer.lr=1e38"), 4, "not finite"),
    ],
)
def test_errors_are_shown_once(tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    keys = {word.partition("=")[0] for word in words}
    tiny = [word for word in TINY[:-1] if word.partition("=")[0] not in keys]
    process = torchrun(2, *tiny, "output_dir=made", *words, cwd=tmp_path)
    assert len(messages(process)) == 1
    assert message in process.stderr
    assert f"exitcode  : {code} " in process.stderr
    results = [strict(path.read_text()) for path in tmp_path.rglob("result.json")]
    assert [result["status"] for result in results] == (["failed"] if words[0] != "-m" else [])


def test_a_silent_process_is_named(tmp_path: Path) -> None:
    results = together({"silent": True, "patience": 5}, tmp_path)
    assert results["silent"].startswith("rank 1 of 2 processes was lost")


def encoders(task: str) -> list[str]:
    sequences = part("task", task).has_time
    return [
        name
        for name in options("encoder")
        if (part("encoder", name).takes_sequence if sequences else part("encoder", name).takes_still)
    ]


EVENT_SETS = ("cifar10_dvs", "dvs_gesture", "nmnist", "shd", "ssc")


CUES = ("delayed_xor", "evidence")


def test_every_task_and_encoder(tmp_path: Path) -> None:
    write_everything(tmp_path / "images", scale=4)
    jobs = {}
    whole = ("digits", "zeros")
    # An image set as a sequence has the images of another task; over the many steps of these and of the cues rounding
    # soon moves a spike, as with population codes.
    tasks = [task for task in options("task") if part("task", task).length is None and task not in CUES]
    others = [task for task in tasks if task not in whole]
    for task in tasks:
        write_event_set(tmp_path / "images", task)
        # Of the other tasks, most of which have images of one shape, each has its share of the encoders; but for
        # population codes, on whose many inputs rounding soon moves a spike (docs/data_parallel.md).
        names = [name for name in encoders(task) if task in whole or not name.startswith("population")]
        chosen = names if task in whole else names[others.index(task) :: len(others)]
        steps, lengths = part("task", task).has_steps, part("task", task).has_lengths
        # The values of the ECG and of time series may be below 0, which no encoder takes.
        for encoder in ["none"] if steps or lengths else chosen:
            losses = {"loss": "ce_steps"} if steps else {}
            config = assemble(task=task, encoder=encoder, optimizer="sgd", **losses)
            # The made-up sets of events are small: many passes make the steps.
            config |= {"num_steps": 5, "batch_size": 5}
            config["epochs"] = 8 if task in EVENT_SETS or lengths else 2 if steps else 1
            # Adam's first steps are as long for a gradient that is nothing but rounding as for any other.
            config["optimizer"]["lr"] = 0.01
            config["report"]["log_every"] = 1
            config["model"]["hidden"] = [10]
            if "batch_size" in config["task"]:
                config["task"] |= {"batch_size": 5, "steps_per_epoch": 50}
            if "path" in config["task"]:
                config["task"] |= {"path": "own", "data_dir": str(tmp_path / "images")}
            if "dataset" in config["task"]:
                config["task"] |= {"dataset": "own", "data_dir": str(tmp_path / "images")}
            if "clip" in config["task"]:
                config["task"]["clip"] = True  # several events in a cell are more than most encoders take
            jobs[f"{task} {encoder}"] = job(config, 50, tmp_path / "images")
    # A single spike of a hidden neuron may differ, which changes no loss yet.
    follow(jobs, tmp_path, spare=(*TIMES, "gradient_norm", "gradients", "layers"))
