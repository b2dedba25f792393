"""The command around the training: sweeps, backends, terminals, interrupts, and folders that are none."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.forked import snnrun
from support.shell import CommandResult, Run, environment, on_a_terminal, program

SHORT = ("epochs=1", "num_steps=8", "report.figures=false")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> CommandResult:
    return snnrun("-m", "neuron=if,lif", "seed=0,1", *SHORT, cwd=tmp_path_factory.mktemp("sweep"))


def test_a_sweep_leaves_a_record_for_each_job(sweep: CommandResult) -> None:
    assert sweep.code == 0, sweep.err
    assert len(sweep.runs) == 4
    parents = {run.folder.parent for run in sweep.runs}
    assert len(parents) == 1
    assert [run.folder.name for run in sweep.runs] == ["0-if-atan-s0", "1-if-atan-s1", "2-lif-atan-s0", "3-lif-atan-s1"]
    for run, seed in zip(sweep.runs, [0, 1, 0, 1], strict=True):
        assert run.result["status"] == "finished"
        assert run.manifest["seed"] == seed
        assert len(run.metrics("epoch")) == 1
        assert (run.folder / "summary.txt").exists()


def test_every_job_trains_a_network_of_its_own(sweep: CommandResult) -> None:
    assert len({run.result["weights_sha256"] for run in sweep.runs}) == 4
    assert len({run.manifest["data"]["digits"] for run in sweep.runs}) == 1, "on the same data"


def test_a_log_holds_the_lines_of_its_job_alone(sweep: CommandResult) -> None:
    logs = [run.text("run.log") for run in sweep.runs]
    assert all(log.count("epoch 1/1") == 1 for log in logs)
    lines = [line for line in sweep.out.splitlines(keepends=True) if not line.startswith("snnrun: job ")]
    assert "".join(lines).startswith("".join(logs) + "\nconfiguration")


def test_the_backend_and_the_threads_are_recorded(tmp_path: Path, sweep: CommandResult) -> None:
    outcome = snnrun("-m", "neuron=lif", "backend=reference,fused", "threads=2", *SHORT, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert [run.manifest["backend"] for run in outcome.runs] == ["reference", "fused"]
    assert [run.manifest["threads"] for run in outcome.runs] == [2, 2]
    reference_step, fused_step = (run.metrics("step")[0] for run in outcome.runs)
    assert reference_step["loss"] == pytest.approx(fused_step["loss"], rel=1e-4)
    assert reference_step["gradient_norm"] == pytest.approx(fused_step["gradient_norm"], rel=1e-3)
    alone: Run = sweep.runs[2]  # lif, seed 0, backend=auto
    assert alone.manifest["backend"] == "fused"
    assert alone.manifest["threads"] == 1


def test_no_color(tmp_path: Path) -> None:
    """A terminal that wants no colour still gets its bar."""
    words = ("neuron=if", "neuron.threshold=1000", "epochs=2", "num_steps=4", "report.figures=false")
    outcome = on_a_terminal(*words, cwd=tmp_path, env={"NO_COLOR": "1"})
    assert outcome.code == 0
    colours = [code for code in ESCAPE.findall(outcome.out) if code.endswith("m") and re.search(r"\b[349]\d", code)]
    assert not colours
    assert "warning: layer 'hidden1': all of its neurons never fired" in ESCAPE.sub("", outcome.out)
    assert "\x1b" not in outcome.run.text("run.log")


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    outcome = snnrun("output_dir=taken", cwd=tmp_path)
    assert outcome.code == 2
    assert "output_dir: " in outcome.err and "got 'taken'" in outcome.err
    assert "Traceback" not in outcome.err
    assert (tmp_path / "taken").read_text() == "mine"


def test_an_interrupt_keeps_what_was_done(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*program(), "epochs=1000000", "num_steps=2", "report.log_every=1000000"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("epoch ") and len(lines) == 3:  # the weights of the first epoch are on disk by now
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    run = CommandResult(process.returncode, "".join(lines) + out, err, tmp_path).run
    assert err == f"snnrun: interrupted\nsnnrun resume {run.folder.relative_to(tmp_path)}\n"
    assert run.result["status"] == "interrupted"
    assert run.result["epochs"] == len(run.metrics("epoch")) >= 1
    assert (run.folder / "checkpoints/last.safetensors").exists()
    assert not list(run.folder.rglob("*.tmp"))
