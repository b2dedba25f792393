"""Output that cannot be written: the exit code says what became of the command, not of its words."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from snnrun.cli import main
from snnrun.system.stream import SafeStream, safe_output
from support.command import Command, Training
from support.made_up import make_run


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    return make_run(tmp_path / "outputs" / "good")


COMMANDS = (
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
@pytest.mark.parametrize("words", COMMANDS)
def test_output_that_nobody_gets_is_a_fault(
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


def test_a_stream_names_what_broke_it() -> None:
    stream = SafeStream(Full())
    assert stream.write("a") == 1
    assert isinstance(stream.error, OSError) and stream.error.errno == errno.ENOSPC
    stream.flush()
    none = SafeStream(None)
    none.flush()
    assert none.error is None
    none.write("a")
    assert isinstance(none.error, OSError)
