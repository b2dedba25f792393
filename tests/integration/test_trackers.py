"""Trackers that fail, hang or lag, and words that name none."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from snnrun.cli import main
from snnrun.tracker import Csv, MLflow, Record, TensorBoard, Tracker, Trackers


def test_a_missing_package_is_shown_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    absent = ("tensorboard", "mlflow")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in absent else real(name, *a))
    monkeypatch.chdir(tmp_path)
    assert main(["tracker=[mlflow,tensorboard,csv]", "epochs=0"]) == 2
    err = capsys.readouterr().err
    assert "tracker.mlflow: expected the package mlflow" in err and "snnrun[mlflow]" in err
    assert "epochs: expected a whole number" in err, "with all other faults"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tracker=csvv", "did you mean tracker=csv?"),
        ("tracker=[csv,none]", "there is no tracker of that name"),
        ("tracker=[csv,csv]", "expected one name"),
        ("neuron=[lif,if]", "expected one name"),
        ("+tracker.csv.where=x", "tracker"),
    ],
)
def test_wrong_words(
    word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([word]) == 2
    assert message in capsys.readouterr().err


class Slow(Tracker):
    """Hangs until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def begin(
        self, folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any], before: Sequence[Record]
    ) -> None:
        self.free.wait()

    def record(self, record: Record) -> None:
        raise AssertionError("begin never returned")

    def end(self, result: Mapping[str, Any]) -> None:
        raise AssertionError("begin never returned")


@pytest.fixture
def slow() -> Iterator[Slow]:
    tracker = Slow()
    yield tracker
    tracker.free.set()


def test_a_tracker_that_hangs_holds_up_nothing(slow: Slow, tmp_path: Path) -> None:
    messages: list[str] = []
    trackers = Trackers({"slow": slow}, messages.append, patience=0.01)
    trackers.begin(tmp_path, {}, {}, [])
    trackers.record({"kind": "step", "step": 1})
    assert not messages
    trackers.end({"status": "finished"})
    assert len(messages) == 1 and "slow" in messages[0] and "0.01 s" in messages[0]


def test_a_tracker_that_lags_too_far_behind_is_dropped(slow: Slow, tmp_path: Path) -> None:
    messages: list[str] = []
    trackers = Trackers({"slow": slow}, messages.append)
    trackers.begin(tmp_path, {}, {}, [])
    for step in range(10_005):
        trackers.record({"kind": "step", "step": step})
    assert len(messages) == 1 and "10,000 records behind" in messages[0]
    trackers.end({"status": "finished"})
    assert len(messages) == 1


def test_a_column_that_comes_late(tmp_path: Path) -> None:
    from snnrun.tracker import Csv

    tracker = Csv()
    tracker.begin(tmp_path, {}, {}, [])
    tracker.record({"kind": "step", "step": 1, "loss": 0.1})
    tracker.record({"kind": "step", "step": 2, "loss": None, "best": True})
    tracker.record({"kind": "step", "step": 3, "loss": 1e-30})
    assert (tmp_path / "csv" / "step.csv").read_text() == "step,loss,best\n1,0.1,\n2,,true\n3,1e-30,\n"


def test_a_strangers_target_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "their" / "tracker").mkdir(parents=True)
    text = "# @package tracker.evil\n# Evil.\n_target_: os.system\ncommand: touch here\n"
    (tmp_path / "their" / "tracker" / "evil.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["--config-dir", "their", "tracker=evil"]) == 2
    assert "os.system is no part" in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


def test_mlflow_takes_classes_of_any_name(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    tracker = MLflow(store=str(tmp_path / "m.db"))
    tracker.begin(tmp_path, {}, {}, [])
    classes = {"T-shirt/top": 0.5, "../x": 0.25, "a//(b)$": 1.0, "学": 0.75, "n" * 300: 0.0, "none": None}
    matrix = [[1] * 100] * 100
    tracker.end({"status": "finished", "test_accuracy_by_class": classes, "test_confusion": matrix})
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'm.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("snnrun").experiment_id])
    assert run.info.status == "FINISHED"
    prefix = "result/test_accuracy_by_class."
    metrics = {name.removeprefix(prefix): value for name, value in run.data.metrics.items()}
    assert {name[:10]: value for name, value in metrics.items()} == {
        "T-shirt_to": 0.5, ".._x": 0.25, "a___b__": 1.0, "学": 0.75, "n" * 10: 0.0,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_mlflow_adds_no_tables_to_a_database_of_something_else(tmp_path: Path) -> None:
    """A stranger's config may name any file of the user."""
    pytest.importorskip("mlflow")
    path = tmp_path / "cookies.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cookies (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="store: expected a file of MLflow"):
        MLflow(store=str(path)).begin(tmp_path, {"output_dir": "outputs"}, {}, [])
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_a_trackers_folder_is_no_link(name: str, tmp_path: Path) -> None:
    if name == "tensorboard":
        pytest.importorskip("tensorboard")
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for folder in (run, elsewhere):
        folder.mkdir()
    (elsewhere / "events.out.tfevents.1").write_text("mine")
    (run / name).symlink_to(elsewhere)
    tracker: Tracker = Csv() if name == "csv" else TensorBoard()
    with pytest.raises(OSError):
        tracker.begin(run, {}, {}, [])
    assert [path.name for path in elsewhere.iterdir()] == ["events.out.tfevents.1"]
