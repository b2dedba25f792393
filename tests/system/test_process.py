"""The command in a process of its own: its exit codes, character sets, and streams that are closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.made_up import make_run
from support.shell import environment, program


def test_a_fault(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "snnrun", "epochs=abc", "neuron=lff"]
    process = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "2 faults in the command" in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_a_simulation(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "snnrun", "simulate", "input=spikes", "num_neurons=2000", "num_steps=300"]
    process = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert "traces.csv holds 333 of 2000 neurons, traces.npz all" in process.stdout
    assert len(list(tmp_path.glob("outputs/*/*/figures/traces.svg"))) == 1


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_any_character_set(tmp_path: Path, encoding: str) -> None:
    make_run(tmp_path / "outputs" / "µ→学", manifest={"platform": "β"})
    script = "import sys; from snnrun.cli import main; sys.exit(main(sys.argv[1:]))"
    for line in (["runs"], ["show", "outputs/µ→学"], ["diff", "outputs/µ→学", "outputs/µ→学"]):
        process = subprocess.run(
            [sys.executable, "-X", "utf8=0", "-c", script, *line],
            cwd=tmp_path,
            env={"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(sys.path), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=False,
        )
        assert (process.returncode, process.stderr) == (0, b"")
        process.stdout.decode(encoding)


#: What a shell does with the streams of a command, and which of them are left.
REDIRECTIONS = {
    ">&-": "stderr",
    ">/dev/full": "stderr",
    "2>&-": "stdout",
    "2>/dev/full": "stdout",
    ">&- 2>&-": "",
    ">/dev/full 2>/dev/full": "",
    ">&- 2>/dev/full <&-": "",
}
QUICK = (
    "report.figures=false report.summary=false task=zeros task.steps_per_epoch=2 batch_size=4 num_steps=3 epochs=1 "
    "model.hidden=[4]"
)


def run_shell(words: str, redirection: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = " ".join([*program(), words, redirection])
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_a_process_without_streams(redirection: str, tmp_path: Path) -> None:
    right, wrong = (run_shell(words, redirection, tmp_path) for words in ("list neuron", "nope=1"))
    assert (right.returncode, wrong.returncode) == (0 if REDIRECTIONS[redirection] == "stdout" else 6, 2)
    assert "Traceback" not in right.stderr + wrong.stderr and "bug" not in right.stderr + wrong.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize("words", ["", "-m seed=0,1", "-m seed=0,1 hydra/launcher=local_parallel"])
def test_a_run_without_streams(words: str, redirection: str, tmp_path: Path) -> None:
    run = run_shell(f"{words} '{QUICK.replace(' ', chr(39) + ' ' + chr(39))}'", redirection, tmp_path)
    assert run.returncode == 0, run.stderr
    results = list(tmp_path.rglob("result.json"))
    assert len(results) == (2 if words else 1)
    for path in results:
        assert '"finished"' in path.read_text()
        for name in ("metrics.jsonl", "config.yaml", "manifest.json"):
            assert b"samples/s" not in (path.parent / name).read_bytes(), "nothing printed went into a file of the run"


@pytest.mark.skipif(os.name != "posix", reason="pipes break differently elsewhere")
def test_a_broken_pipe_neither_ends_the_run_nor_spoils_its_exit_code(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from snnrun.report import Console\n"
        "with Console() as console:\n"
        "    console.attach(Path(sys.argv[1]))\n"
        "    for i in range(1000): console.line(f'line {i} ' + 'x' * 1000)\n"
        "print('also after the end')\n"
    )
    log = tmp_path / "run.log"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 0
    assert len(log.read_text().splitlines()) == 1000
