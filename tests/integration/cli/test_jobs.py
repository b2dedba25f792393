"""``snnrun show SWEEP``: the jobs of a sweep, and what of them is the best."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.command import Command
from support.made_up import make_run
from support.swept import evil_sweep, make_job, make_sweep

SWEEP = "outputs/multirun/2026-03-01/12-00-00-0a1b2c3d"


def table(out: str) -> list[list[str]]:
    """The words of the table's lines, its head first."""
    lines = [line.split() for line in out.splitlines()]
    start = next(i for i, words in enumerate(lines) if words[:1] == ["job"])
    return lines[start : lines.index([], start)] if [] in lines[start:] else lines[start:]


def rows(out: str) -> list[list[str]]:
    """The same without the head, and without the number of those that are left out."""
    return [words for words in table(out)[1:] if words[0] != "and"]


def test_jobs_with_the_best_marked(command: Command) -> None:
    make_sweep(Path(SWEEP), {"neuron": ("if", "lif")}, seeds=2)
    code, out, err = command("show", "0a1b2c3d")
    assert (code, err) == (0, "")
    assert out.startswith(f"{SWEEP}\n4 jobs: 4 finished; started ")
    assert "\nall jobs: epochs=3\n" in out
    assert table(out)[0] == [
        *("job", "overrides", "status", "validation", "accuracy", "accuracy", "loss"),
    ]
    assert rows(out) == [
        ["1", "neuron=if", "seed=0", "finished", "50.00", "%", "50.00", "%", "0.5"],
        ["2", "neuron=if", "seed=1", "finished", "50.10", "%", "50.10", "%", "0.5"],
        ["3*", "neuron=lif", "seed=0", "finished", "65.00", "%", "65.00", "%", "0.5"],
        ["4*", "neuron=lif", "seed=1", "finished", "65.10", "%", "65.10", "%", "0.5"],
    ]
    text = " ".join(out.split())
    assert "* the best configuration, by the mean over seeds of the validation accuracy: neuron=lif " in text
    assert f"\nsnnrun report {SWEEP}  " in out
    assert f"\nsnnrun best {SWEEP}  " in out


def test_jobs_that_did_not_finish(command: Command) -> None:
    sweep = make_sweep(Path("sweep"), {"neuron": ("if", "lif")}, seeds=1)
    shutil.rmtree(sweep / "1-job-s0")
    make_job(sweep / "2-more", ["neuron=synaptic", "epochs=3"], None, status="failed", error="no")
    out = command("show", "sweep").out
    assert "\n3 jobs: 1 finished, 1 not started, 1 failed; started " in out
    assert [row[0] for row in rows(out)] == ["1*", "2", "3"]
    assert [row[2] for row in rows(out)] == ["finished", "not", "failed"]


def test_a_task_without_labels_has_a_loss_only(command: Command) -> None:
    make_sweep(Path("sweep"), {"optimizer.lr": ("0.1", "0.01")}, seeds=1, measure="loss")
    out = command("show", "sweep").out
    assert table(out)[0] == [
        *("job", "overrides", "status", "validation", "loss", "loss"),
    ]
    assert len(rows(out)) == 2


def test_seeds_alone_have_no_best(command: Command) -> None:
    make_sweep(Path("sweep"), {"neuron": ("if",)}, seeds=3)
    out = command("show", "sweep").out
    assert "*" not in out
    assert [row[1] for row in rows(out)] == ["seed=0", "seed=1", "seed=2"]


def test_a_sweep_of_pictures(command: Command) -> None:
    assert command("simulate", "-m", "num_steps=5", "neuron=if,lif", "hydra.sweep.dir=sweep").code == 0
    code, out, _ = command("show", "sweep")
    assert code == 0
    assert [row[1:] for row in rows(out)] == [["neuron=if", "finished"], ["neuron=lif", "finished"]]
    assert "snnrun best" not in out


def test_a_sweep_without_jobs(command: Command) -> None:
    Path("sweep").mkdir()
    Path("sweep/sweep.json").write_text('{"version": 1, "jobs": []}')
    code, out, _ = command("show", "sweep")
    assert (code, out.splitlines()[:2]) == (0, ["sweep", "no jobs"])


def test_a_folder_of_runs_is_no_sweep(command: Command) -> None:
    for name in ("a", "b"):
        make_run(Path("outputs/2026-03-01") / name)
    assert command("show", "outputs/2026-03-01").code == 2
    assert command("show", "outputs/2026-03-01/a").out.startswith("outputs/2026-03-01/a\nfinished")


def test_many_jobs(command: Command) -> None:
    make_sweep(Path("sweep"), {"neuron": ("if", "lif")}, seeds=251)
    out = command("show", "sweep").out
    assert len(rows(out)) == 500
    assert "\nand 2 more jobs\n" in out


@pytest.mark.parametrize("width", [60, 80])
def test_the_page_fits_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    keys = {"neuron": ("if", "lif"), "optimizer.weight_decay": ("0.001", "0.0001"), "surrogate": ("triangular",)}
    make_sweep(Path(SWEEP), keys, seeds=2, constants=("model.hidden=[200,200]", "task.validation=0.1", "epochs=3"))
    out = command("show", "0a1b2c3d").out
    lines = [line for line in out.splitlines() if not line.startswith("snnrun ")]  # which must be whole
    assert max(map(len, lines)) <= width
    assert f"\nsnnrun best {SWEEP}\n" in out
    assert [row[0] for row in rows(out)][4:] == ["5", "6", "7*", "8*"]


def test_a_sweep_of_a_stranger(command: Command) -> None:
    evil_sweep(Path("sweep"))
    code, out, _ = command("show", "sweep")
    assert code == 0
    assert "\x1b" not in out
