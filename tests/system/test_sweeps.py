"""Sweeps by the real command: launchers that agree, jobs that are killed, sweeps that are stopped and go on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.shell import CommandResult, Run, environment, program, snnrun, strict

SMALL = (
    "task=zeros",
    "num_steps=4",
    "task.size_input=20",
    "task.size_output=10",
    "report.figures=false",
    "report.summary=false",
)
PARALLEL = ("hydra/launcher=local_parallel", "hydra.launcher.n_jobs=2")


class Sweep:
    """A sweep in ``cwd/sweep``, as its folder tells."""

    def __init__(self, cwd: Path, *words: str) -> None:
        self.cwd, self.words, self.folder = cwd, ("-m", *words, "hydra.sweep.dir=sweep"), cwd / "sweep"

    def start(self) -> subprocess.Popen[str]:
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*program(), *self.words], cwd=self.cwd, env=environment(), **pipes)

    def resume(self) -> CommandResult:
        return snnrun(*self.words, "--resume", cwd=self.cwd)

    @property
    def jobs(self) -> list[Run]:
        book = strict((self.folder / "sweep.json").read_text())
        return [Run(self.folder / job["folder"]) for job in book["jobs"]]

    @property
    def weights(self) -> list[str]:
        return [job.result["weights_sha256"] for job in self.jobs]

    def attempts(self, number: int) -> int:
        """How often a process trained it."""
        return (self.folder / "logs" / f"{number}.txt").read_text().count("MLP with ")


def until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not ready():
        if process.poll() is not None:
            raise AssertionError(process.communicate())
        time.sleep(0.005)


def holder(folder: Path) -> int | None:
    """The process that trains there, once there is a line of metrics."""
    with suppress(OSError, ValueError, KeyError):
        if (folder / "metrics.jsonl").stat().st_size:
            return int(json.loads((folder / "run.lock").read_text())["pid"])
    return None


AGREE = ("task=digits", "epochs=1", "num_steps=4", "report.figures=false", "neuron=lif,if")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("serial"), *AGREE)
    outcome = snnrun(*sweep.words, cwd=sweep.cwd)
    assert outcome.code == 0, outcome.err
    return sweep


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("snnrun", PARALLEL),
        pytest.param(*("submitit", ("hydra/launcher=slurm", "hydra.launcher.cluster=local"))),
        pytest.param("ray", ("hydra/launcher=ray", "hydra.launcher.n_jobs=2")),
    ],
)
def test_all_launchers_give_the_same_weights(
    package: str, words: tuple[str, ...], serial: Sweep, tmp_path: Path
) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    other = Sweep(tmp_path, *AGREE, *words)
    outcome = snnrun(*other.words, cwd=other.cwd)
    assert outcome.code == 0, outcome.err
    assert serial.weights == other.weights
    assert len(set(serial.weights)) == 2
    assert {job.manifest["threads"] for job in (*serial.jobs, *other.jobs)} == {1}


def test_a_killed_job_and_a_stopped_sweep(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, *SMALL, "epochs=100", "seed=0,1,2", *PARALLEL)
    with sweep.start() as process:
        until(lambda: holder(sweep.folder / "0-lif-atan-s0") is not None, process)
        os.kill(holder(sweep.folder / "0-lif-atan-s0") or 0, signal.SIGKILL)
        until(lambda: holder(sweep.folder / "2-lif-atan-s2") is not None, process)  # the others go on
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 143, err
    assert "job 1 of 3" in err and "its process was killed (SIGKILL" in err
    assert "the same command with --resume runs the rest" in err
    assert sweep.jobs[2].result["status"] == "interrupted"
    outcome = sweep.resume()
    assert outcome.code == 0, outcome.err
    assert [job.result["status"] for job in sweep.jobs] == ["finished"] * 3
    assert len(sweep.jobs[2].manifest["resumed"]) == 1
    assert [len(job.metrics("epoch")) for job in sweep.jobs] == [100] * 3
    alone = snnrun(*SMALL, "epochs=100", "seed=2", "threads=1", cwd=tmp_path / "alone")
    assert alone.run.result["weights_sha256"] == sweep.weights[2]


def test_a_hundred_jobs_of_which_ten_are_killed(tmp_path: Path) -> None:
    count, epochs = 100, 12
    seeds = ",".join(map(str, range(count)))
    sweep = Sweep(tmp_path, *SMALL, f"epochs={epochs}", f"seed={seeds}", *PARALLEL)
    victims = set(random.Random(0).sample(range(count), 10))
    alive, kills = set(victims), set()
    with sweep.start() as process:
        while process.poll() is None:
            for number in sorted(alive):
                if (pid := holder(sweep.folder / f"{number}-lif-atan-s{number}")) is not None:
                    alive.remove(number)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        kills.add(number)
            time.sleep(0.002)
        err = process.communicate()[1]
    failures = {i for i, job in enumerate(sweep.jobs) if not (job.folder / "result.json").exists()}
    assert process.returncode == 7, err
    assert failures and failures <= kills
    assert f"{len(failures)} of 100 jobs failed:" in err
    outcome = sweep.resume()
    assert outcome.code == 0, outcome.err
    assert f"{count - len(failures)} of 100 jobs are finished already" in outcome.out
    assert all(job.result["status"] == "finished" for job in sweep.jobs)
    assert all(len(job.metrics("epoch")) == epochs for job in sweep.jobs)
    assert {i for i in range(count) if sweep.attempts(i) > 1} == failures, "none was trained twice"
    assert all(sweep.attempts(i) == 2 for i in failures)
    assert len(set(sweep.weights)) == count


CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def test_ray_on_two_nodes(serial: Sweep, tmp_path: Path) -> None:
    """Each node is a process of its own, on the loopback, with one CPU; so the two jobs run on both, or in turn."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], env=environment(), cwd=tmp_path, **pipes) as cluster:
        assert cluster.stdin is not None and cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        sweep = Sweep(tmp_path, *AGREE, "hydra/launcher=ray", f'hydra.launcher.address="{address}"')
        outcome = snnrun(*sweep.words, cwd=tmp_path)
        cluster.stdin.close()
    assert outcome.code == 0, outcome.err
    assert sweep.weights == serial.weights
