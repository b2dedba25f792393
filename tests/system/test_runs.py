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
    ended = snnrun("-m", "seed=0,1", "neuron.beta=0.8", *SHORT, cwd=tmp_path_factory.mktemp("sweep"))
    assert ended.code == 0, ended.err
    return ended


def test_runs(sweep: CommandResult) -> None:
    ended = snnrun("runs", cwd=sweep.cwd)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
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
    ended = snnrun("show", "1-lif-atan-s1", cwd=sweep.cwd)
    assert (ended.code, ended.err) == (0, "")
    settings = ended.out.partition("settings that are not the default\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in settings.splitlines()] == [
        "seed=1",
        "num_steps=4",
        "epochs=2",
        "report.figures=false",
        "report.summary=false",
        "neuron.beta=0.8",
    ]
    assert run.result["weights_sha256"] in ended.out
    assert run.manifest["packages"]["torch"] in ended.out


def test_diff(sweep: CommandResult) -> None:
    ended = snnrun("diff", "0-lif", "1-lif", cwd=sweep.cwd)
    assert (ended.code, ended.err) == (0, "")
    config = ended.out.partition("config\n")[2].partition("\n\n")[0]
    assert [line.split() for line in config.splitlines()] == [["A", "B"], ["seed", "0", "1", "+1"]]
    assert "\nenvironment: no difference\n" in ended.out
    assert "\n  weights_sha256  " in ended.out


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
            shown = snnrun("show", "digits", cwd=tmp_path).out
            assert f"\nwritten by process {process.pid} on " in shown
        finally:
            process.kill()
        process.wait()
        ended = snnrun("runs", cwd=tmp_path)
    (line,) = ended.out.splitlines()[1:2]
    assert line.startswith("dead")
    assert "/1000000 " in line, "with the epochs it did"
