"""Output that cannot be written: the exit code says what became of the command, not of its words."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snnrun.cli import main
from snnrun.system.stream import SafeStream, safe_output
from support.command import Command, Training
from support.made_up import make_run
from support.shell import environment, program

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


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    return make_run(tmp_path / "outputs" / "good")


ANSWERS = (
    "list",
    "list neuron lif",
    "--help",
    "--version",
    "runs",
    "show good",
    "diff good good",
    "runs --help",
    "--cfg job",
    "-m seed=0,1 --dry-run",
)


@pytest.mark.parametrize("stream", [Full, lambda: None])
@pytest.mark.parametrize("words", ANSWERS)
def test_an_answer_that_nobody_gets_is_a_fault(
    words: str, stream: type[Full], outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", stream())
    assert main(words.split()) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("snnrun: the answer could not be written: ")


@pytest.mark.parametrize("words", ["nope=1", "list nope", "runs nowhere", "resume nothing", "--nope"])
def test_a_fault_keeps_its_code(words: str, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    for stream in (Full(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        assert main(words.split()) == 2


def test_a_report_is_written_whoever_reads_where(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["report", "good"]) == 0
    assert (outputs / "report.html").is_file()


@pytest.mark.parametrize("words", [["seed=1"], ["-m", "seed=0,1"]])
def test_a_run_is_a_run_whoever_watches(
    words: list[str], command: Command, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(call: dict[str, object]) -> None:
        print("a line", flush=True)
        print("a warning", file=sys.stderr, flush=True)

    training.behaviour = run
    for stream in (Full, lambda: None):
        before = len(training.calls)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream())
            patch.setattr(sys, "stderr", stream())
            code = main(words)
        assert len(training.calls) > before
        assert code in (0, 7), "7: the stand-in leaves no result in a sweep"


def test_the_streams_come_back() -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), safe_output() as out:
        assert sys.stdout is not before[0] and out.error is None
        raise KeyError
    assert (sys.stdout, sys.stderr) == before


def test_a_stream_says_what_broke_it() -> None:
    stream = SafeStream(Full())
    assert stream.write("a") == 1
    assert isinstance(stream.error, OSError) and stream.error.errno == errno.ENOSPC
    stream.flush()
    none = SafeStream(None)
    none.flush()
    assert none.error is None
    none.write("a")
    assert isinstance(none.error, OSError)


def ended(words: str, redirection: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = " ".join([*program(), words, redirection])
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_a_process_without_streams(redirection: str, tmp_path: Path) -> None:
    listed, wrong = (ended(words, redirection, tmp_path) for words in ("list neuron", "nope=1"))
    assert (listed.returncode, wrong.returncode) == (0 if REDIRECTIONS[redirection] == "stdout" else 6, 2)
    assert "Traceback" not in listed.stderr + wrong.stderr and "bug" not in listed.stderr + wrong.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize("words", ["", "-m seed=0,1", "-m seed=0,1 hydra/launcher=local_parallel"])
def test_a_run_without_streams(words: str, redirection: str, tmp_path: Path) -> None:
    run = ended(f"{words} '{QUICK.replace(' ', chr(39) + ' ' + chr(39))}'", redirection, tmp_path)
    assert run.returncode == 0, run.stderr
    results = list(tmp_path.rglob("result.json"))
    assert len(results) == (2 if words else 1)
    for path in results:
        assert '"finished"' in path.read_text()
        for name in ("metrics.jsonl", "config.yaml", "manifest.json"):
            assert b"samples/s" not in (path.parent / name).read_bytes(), "nothing printed went into a file of the run"
