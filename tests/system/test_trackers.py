"""Trackers through the real command: what they wrote is read back and compared with ``metrics.jsonl``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snnrun.tracker import Record
from snnrun.tracker.base import curves
from support.forked import snnrun
from support.shell import CommandResult, Run, strict
from support.trackers import expected

QUIET = ("task=zeros", "encoder=none", "report.figures=false", "report.summary=false", "num_steps=5", "epochs=2")

MINE = '''
"""Trackers that go wrong, and one that ends the process once."""

import os
import signal
from pathlib import Path

from snnrun.tracker import Tracker


class Wrong(Tracker):
    """Fails where it is told to."""

    def __init__(self, where="begin"):
        self.where = where

    def begin(self, folder, config, manifest, before):
        self.folder = folder
        self.fail("begin")
        if self.where == "import":
            import there_is_no_such_module
        if self.where == "leave":
            raise SystemExit(3)

    def record(self, record):
        self.fail("record")
        if self.where == "kill" and record["step"] == 14 and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def end(self, result):
        self.fail("end")

    def fail(self, where):
        if self.where == where:
            raise OSError(28, "No space left on device")
'''
PLACES = ("begin", "record", "end", "import", "leave")


def records_of(run: Run) -> list[dict[str, Any]]:
    return [strict(line) for line in run.text("metrics.jsonl").splitlines()]


def table(run: Run, kind: str) -> list[dict[str, str]]:
    with (run.folder / "csv" / f"{kind}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def points(records: Sequence[Record]) -> set[tuple[str, int, float]]:
    return {(name, r["step"], value) for r in records if r["kind"] != "warning" for name, value in curves(r)}


def event_points(run: Run) -> list[tuple[str, int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return [
        (name, event.step, event.value)
        for name in events.Tags()["scalars"]
        if not name.startswith("result/")
        for event in events.Scalars(name)
    ]


def check_events(run: Run) -> None:
    events, expected = sorted(event_points(run)), sorted(points(records_of(run)))
    assert [point[:2] for point in events] == [point[:2] for point in expected], "every point, and none twice"
    # Event files hold float32.
    assert [point[2] for point in events] == pytest.approx([point[2] for point in expected], rel=1e-6)


def check_tables(run: Run) -> None:
    for kind in ("step", "epoch"):
        assert table(run, kind) == expected(records_of(run), kind)
    assert not (run.folder / "csv" / "warning.csv").exists()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracked") / "my_parts"
    (folder / "tracker").mkdir(parents=True)
    (folder / "wrong_trackers.py").write_text(MINE)
    for place in (*PLACES, "kill"):
        (folder / "tracker" / f"{place}.yaml").write_text(
            f"# @package tracker.{place}\n# Fails.\n_target_: wrong_trackers.Wrong\nwhere: {place}\n"
        )
    return folder


@pytest.fixture(scope="module")
def outcome(parts: Path) -> CommandResult:
    """Two that work beside five that do not."""
    names = f"tracker=[csv,{','.join(PLACES)},tensorboard]"
    words = ("--config-dir", str(parts), "trust=wrong_trackers", names)
    return snnrun(*QUIET, *words, cwd=parts.parent / "tracked")


def test_tables_and_events_are_the_records(outcome: CommandResult) -> None:
    assert outcome.code == 0, outcome.err
    assert len(records_of(outcome.run)) == 22
    check_tables(outcome.run)
    check_events(outcome.run)


def test_a_failure_is_a_warning_and_changes_nothing(outcome: CommandResult, tmp_path: Path) -> None:
    warnings = [line for line in outcome.run.text("run.log").splitlines() if line.startswith("warning")]
    assert sorted(line.split()[2] for line in warnings) == sorted(PLACES)
    assert all("is left out from here on" in line for line in warnings)
    assert "No space left on device" in outcome.err and "there_is_no_such_module" in outcome.err
    assert "Traceback" not in outcome.err
    plain = snnrun(*QUIET, cwd=tmp_path)
    assert plain.run.result["weights_sha256"] == outcome.run.result["weights_sha256"]
    assert outcome.run.result["status"] == "finished"


def test_a_run_that_was_killed_goes_on_in_the_same_files(parts: Path, tmp_path: Path) -> None:
    words = ("--config-dir", str(parts), "trust=wrong_trackers")
    some = ("tracker=[csv,tensorboard,kill]", "checkpoint.every_steps=4", "epochs=4", "hydra.run.dir=run")
    first = snnrun(*QUIET[:-1], *words, *some, cwd=tmp_path)
    assert first.code < 0
    again = snnrun("resume", "run", *words, cwd=tmp_path)
    assert (again.code, again.err) == (0, "")
    assert again.run.json("manifest.json")["resumed"][0]["step"] >= 10
    check_tables(again.run)
    check_events(again.run)
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1


@pytest.mark.filterwarnings("ignore")  # of MLflow and SQLAlchemy between themselves
def test_mlflow(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    run_outcome = snnrun(*QUIET, "tracker=mlflow", "hydra.run.dir=run", cwd=tmp_path)
    assert run_outcome.code == 0 and "left out" not in run_outcome.err, run_outcome.err
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("snnrun").experiment_id

    def check() -> str:
        (run,) = client.search_runs([experiment])
        history = [
            (name, point.step, point.value)
            for name in run.data.metrics
            if not name.startswith("result/")
            for point in client.get_metric_history(run.info.run_id, name)
        ]
        records = records_of(run_outcome.run)
        times = ("time", "seconds", "samples_per_second")  # a point is never forgotten; those may be older
        assert sorted(name_step[:2] for name_step in history) == sorted(point[:2] for point in points(records))
        stable = {point for point in history if not point[0].endswith(times)}
        assert stable == {point for point in points(records) if not point[0].endswith(times)}
        assert run.data.params["optimizer.lr"] == str(1e-3) and run.data.params["seed"] == "0"
        assert run.data.metrics["result/test_loss"] == run_outcome.run.result["test_loss"]
        assert run.info.status == "FINISHED"
        return str(run.info.run_id)

    first = check()
    # As if it had been killed in its last epoch.
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "checkpoints" / "step-0000000020.safetensors").unlink()
    again = snnrun("resume", "run", cwd=tmp_path)
    assert again.code == 0 and "left out" not in again.err, again.err
    assert check() == first
