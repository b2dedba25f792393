"""Signals at every moment of a run: a folder that is there says how it ended.

Signals are raised by the tracer between two lines of snnrun's own code, so that no moment is left to chance.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

import snnrun
from snnrun.cli import main
from snnrun.job.job import Job
from snnrun.run import execute
from snnrun.training.stop import SIGNALS, Interrupted, Stop, mask_signals
from support.small import config_for

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals"),
    # A signal between the opening of a file and the `with` around it leaves it to the collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

WORDS = [
    "report.figures=false",
    "report.summary=false",
    "report.progress=false",
    "task=zeros",
    "task.steps_per_epoch=1",
    "batch_size=4",
    "num_steps=2",
    "model.hidden=[2]",
    "epochs=1",
]
SIMULATION = ["simulate", "num_steps=3", "neuron=if", "style.format=png"]
#: Where signals are sent: from the making of the folder to the last word.
FILES = {
    str(Path(snnrun.__file__).parent / name)
    for name in (
        "cli/launch.py",
        "run/train.py",
        "run/execute.py",
        "run/folder.py",
        "run/run_folder.py",
        "run/simulate.py",
        "sweep/job.py",
        "sweep/engine.py",
        "training/state.py",
        "training/stop.py",
        "system/files.py",
        "system/lock.py",
        "config/fingerprint.py",
    )
} | {__file__}
assert all(Path(name).exists() for name in FILES)


#: The functions with which the first folder is made.
BEGIN = ("begin", "_in_place", "_begin")


class Death(BaseException):
    """The process is ended by the signal, which nobody hears."""


class Tracer:
    """Sends ``signals``, one each between lines, from the line number ``first`` on; counts the lines."""

    def __init__(self, first: int | None, signals: tuple[int, ...]) -> None:
        self.lines, self._first, self._left, self._begun = 0, first, list(signals), False
        self.places: list[str] = []  # where signals were sent

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in FILES else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._begun |= frame.f_code.co_name in BEGIN
        if event == "line" and self._begun:
            self.lines += 1
            if self._first is not None and self.lines >= self._first and self._left:
                self.places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
                signal.raise_signal(self._left.pop(0))
        return self._line


def die(number: int, frame: FrameType | None) -> None:
    """What the system does of a signal for which there is no handler."""
    raise Death


def be_mortal() -> None:
    for number in SIGNALS:
        signal.signal(number, die)


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that dies, as any does, of a signal for which there is no handler."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    be_mortal()
    # A signal between the opening of a file and the `with` around it leaves it to the collector.
    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda unraisable: None)
        yield
        gc.collect()
    for number, handler in before.items():
        signal.signal(number, handler)


def train() -> int:
    """What the command does once it has checked all: makes a folder, and trains."""
    config = config_for(*WORDS)
    folder = Path("run")
    job = Job.of(config, folder=folder, command=["snnrun"])

    def begin() -> None:
        with mask_signals():
            (folder / ".hydra").mkdir(parents=True)
            execute.execute(job)

    try:
        begin()
        return 0
    except Interrupted as interrupt:
        return interrupt.exit_code


def trace(run: Callable[[], int], first: int | None, *signals: int) -> tuple[int | None, Tracer]:
    """The exit code, None if the process died of the signal; and the tracer."""
    tracer = Tracer(first, signals)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        return run(), tracer
    except Death:
        be_mortal()  # it may have died while handlers were put back
        return None, tracer
    finally:
        sys.settrace(before)


def check(code: int | None, folder: Path) -> None:
    """That every folder of a run says how it ended, and the exit code the same."""
    runs = [path.parent for path in folder.rglob(".hydra")]
    for run in runs:
        status = json.loads((run / "result.json").read_text())["status"]
        assert status in ("finished", "interrupted"), (run / "result.json").read_text()
        assert not list(run.rglob("*.tmp")) and not (run / "run.lock").exists()
        if status == "interrupted":
            assert code in (130, 143, None)
        if code == 0:
            assert status == "finished"
    if code == 0:
        assert runs


def at_every(step: int, run: Callable[[], int], where: Path, *signals: int) -> None:
    code, tracer = trace(run, None)
    assert code == 0 and tracer.lines > 100
    check(code, where)
    for first in range(1, tracer.lines + 1, step):
        folder = where / str(first)
        folder.mkdir()
        os.chdir(folder)
        code, last = trace(run, first, *signals)
        try:
            check(code, folder)
        except (AssertionError, OSError) as error:
            raise AssertionError(f"line {first} of {tracer.lines}, at {last.places}") from error


KINDS = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "two": (signal.SIGINT, signal.SIGTERM),
    "four": (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest without what takes time to find out; the same config is put into YAML once."""
    module = sys.modules["snnrun.report.manifest"]
    monkeypatch.setattr(module, "_packages", dict)
    monkeypatch.setattr(module, "git_state", lambda folder: None)
    dump = yaml.safe_dump
    texts: dict[str, str] = {}

    def remember(value: Any, **options: Any) -> str:
        key = repr((value, options))
        if key not in texts:
            texts[key] = dump(value, **options)
        return texts[key]

    monkeypatch.setattr(yaml, "safe_dump", remember)


def test_at_some_moments(quick: None, mortal: None, tmp_path: Path) -> None:
    at_every(53, train, tmp_path, *KINDS["two"])


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_at_every_moment(kind: str, quick: None, mortal: None, tmp_path: Path) -> None:
    at_every(2, train, tmp_path, *KINDS[kind])


@pytest.mark.long
@pytest.mark.parametrize("kind", ["SIGTERM", "two"])
@pytest.mark.parametrize("words", [WORDS, [*WORDS, "-m", "seed=0,1"], SIMULATION], ids=["train", "sweep", "simulate"])
def test_at_some_moments_of_the_command(words: list[str], kind: str, quick: None, mortal: None, tmp_path: Path) -> None:
    at_every(199, lambda: main(words), tmp_path, *KINDS[kind])


def test_a_signal_goes_to_the_inner_stop(mortal: None) -> None:
    with mask_signals():
        signal.raise_signal(signal.SIGTERM)
        stop = Stop()
        with stop.handle_signals(mask=True), pytest.raises(Interrupted) as error, stop.unmask():
            raise AssertionError("it is raised at once")
    assert error.value.exit_code == 143


def test_a_masked_signal_goes_to_the_outer_stop(mortal: None) -> None:
    steps = []
    with pytest.raises(Interrupted), Stop().handle_signals():
        with mask_signals():
            stop = Stop()
            with stop.handle_signals(mask=True):
                stop.mask()
                signal.raise_signal(signal.SIGINT)
                steps.append("the result")
            steps.append("the job")
        steps.append("the next job")
    assert steps == ["the result", "the job"]


def test_a_third_signal_raises_nothing(mortal: None) -> None:
    stop = Stop()
    with stop.handle_signals():
        with pytest.raises(Interrupted), stop.defer():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        assert stop.second_signal
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Death):
        signal.raise_signal(signal.SIGINT)
