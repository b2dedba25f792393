"""``snnrun runs``, ``show`` and ``diff`` on what training really leaves: finished, being written, killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.forked import snnrun
from support.shell import CommandResult, environment, program

SHORT = ("epochs=2", "num_steps=4", "report.figures=false", "report.summary=false")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> CommandResult:
    outcome = snnrun("-m", "seed=0,1", "neuron.beta=0.8", *SHORT, cwd=tmp_path_factory.mktemp("sweep"))
    assert outcome.code == 0, outcome.err
    return outcome


def test_runs(sweep: CommandResult) -> None:
    outcome = snnrun("runs", cwd=sweep.cwd)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[-1] == "2 runs: 2 finished"
    by_folder = {line.split()[-1]: line for line in lines[1:3]}
    for run, seed in zip(sweep.runs, "01", strict=True):
        line = by_folder[run.folder.relative_to(sweep.cwd / "outputs").as_posix()]
        accuracy = f"{100 * run.result['test_accuracy']:.2f}"
        assert line.split()[:4] == ["finished", accuracy, "%", "2"]
        changes = [*(["seed=1"] if seed == "1" else []), "neuron.beta=0.8", "num_steps=4"]
        assert f"  {' '.join(changes)} report.figures=false report.summary=false  " in line
        assert not (run.folder / "run.lock").exists()


def test_show(sweep: CommandResult) -> None:
    run = sweep.runs[1]
    outcome = snnrun("show", "1-lif-atan-s1", cwd=sweep.cwd)
    assert (outcome.code, outcome.err) == (0, "")
    settings = outcome.out.partition("settings that are not the default\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in settings.splitlines()] == [
        "seed=1",
        "num_steps=4",
        "epochs=2",
        "report.figures=false",
        "report.summary=false",
        "neuron.beta=0.8",
    ]
    assert run.result["weights_sha256"] in outcome.out
    assert run.manifest["packages"]["torch"] in outcome.out


def test_diff(sweep: CommandResult) -> None:
    outcome = snnrun("diff", "0-lif", "1-lif", cwd=sweep.cwd)
    assert (outcome.code, outcome.err) == (0, "")
    config = outcome.out.partition("config\n")[2].partition("\n\n")[0]
    assert [line.split() for line in config.splitlines()] == [["A", "B"], ["seed", "0", "1", "+1"]]
    assert "\nenvironment: no difference\n" in outcome.out
    assert "\n  weights_sha256  " in outcome.out


def test_a_run_that_is_killed_is_dead_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*program(), "epochs=1000000", "num_steps=2", "report.log_every=1000000"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            while not process.stdout.readline().startswith("epoch "):
                pass
            (run,) = snnrun("runs", cwd=tmp_path).out.splitlines()[1:2]
            assert run.startswith("running ")
            page = snnrun("show", "digits", cwd=tmp_path).out
            assert f"\nwritten by process {process.pid} on " in page
        finally:
            process.kill()
        process.wait()
        outcome = snnrun("runs", cwd=tmp_path)
    (line,) = outcome.out.splitlines()[1:2]
    assert line.startswith("dead")
    assert "/1000000 " in line, "with the epochs it did"
