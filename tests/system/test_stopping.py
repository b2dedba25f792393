"""Runs that are asked to stop, and what may be done with them afterwards: resume, evaluate, reproduce."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from snnrun.cli import main
from snnrun.run import browse, checkpoint
from snnrun.run.compare import compare
from snnrun.system.lock import RunLock
from support.paths import CONF
from support.shell import Run, contents, environment, program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

QUIET = ["report.figures=false", "report.summary=false", "report.progress=false"]
#: Long enough for a signal to come in between: seconds, not tenths.
WORDS = [*QUIET, "epochs=6", "batch_size=16", "model.dropout=0.2", "checkpoint.every_steps=40"]
LIMIT = 120  # seconds after which a command hangs


class Command:
    """A command that is running in ``folder``."""

    def __init__(self, folder: Path, *words: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._process = subprocess.Popen(
            [*program(), *words], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def until(self, event: Callable[[], bool]) -> Command:
        """Wait for something to happen, which must be before the end."""
        deadline = time.monotonic() + LIMIT
        while not event():
            if self._process.poll() is not None:
                raise AssertionError(f"ended before: {self.wait()}")
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return self

    def send(self, *numbers: signal.Signals) -> Command:
        for number in numbers:
            self._process.send_signal(number)
        return self

    def wait(self) -> tuple[int, str, str]:
        try:
            out, err = self._process.communicate(timeout=LIMIT)
        finally:
            self._process.kill()
        return self._process.returncode, out.decode(), err.decode()


def training(run: Path) -> Callable[[], bool]:
    """Says whether the run has saved two states."""
    return lambda: len(checkpoint.states(run / "checkpoints")) == 2


def steps(run: Path) -> list[int]:
    return [checkpoint.load_state(path)["progress"]["step"] for path in checkpoint.states(run / "checkpoints")]


def newest_step(run: Path) -> tuple[int, int]:
    """Epoch and step of the newest state."""
    progress = checkpoint.load_state(checkpoint.states(run / "checkpoints")[0])["progress"]
    return progress["epoch"], progress["step"]


def temporary_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    code, _, err = Command(folder, *WORDS, "hydra.run.dir=run").wait()
    assert (code, err) == (0, "")
    return folder / "run"


@pytest.fixture(scope="session")
def interrupted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, interrupted by SIGTERM."""
    folder = tmp_path_factory.mktemp("interrupted")
    run = folder / "run"
    command = Command(folder, *WORDS, "hydra.run.dir=run").until(training(run))
    code, _, err = command.send(signal.SIGTERM).wait()
    assert (code, err) == (143, "snnrun: interrupted\nsnnrun resume run\n")
    return run


@pytest.fixture
def copy(interrupted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the interrupted run, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNNRUN_DEBUG", raising=False)
    return Path(shutil.copytree(interrupted_run, tmp_path / "run"))


# --- the core ------------------------------------------------------------------------------------------------------


def test_a_run_that_is_interrupted_has_that_status(interrupted_run: Path) -> None:
    run = Run(interrupted_run)
    assert run.result["status"] == "interrupted"
    assert run.result["error"] is None
    assert run.text("run.log").splitlines()[-1] == "interrupted"
    (last, *_) = steps(interrupted_run)
    assert last == run.metrics("step")[-1]["step"]
    assert not (interrupted_run / "run.lock").exists()
    assert not temporary_files(interrupted_run)
    entry = browse.read(interrupted_run)
    assert (entry.status, entry.resumable) == ("interrupted", True)


def test_each_signal_and_the_result_of_an_unbroken_run(unbroken: Path, copy: Path) -> None:
    """Resumed three times, interrupted twice more; each time the run goes on where it was."""
    before = steps(copy)[0]
    for number, expected in ((signal.SIGINT, 130), (signal.SIGUSR1, 143)):
        size = (copy / "metrics.jsonl").stat().st_size
        command = Command(copy.parent, "resume", "run")
        command.until(lambda: (copy / "metrics.jsonl").stat().st_size > size + 300)  # noqa: B023 (called here)
        code, out, err = command.send(number).wait()
        assert (code, err) == (expected, "snnrun: interrupted\nsnnrun resume run\n")
        assert f"resumed after {before} steps" in out
        assert Run(copy).result["status"] == "interrupted"
        assert steps(copy)[0] > before
        before = steps(copy)[0]
    code, out, err = Command(copy.parent, "resume", "run").wait()
    assert (code, err) == (0, "")
    verdict = compare(unbroken, copy, same_seed=True)
    assert verdict.exact, verdict.words()
    assert Run(copy).result["weights_sha256"] == Run(unbroken).result["weights_sha256"]
    assert len(Run(copy).manifest["resumed"]) == 3
    assert len(steps(copy)) == 2 and not temporary_files(copy)


def test_a_finished_run_is_not_resumed(unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(unbroken)
    assert main(["resume", str(unbroken)]) == 2
    assert "expected a run that did not finish, and this one did" in capsys.readouterr().err
    assert contents(unbroken) == before


def test_a_run_of_another_config_is_not_resumed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["batch_size"] = 17
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    before = contents(copy)
    assert main(["resume", "run"]) == 2
    assert "config.yaml is another one than it was" in capsys.readouterr().err
    assert contents(copy) == before


def test_a_run_that_is_being_written_is_not_resumed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLock(copy):
        before = contents(copy)
        assert main(["resume", "run"]) == 2
        assert f"expected a run that nobody is writing, but process {os.getpid()}" in capsys.readouterr().err
        assert contents(copy) == before


@pytest.mark.parametrize("name", ["run.log", "metrics.jsonl", "figures", "checkpoints"])
def test_a_strangers_run_leads_nowhere(name: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is written into a run that goes on must not end up elsewhere, by a link."""
    elsewhere = copy.with_name("mine")
    if name == "figures":  # the run has drawn none yet
        (copy / name).mkdir()
    (copy / name).rename(elsewhere)
    (copy / name).symlink_to(elsewhere)
    before = contents(copy.parent)
    assert main(["resume", "run"]) == 2
    err = capsys.readouterr().err
    assert f"{name}: expected a file of this run alone, got a link" in err
    assert contents(copy.parent) == before


def test_a_damaged_state_is_passed_over_with_a_warning(
    copy: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last, before = checkpoint.states(copy / "checkpoints")
    last.write_bytes(last.read_bytes()[:-100])
    step = checkpoint.load_state(before)["progress"]["step"]
    assert main(["resume", "run"]) == 0
    out, err = capsys.readouterr()
    assert f"resumed after {step} steps" in out
    assert f"{last.name}: expected weights in safetensors format" in err and "trying the one before" in err
    assert "trying the one before" in Run(copy).text("run.log")
    verdict = compare(unbroken, copy, same_seed=True)
    assert verdict.exact, verdict.words()


@pytest.mark.parametrize("words", [("batch_size=64",), ("task=zeros", "task.steps_per_epoch=10", "batch_size=8")])
def test_from_the_end_of_an_epoch(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only states there are, unless asked for more; the order of the next epoch follows that of the last."""
    monkeypatch.chdir(tmp_path)
    assert main([*QUIET, "epochs=3", "num_steps=6", *words, "hydra.run.dir=unbroken"]) == 0
    shutil.copytree("unbroken", "broken")
    last, before = checkpoint.states(tmp_path / "broken" / "checkpoints")
    assert checkpoint.load_state(before)["progress"]["batch"] == 0
    last.unlink()
    Path("broken/result.json").unlink()
    assert main(["resume", "broken"]) == 0
    verdict = compare(Path("unbroken"), Path("broken"), same_seed=True)
    assert verdict.exact, verdict.words()


@pytest.mark.parametrize("fault", ["another model", "other progress", "no streams", "metrics are gone"])
def test_a_state_that_does_not_fit(fault: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = checkpoint.states(copy / "checkpoints")
    other.unlink()
    state = checkpoint.load_state(path)
    if fault == "another model":
        state["model"] = {name: value[..., :-1] for name, value in state["model"].items() if value.dim()}
    elif fault == "other progress":
        state["progress"] = {**state["progress"], "epoch": "one"}
    elif fault == "no streams":
        state["streams"] = []
    else:
        (copy / "metrics.jsonl").write_text("")
    checkpoint.save_state(copy / "checkpoints", state["progress"]["step"], state)
    assert main(["resume", "run"]) == 3
    err = capsys.readouterr().err
    assert "the checkpoint does not fit this run: " in err and len(err.splitlines()) == 1
    assert Run(copy).result["status"] == "failed"
    assert checkpoint.states(copy / "checkpoints"), "it stays"


# --- with the run done ---------------------------------------------------------------------------------------------


def test_evaluate_gives_the_recorded_figures(unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(unbroken)
    assert main(["evaluate", str(unbroken)]) == 0
    lines, result = capsys.readouterr().out.splitlines(), Run(unbroken).result
    assert lines[:2] == [f"{key}: {result[key]:.6g} (the same as recorded)" for key in ("test_accuracy", "test_loss")]
    assert lines[2] == "classes (the same as recorded)"
    assert [line.split()[0] for line in lines[3:]] == ["class", *result["test_accuracy_by_class"]]
    assert contents(unbroken) == before


def test_reproduce(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(unbroken)
    assert main(["reproduce", str(unbroken)]) == 0
    assert "match: all " in capsys.readouterr().out
    assert main(["reproduce", str(unbroken), "--seed", "1"]) == 0
    out = capsys.readouterr().out
    accuracy = Run(unbroken).result["test_accuracy"]
    assert "another seed, so the runs are compared by their results:" in out
    assert f"test_accuracy: {accuracy}"[:20] in out or "test_loss: " in out
    assert contents(unbroken) == before
    copies = sorted(path.parent for path in tmp_path.rglob("reproduction.json"))
    assert len(copies) == 2
    verdicts = [json.loads((path / "reproduction.json").read_text()) for path in copies]
    assert sorted(verdict["exact"] for verdict in verdicts) == [False, True]


def test_a_doctored_record_is_not_reproduced(unbroken: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copy)
    shutil.copytree(unbroken, copy)
    lines = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    edit = [record for record in lines if record["kind"] == "step"][2]
    edit["loss"] += 1e-9
    (copy / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    assert main(["reproduce", "run"]) == 8
    out, err = capsys.readouterr()
    assert "no match" in out
    assert f"the first difference is in step {edit['step']}: loss: " in out
    assert "the environments are the same" in out
    assert "was not reproduced" in err


def test_other_versions_are_a_warning(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Run(copy).manifest
    new, manifest["packages"]["torch"] = manifest["packages"]["torch"], "1.0.0"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert main(["resume", "run"]) == 0
    expected = f"warning: packages.torch was 1.0.0 and is now {new}; the results may differ from an unbroken run's"
    assert expected in capsys.readouterr().err.splitlines()
    assert expected in Run(copy).text("run.log")
    assert Run(copy).manifest["resumed"][0]["changed"] == {"packages.torch": ["1.0.0", new]}


# --- other moments -------------------------------------------------------------------------------------------------


def test_max_seconds(unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = Command(tmp_path, *WORDS, "max_seconds=0.3", "hydra.run.dir=run").wait()
    assert code == 143
    assert err == "snnrun: max_seconds=0.3 are over; `snnrun resume` goes on where it stopped\nsnnrun resume run\n"
    assert Run(tmp_path / "run").result["status"] == "interrupted"
    monkeypatch.chdir(tmp_path)
    before, resumes = (0, 0), 0
    while (code := main(["resume", "run"])) == 143:
        assert newest_step(tmp_path / "run") > before, "each time a step is made, or an epoch ends"
        before, resumes = newest_step(tmp_path / "run"), resumes + 1
    assert code == 0 and resumes
    verdict = compare(unbroken, tmp_path / "run", same_seed=True)
    assert verdict.exact, verdict.words()


SLOW_TASK = """
import time
from pathlib import Path
from snnrun.task import Data
from snnrun.task.digits import Digits

def pause(name):
    if not Path(name).exists():
        Path(name).touch()
        time.sleep(3600)

class Part:
    def __init__(self, part):
        self._part, self.stream = part, part.stream

    def __len__(self):
        return len(self._part)

    def batches(self, batch_size, generator=None):
        for i, batch in enumerate(self._part.batches(batch_size, generator)):
            if i == 3:
                pause("training")
            yield batch

class Slow(Digits):
    \"\"\"Digits that take an hour to load, and again at the fourth batch; but only the first time.\"\"\"

    def load(self, *arguments, **options):
        pause("loading")
        data = super().load(*arguments, **options)
        return Data(Part(data.train), data.validation, data.test, data.hashes)
"""


def slow_parts(folder: Path) -> list[str]:
    parts = folder / "parts"
    (parts / "task").mkdir(parents=True)
    (parts / "slow_task.py").write_text(SLOW_TASK)
    conf = CONF / "task" / "digits.yaml"
    (parts / "task" / "slow.yaml").write_text(conf.read_text().replace("snnrun.task.Digits", "slow_task.Slow"))
    return ["--config-dir", "parts", "trust=[slow_task]"]


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    words = slow_parts(tmp_path)
    (tmp_path / "loading").touch()
    command = Command(tmp_path, *words, *QUIET, "task=slow", "hydra.run.dir=run")
    command.until((tmp_path / "training").exists).send(signal.SIGINT)
    time.sleep(0.5)
    assert not (tmp_path / "run" / "result.json").exists(), "the first waits for the end of the step"
    code, _, err = command.send(signal.SIGINT).wait()
    assert (code, err) == (130, "snnrun: interrupted\n")
    assert Run(tmp_path / "run").result["status"] == "interrupted"
    assert not temporary_files(tmp_path)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143)])
def test_while_data_are_loaded(number: signal.Signals, expected: int, tmp_path: Path) -> None:
    words = slow_parts(tmp_path)
    (tmp_path / "training").touch()
    command = Command(tmp_path, *words, *QUIET, "task=slow", "epochs=1", "hydra.run.dir=run")
    code, _, err = command.until((tmp_path / "loading").exists).send(number).wait()
    assert (code, err) == (expected, "snnrun: interrupted\n")
    run = Run(tmp_path / "run")
    assert run.result["status"] == "interrupted"
    assert run.text("metrics.jsonl") == ""
    assert (run.folder / "config.yaml").exists()
    code, _, err = Command(tmp_path, "resume", *words, "run").wait()
    assert (code, err) == (0, "")
    assert run.result["status"] == "finished"
    assert run.manifest["packages"] and run.manifest["resumed"][0]["changed"] == {}


def test_at_any_moment_of_the_start(tmp_path: Path) -> None:
    """A folder says how its run ended, or holds no record."""
    statuses = set()
    for i in range(10):
        folder = tmp_path / str(i)
        command = Command(folder, *WORDS, "hydra.run.dir=run")
        command.until((folder / "run").exists)
        time.sleep(0.03 * i)
        code, _, err = command.send(signal.SIGTERM).wait()
        assert code in (-15, 143, 0), err
        names = {path.name for path in (folder / "run").glob("*")} - {".hydra"}
        if code == -15:  # before anybody listened
            assert not names
        else:
            statuses.add(Run(folder / "run").result["status"])
            assert {"config.yaml", "metrics.jsonl", "run.log"} <= names or Run(folder / "run").result["epochs"] == 0
        assert not temporary_files(folder)
    assert statuses


# --- sweeps --------------------------------------------------------------------------------------------------------


def test_an_interrupt_ends_a_sweep(tmp_path: Path) -> None:
    words = ["-m", *WORDS, "seed=0,1,2", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${hydra:job.num}"]
    command = Command(tmp_path, *words).until(training(tmp_path / "sweep" / "0"))
    code, out, err = command.send(signal.SIGINT).wait()
    assert code == 130, err
    assert Run(tmp_path / "sweep" / "0").result["status"] == "interrupted"
    assert "job 2 of 3" not in out
    assert not (tmp_path / "sweep" / "1").exists()


def test_max_seconds_end_a_job_and_not_the_sweep(tmp_path: Path) -> None:
    words = ["-m", *WORDS, "max_seconds=0.3", "seed=0,1", "hydra.sweep.dir=sweep"]
    code, _, err = Command(tmp_path, *words, "hydra.sweep.subdir=${hydra:job.num}").wait()
    assert code == 7
    assert "snnrun: 2 of 2 jobs failed:" in err
    for number in range(2):
        run = tmp_path / "sweep" / str(number)
        assert Run(run).result["status"] == "interrupted"
        assert steps(run)
