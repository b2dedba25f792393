"""The console on a pipe, on a pseudo-terminal, on streams that fail, and its log."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pytest

from snnrun.errors import StorageError
from snnrun.report import Console
from snnrun.report.lines import epoch_line, silent_share, step_words
from snnrun.training.records import EpochRecord, StepRecord

EPOCH_VALUES: dict[str, Any] = {
    "kind": "epoch", "epoch": 3, "step": 30, "train_loss": 0.412, "validation_loss": 0.388, "train_accuracy": 0.9,
    "validation_accuracy": 0.931, "samples_per_second": 11204.4, "best": True, "layers": {"output": {"silent": 0.12}},
}  # fmt: skip
EPOCH = EpochRecord.from_json(EPOCH_VALUES)
STEP = StepRecord.from_json(
    {"epoch": 3, "step": 24, "loss": 0.5, "accuracy": 0.75, "samples_per_second": 9876.0},
)
LINE = "epoch  3/10  loss 0.412  validation 0.388  accuracy  93.1 %  silent  12 %   11,204 samples/s"


def write_one_of_each(console: Console) -> None:
    console.line("hello")
    console.start(10, 10)
    console.record(EPOCH)
    console.record(replace(STEP, epoch=4, step=34))
    console.warning("careful")
    console.error("broken")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A stream on a pseudo-terminal of 120 columns, and the descriptor of its other end."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are a thing of POSIX")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream, master
    os.close(master)


def terminal_output(master: int) -> str:
    os.set_blocking(master, False)
    parts = []
    try:
        while part := os.read(master, 65536):
            parts.append(part)
    except (BlockingIOError, OSError):  # nothing more
        pass
    return b"".join(parts).decode()


def visible(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_epoch_line() -> None:
    assert epoch_line(EPOCH, 10) == LINE
    assert epoch_line(EpochRecord.from_json({"epoch": 1, "train_loss": float("nan")})) == "epoch 1  loss   nan"


def test_epoch_lines_are_aligned() -> None:
    changes = {"epoch": 10, "train_loss": 2.30258, "validation_accuracy": 1.0, "samples_per_second": 987.0}
    other = {**EPOCH_VALUES, **changes, "layers": {"output": {"silent": 0.0}}}
    first, second = epoch_line(EPOCH, 10), epoch_line(EpochRecord.from_json(other), 10)
    assert len(first) == len(second)
    for word in ("loss", "validation", "accuracy", "silent", "samples/s"):
        assert first.index(word) == second.index(word)


def test_epoch_lines_keep_to_the_width() -> None:
    for width in (200, 80, 70, 60, 40):
        line = epoch_line(EPOCH, 10, width)
        assert len(line) <= width
        assert line.startswith(LINE[:23]), "what the epoch is, and its loss"
        assert "93.1 %" in line or width < 60
    assert epoch_line(EPOCH, 10, 200) == LINE
    assert epoch_line(EPOCH, 10, 10) == LINE[:23], "that much is always said"


def test_silent_share_counts_neurons_where_they_are_known() -> None:
    layers = {"hidden1": {"silent": 0.8, "neurons": 90}, "output": {"silent": 0.0, "neurons": 10}}
    assert silent_share(EpochRecord.from_json({"layers": layers})) == pytest.approx(0.72)
    assert silent_share(
        EpochRecord.from_json({"layers": {"a": {"silent": 0.2}, "b": {"silent": 0.4}}})
    ) == pytest.approx(0.3)
    assert silent_share(EpochRecord.from_json({})) is None


def test_step_words_keep_to_the_width() -> None:
    full = step_words(STEP, 0.12, 80)
    assert full == "loss 0.500  accuracy 75.0 %  silent 12 %  9,876 samples/s"
    for width in range(80):
        text = step_words(STEP, 0.12, width)
        assert len(text) <= width
        assert text.startswith("loss") or width < len("loss 0.500")


def test_a_pipe_gets_plain_lines_and_the_log_the_same(tmp_path: Path) -> None:
    out, errors = io.StringIO(), io.StringIO()
    with Console(stream=out, error_stream=errors) as console:
        console.line("before the log")
        console.attach(tmp_path / "run.log")
        write_one_of_each(console)
    assert out.getvalue() == f"before the log\nhello\n{LINE}\n"
    assert errors.getvalue() == "warning: careful\nerror: broken\n"
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert log == out.getvalue() + errors.getvalue()


def test_the_log_is_continued(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with Console(stream=io.StringIO()) as console:
            console.attach(tmp_path / "run.log")
            console.line(text)
    assert (tmp_path / "run.log").read_text() == "first\nsecond\n"


def test_a_log_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"run\.log"):
        Console(stream=io.StringIO()).attach(tmp_path / "absent" / "run.log")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_storage_error_unless_an_error_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    # A log is a regular file, and this is none.
    monkeypatch.setattr("snnrun.system.files.open_to_append", lambda path: os.open(path, os.O_WRONLY))
    out, errors = io.StringIO(), io.StringIO()
    console = Console(stream=out, error_stream=errors)
    console.attach(Path("/dev/full"))
    with pytest.raises(StorageError):
        console.line("seen all the same")
    console.error("the first cause")
    assert (out.getvalue(), errors.getvalue()) == ("seen all the same\n", "error: the first cause\n")
    with pytest.raises(KeyError), console:  # not the log's own failure on closing
        raise KeyError


def test_a_terminal_gets_a_bar_above_which_the_lines_stand(terminal: tuple[TextIO, int], tmp_path: Path) -> None:
    stream, master = terminal
    with Console(stream=stream, error_stream=stream) as console:
        console.attach(tmp_path / "run.log")
        write_one_of_each(console)
    text = terminal_output(master)
    assert "\x1b[" in text
    screen = visible(text).replace("\r", "")
    for line in ("hello\n", f"{LINE}\n", "warning: careful\n", "error: broken\n"):
        assert line in screen
    assert re.search(r"epoch  4/10   4/10 .*loss 0\.500  accuracy 75\.0 %  silent 12 %  9,876 samples/s .*left", screen)
    assert (tmp_path / "run.log").read_text() == f"hello\n{LINE}\nwarning: careful\nerror: broken\n"


def colours(text: str) -> set[str]:
    codes = {code for codes in re.findall(r"\x1b\[([0-9;]*)m", text) for code in codes.split(";")}
    return {code for code in codes if code[:1] in "349" and len(code) == 2}


def test_no_color_is_respected(terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch) -> None:
    stream, master = terminal
    with Console(stream=stream, error_stream=stream) as console:
        write_one_of_each(console)
    assert colours(terminal_output(master))
    monkeypatch.setenv("NO_COLOR", "1")
    with Console(stream=stream, error_stream=stream) as console:
        write_one_of_each(console)
    text = terminal_output(master)
    assert not colours(text)
    assert "loss 0.500" in visible(text)  # the bar is no colour


def test_without_progress_a_terminal_gets_lines_only(terminal: tuple[TextIO, int]) -> None:
    stream, master = terminal
    with Console(progress=False, stream=stream, error_stream=stream) as console:
        write_one_of_each(console)
    screen = visible(terminal_output(master)).replace("\r", "")
    assert screen == f"hello\n{LINE}\nwarning: careful\nerror: broken\n"


def test_a_dumb_terminal_gets_no_control_characters(
    terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, master = terminal
    monkeypatch.setenv("TERM", "dumb")
    with Console(stream=stream, error_stream=stream) as console:
        write_one_of_each(console)
    assert "\x1b" not in terminal_output(master)


def test_a_long_line_is_broken_between_words_and_never_in_a_command(
    terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, master = terminal
    command = "`snnrun resume outputs/of/a/run neuron.beta=0.9`"
    monkeypatch.setenv("COLUMNS", "60")
    with Console(stream=stream) as console:
        console.line("word " * 40 + f"{command} [bold]end[/bold]")
    lines = visible(terminal_output(master)).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split() == [*["word"] * 40, *command.split(), "[bold]end[/bold]"]
    assert any(command in line for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_the_stream_lacks_are_escaped(encoding: str, tmp_path: Path) -> None:
    raw = io.BytesIO()
    with Console(stream=io.TextIOWrapper(raw, encoding=encoding)) as console:
        console.attach(tmp_path / "run.log")
        console.line("θ = 1 \udc80")
        assert raw.getvalue() == b"\\u03b8 = 1 \\udc80\n"
    assert (tmp_path / "run.log").read_text(encoding="utf-8") == "θ = 1 \\udc80\n"


def test_a_closed_stream_is_silent(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(stream=stream, error_stream=stream)
    console.attach(tmp_path / "run.log")
    stream.close()
    write_one_of_each(console)
    console.close()
    console.close()
    assert (tmp_path / "run.log").read_text().count("\n") == 4
