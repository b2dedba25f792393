"""Run folders: found however deep they lie, named by a piece of their name, and read for what they are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnrun.errors import ConfigError
from snnrun.run import browse
from snnrun.system import lock
from snnrun.system.lock import RunLock
from support.made_up import MANIFEST, RESULT, epoch, make_run, step


def test_runs_are_found_where_training_puts_them(tmp_path: Path) -> None:
    single = make_run(tmp_path / "2026-03-01" / "12-00-00-lif-atan-digits-0a1b2c3d")
    jobs = [make_run(tmp_path / "multirun" / "2026-03-01" / "12-00-00-ffff0000" / f"{i}-lif-atan-s{i}") for i in (0, 1)]
    bare = tmp_path / "2026-03-01" / "died at once"
    (bare / ".hydra").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "config.yaml").write_text("a: 1\n")
    (tmp_path / ".hidden" / "run" / ".hydra").mkdir(parents=True)
    inside = make_run(single / "again")
    (single / "figures" / ".hydra").mkdir()
    assert set(browse.find(tmp_path)) == {single, *jobs, bare, inside}
    assert list(browse.find(tmp_path / "nowhere")) == []


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_links_are_not_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "elsewhere" / "run")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "loop").symlink_to(outputs)
    (outputs / "linked").symlink_to(run)
    assert list(browse.find(outputs)) == []
    assert browse.resolve(str(outputs / "linked")) == outputs / "linked", "but a link that is named is meant"


def test_a_tree_without_end(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(100):
        deep = deep / "d"
    (deep / ".hydra").mkdir(parents=True)
    assert list(browse.find(tmp_path)) == []


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "outputs/2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d")
    make_run(tmp_path / "outputs/2026-03-02/12-00-00-lif-atan-digits-99990000")
    make_run(tmp_path / "outputs/multirun/2026-03-02/13-30-00-77770000/0-if-atan-s0")
    make_run(tmp_path / "outputs/multirun/2026-03-02/13-30-00-77770000/1-if-atan-s1")
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("word", "folder"),
    [
        ("outputs/2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d", "2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d"),
        ("outputs/2026-03-01/", "2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d"),  # the one run in it
        ("0a1b2c3d", "2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d"),
        ("b2c3d", "2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d"),
        ("2026-03-01", "2026-03-01/12-00-00-lif-atan-digits-0a1b2c3d"),
        ("03-02/12-00", "2026-03-02/12-00-00-lif-atan-digits-99990000"),
        ("12-00-00-lif-atan-digits-99990000", "2026-03-02/12-00-00-lif-atan-digits-99990000"),
        ("1-if-atan-s1", "multirun/2026-03-02/13-30-00-77770000/1-if-atan-s1"),
        ("77770000/0-if-atan-s0/", "multirun/2026-03-02/13-30-00-77770000/0-if-atan-s0"),
    ],
)
def test_a_run_is_named_by_its_folder_or_a_piece_of_its_name(outputs: Path, word: str, folder: str) -> None:
    assert browse.resolve(word).resolve() == outputs / folder


@pytest.mark.parametrize(
    ("word", "start", "facts"),
    [
        ("12-00-00", "12-00-00: ", ("a run", "there are outputs/2026-03-0")),
        ("atan", "atan: ", ("a run", "there are ", "more of its name")),
        ("nothing", "nothing: ", ("a run", "no such folder", "in outputs", "`snnrun runs`")),
        ("", "'': ", ("a run", "no such folder")),
        ("outputs/multirun", "outputs/multirun: ", ("the folder of a run", "there are ", "name one")),
        ("empty", "empty: ", ("the folder of a run", "none in it")),
        ("a\0b", "ab: ", ("a run",)),
        ("x" * 5000, "x" * 50, ("a run",)),
        ("\x1b[31mred", "red: ", ("a run",)),
    ],
    ids=range(9),
)
def test_a_word_that_means_no_run_or_several(outputs: Path, word: str, start: str, facts: tuple[str, ...]) -> None:
    (outputs.parent / "empty").mkdir()
    with pytest.raises(ConfigError) as error:
        browse.resolve(word)
    message = str(error.value)
    assert message.startswith(start)
    for fact in facts:
        assert fact in message
    assert len(message) < 2000


def test_a_finished_run(tmp_path: Path) -> None:
    run = browse.read(make_run(tmp_path / "run"))
    assert (run.status, run.resumable, run.command, run.holder) == ("finished", False, "train", None)
    assert run.choices["neuron"] == "lif"
    assert "readout" not in run.choices, "null is no choice"
    assert (run.seed, run.epochs, run.max_epochs) == (3, 3, 3)
    assert (run.accuracy, run.loss, run.seconds) == (0.975, 0.125, 12.0)
    assert run.started == 1772366400.0


def test_without_hydras_folder_the_classes_are_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / ".hydra" / "hydra.yaml").unlink()
    choices = browse.read(folder).choices
    assert (choices["neuron"], choices["task"], choices["optimizer"]) == ("LIF", "Digits", "Adam")


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_what_ended_early(tmp_path: Path, status: str) -> None:
    result = {"status": status, "error": None, "test_accuracy": None, "test_loss": None, "epochs": 2, "seconds": 1.0}
    folder = make_run(tmp_path / "run", result=result)
    run = browse.read(folder)
    assert (run.status, run.resumable, run.epochs, run.accuracy) == (status, False, 2, None)
    (folder / "checkpoints" / "step-20.ckpt").touch()
    assert browse.read(folder).resumable


def test_dead_running_and_stalled(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", result=None)
    assert browse.read(folder).status == "dead"
    with RunLock(folder):
        run = browse.read(folder)
        assert run.status == "running"
        assert run.holder is not None and run.holder.pid == os.getpid()
        os.utime(folder / lock.NAME, (0, time.time() - lock.DEAD - 1))
        assert browse.read(folder).status == "stalled"
    assert browse.read(folder).status == "dead"


def test_a_run_that_goes_on_is_running_whatever_its_earlier_status(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", result={**RESULT, "status": "interrupted"})
    with RunLock(folder):
        run = browse.read(folder)
        assert (run.status, run.accuracy, run.epochs) == ("running", None, 3)
    assert browse.read(folder).status == "interrupted"


@pytest.mark.parametrize(
    ("metrics", "tail", "epochs"),
    [
        ((), "", 0),
        ((step(1, 1),), "", 0),
        ((step(1, 1), epoch(1), step(2, 2)), "", 1),
        ((step(1, 1), epoch(1), step(2, 2)), '{"kind": "epoch", "ep', 1),
        ((epoch(1), epoch(2)), "no json\n", 2),
        ((epoch(1), epoch(2)), '{"kind": "epoch", "epoch": "many"}\n', 2),
    ],
)
def test_epochs_of_a_run_that_has_not_ended(
    tmp_path: Path, metrics: tuple[dict[str, Any], ...], tail: str, epochs: int
) -> None:
    folder = make_run(tmp_path / "run", result=None, metrics=metrics)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(tail)
    assert browse.read(folder).epochs == epochs
    whole = [record.epoch for record in browse.epochs(folder) if record.epoch]
    assert whole == [record["epoch"] for record in metrics if record["kind"] == "epoch"]


def test_epochs_are_found_at_the_end_of_a_long_file(tmp_path: Path) -> None:
    steps = tuple(step(7, number) for number in range(10_000))
    assert browse.read(make_run(tmp_path / "run", result=None, metrics=(epoch(6), *steps))).epochs == 6


@pytest.mark.parametrize(
    "result",
    [{}, {"status": 3}, {"status": "running"}, {"status": ["finished"]}, {"status": "\x1b[31mfinished"}],
    ids=range(5),
)
def test_a_result_without_content(tmp_path: Path, result: dict[str, Any]) -> None:
    assert browse.read(make_run(tmp_path / "run", result=result)).status == "dead"


def test_values_of_the_wrong_type(tmp_path: Path) -> None:
    wrong = {"test_accuracy": "high", "test_loss": [1], "epochs": -3, "seconds": True}
    run = browse.read(make_run(tmp_path / "run", result={**RESULT, **wrong}))
    assert (run.status, run.accuracy, run.loss, run.epochs, run.seconds) == ("finished", None, None, None, None)


@pytest.mark.parametrize("start", ["soon", 3, None, "9999-12-31T00:00:00+00:00", "0001-01-01T00:00:00", []])
def test_a_start_that_cannot_be(tmp_path: Path, start: object) -> None:
    folder = make_run(tmp_path / "run", manifest={"started": start})
    os.utime(folder / "config.yaml", (1000, 1000))
    assert browse.read(folder).started == 1000


BREAK: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "NUL": lambda path: path.write_bytes(b"\0" * 1000),
}


@pytest.mark.parametrize("how", BREAK)
def test_every_file_may_be_missing_or_broken(tmp_path: Path, how: str) -> None:
    for i, name in enumerate(path for path in make_run(tmp_path / "whole").rglob("*") if path.is_file()):
        folder = make_run(tmp_path / str(i))
        BREAK[how](folder / name.relative_to(tmp_path / "whole"))
        run = browse.read(folder)
        assert run.status == ("dead" if name.name == "result.json" else "finished")


def test_the_manifest_made_up_here_is_like_a_real_one() -> None:
    from snnrun import report

    real = report.manifest({}, [], device="cpu", backend="fused", data_hashes={})
    assert set(MANIFEST) <= set(json.loads(json.dumps(real)))
