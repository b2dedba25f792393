"""Searches through the real command: what the study holds is compared with what the runs left."""

from __future__ import annotations

import json
import shlex
import statistics
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from snnrun.cli import main
from support.forked import snnrun
from support.shell import CommandResult, Run

QUIET = ("report.figures=false", "report.summary=false", "report.progress=false", "report.log_every=100")
SMALL = (*QUIET, "task=digits", "num_steps=3", "epochs=2", "model.hidden=[10]")
SEARCH = ("-m", "hydra/sweeper=optuna")


def trials(outcome: CommandResult, storage: str | None = None) -> list[FrozenTrial]:
    path = outcome.cwd / storage if storage else next(outcome.cwd.rglob("search.db"))
    return optuna.load_study(study_name="search", storage=f"sqlite:///{path}").trials


def sweep(outcome: CommandResult) -> Path:
    return next(outcome.cwd.rglob("sweep.json")).parent


def jobs(folder: Path) -> list[dict[str, Any]]:
    content = json.loads((folder / "sweep.json").read_text())
    assert content["search"] is True
    rows: list[dict[str, Any]] = content["jobs"]
    return rows


def accuracy(run: Run) -> float:
    """Of the validation set, in the epoch whose weights were kept."""
    best = run.result["best_epoch"]
    (value,) = (record["validation_accuracy"] for record in run.metrics("epoch") if record["epoch"] == best)
    return float(value)


BAD = '''
"""A loss that is no number."""

from dataclasses import dataclass

from snnrun.loss import LabelLoss


@dataclass(frozen=True)
class Bad(LabelLoss):
    """Not a number."""

    def __call__(self, spikes, membrane, target):
        return membrane.mean() * float("nan")
'''


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> CommandResult:
    """A grid of four, two of which have a loss that is not finite."""
    folder = tmp_path_factory.mktemp("failing")
    parts = folder / "parts"
    (parts / "loss").mkdir(parents=True)
    (parts / "bad.py").write_text(BAD)
    (parts / "loss" / "bad.yaml").write_text("# Bad.\n_target_: bad.Bad\naccuracy: membrane\n")
    own = ("--config-dir", str(parts), "trust=bad", "loss=ce_count,bad", "neuron=if,lif")
    grid = ("hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=9", "style.format=[png,pdf]", "style.dpi=60")
    return snnrun(*SEARCH, *SMALL, *own, *grid, cwd=folder)


def test_a_failed_trial_does_not_end_the_search(failing: CommandResult) -> None:
    assert failing.code == 7, failing.err
    all_trials = trials(failing)
    assert len(all_trials) == 4, "the grid is no larger"
    assert [trial.state for trial in all_trials if trial.params["loss"] == "bad"] == [TrialState.FAIL] * 2
    assert [trial.state for trial in all_trials if trial.params["loss"] != "bad"] == [TrialState.COMPLETE] * 2
    assert "2 of 4 jobs failed" in failing.err and "2 finished, 2 failed" in failing.out
    place = sweep(failing).relative_to(failing.cwd)
    ends = [line.partition("  ")[0] for line in failing.out.splitlines()[-2:]]
    assert ends == [f"snnrun report {place}", f"snnrun best {place}"], "every sweep ends so"
    assert "Traceback" not in failing.err


def test_jobs_are_those_of_a_sweep(failing: CommandResult) -> None:
    folder = sweep(failing)
    rows = jobs(folder)
    assert [job["number"] for job in rows] == [0, 1, 2, 3]
    for job, trial in zip(rows, trials(failing), strict=True):
        assert job["folder"] == f"{job['number']}-{trial.params['neuron']}-atan-s0"
        assert {f"{key}={value}" for key, value in trial.params.items()} < set(job["overrides"])
        run = Run(folder / job["folder"])
        if trial.state is TrialState.COMPLETE:
            assert trial.value == accuracy(run)
        else:
            assert run.result["status"] == "failed"
    for name in ("history", "importance"):
        picture = (folder / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert int.from_bytes(picture[16:20], "big") == 480, "8 inches of 60 dots"
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_best_is_a_command_to_copy(failing: CommandResult, tmp_path: Path) -> None:
    line = next(line for line in failing.out.splitlines() if line.startswith("  snnrun "))
    words = shlex.split(line)[1:]
    best = max((t for t in trials(failing) if t.state is TrialState.COMPLETE), key=lambda trial: trial.value or 0)
    again = snnrun(*words, cwd=tmp_path)
    first = Run(sweep(failing) / jobs(sweep(failing))[best.number]["folder"])
    assert again.run.result["weights_sha256"] == first.result["weights_sha256"]


def test_the_same_command_goes_on_with_a_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*SEARCH, *SMALL, "optimizer.lr=tag(log,interval(1e-4,1e-1))", "hydra.sweeper.storage=s.db")
    first = snnrun(*words, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    before = [trial.params for trial in trials(first, "s.db")]
    second = snnrun(*words, "hydra.sweeper.n_trials=3", cwd=tmp_path)
    assert (first.code, second.code) == (0, 0), second.err
    after = [trial.params for trial in trials(second, "s.db")]
    assert after[:2] == before and len(after) == 3
    assert len({trial["optimizer.lr"] for trial in after}) == 3
    assert "2 trials already; 1 are left" in second.out
    monkeypatch.chdir(tmp_path)
    assert main([*words, "hydra.sweeper.objective=validation_loss"]) == 2
    assert "choose another study_name" in capsys.readouterr().err
    assert len(trials(second, "s.db")) == 3


def test_a_trial_that_is_pruned_has_one_job_and_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No accuracy is above 1, so that every trial ends after its first epoch, and its second seed is never run."""
    pruner = ("hydra.sweeper.pruner=threshold", "hydra.sweeper.pruner_options={lower: 1.5}")
    words = ("optimizer.lr=1e-3,1e-2", "hydra.sweeper.n_trials=2", "hydra.sweeper.seeds=[3,4]")
    outcome = snnrun(*SEARCH, *SMALL, *words, *pruner, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    all_trials = trials(outcome)
    assert [trial.state for trial in all_trials] == [TrialState.PRUNED] * 2
    assert [job["folder"] for job in jobs(sweep(outcome))] == ["0-lif-atan-s3", "1-lif-atan-s3"]
    for trial, run in zip(all_trials, outcome.runs, strict=True):
        assert run.result["status"] == "interrupted" and run.result["pruned"] is True
        assert run.result["error"] is None and run.result["epochs"] == 1
        (epoch,) = run.metrics("epoch")
        assert trial.intermediate_values == {1: epoch["validation_accuracy"]}
    assert "best: trial" not in outcome.out and "2 pruned" in outcome.out
    assert "pruned after epoch 1" in outcome.runs[0].text("run.log")
    monkeypatch.chdir(tmp_path)
    assert main(["resume", str(outcome.runs[0].folder)]) == 0
    assert outcome.runs[0].result["status"] == "finished"


def test_pruning_in_a_process_of_its_own(tmp_path: Path) -> None:
    pruner = ("hydra.sweeper.pruner=threshold", "hydra.sweeper.pruner_options={lower: 1.5}")
    launcher = ("hydra/launcher=local_parallel", "hydra.launcher.n_jobs=1")
    outcome = snnrun(*SEARCH, *SMALL, *pruner, *launcher, "neuron=if,lif", "hydra.sweeper.n_trials=1", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert [trial.state for trial in trials(outcome)] == [TrialState.PRUNED]
    assert outcome.run.result["epochs"] == 1


def test_the_mean_over_seeds_of_several_objectives(tmp_path: Path) -> None:
    words = ("model.hidden=[5],[10]", "hydra.sweeper.sampler=grid", "hydra.sweeper.seeds=[0,1]")
    objective = "hydra.sweeper.objective=[validation_accuracy,parameters]"
    outcome = snnrun(*SEARCH, *QUIET, "task=digits", "num_steps=3", "epochs=1", *words, objective, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    all_trials, folder = trials(outcome), sweep(outcome)
    runs = [Run(folder / job["folder"]) for job in jobs(folder)]
    assert len(runs) == 2 * len(all_trials) == 4
    for i, trial in enumerate(all_trials):
        pair = runs[2 * i : 2 * i + 2]
        assert [run.json("manifest.json")["seed"] for run in pair] == [0, 1]
        assert trial.values[0] == pytest.approx(statistics.fmean(map(accuracy, pair)), rel=1e-12)
        assert trial.values[1] == pair[0].result["parameters"]
    assert "of which none is better than another" in outcome.out
    assert "seed=0,1" in outcome.out and "mean over 2 seeds" in outcome.out


KILLER = '''
"""Ends the process in the second job, once."""

import os
import signal
from pathlib import Path

from snnrun.tracker import Tracker


class Killer(Tracker):
    def begin(self, folder, config, manifest, before):
        self.armed = folder.name.startswith("1-") and not Path("killed").exists()

    def record(self, record):
        if self.armed:
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def end(self, result):
        pass
'''


def test_a_search_that_was_killed_goes_on(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    (parts / "tracker").mkdir(parents=True)
    (parts / "killer.py").write_text(KILLER)
    (parts / "tracker" / "killer.yaml").write_text("# @package tracker.killer\n# Kills.\n_target_: killer.Killer\n")
    own = ("--config-dir", str(parts), "trust=killer", "tracker=killer")
    words = (*SMALL[:-1], "model.hidden=[100]", "optimizer.lr=interval(1e-4,1e-1)", "hydra.sweeper.n_trials=3")
    first = snnrun(*SEARCH, *own, *words, cwd=tmp_path)
    assert first.code < 0
    again = snnrun(*SEARCH, "--resume", *own, *words, cwd=tmp_path)
    assert again.code == 0, again.err
    all_trials = trials(again)
    states = [trial.state for trial in all_trials]
    assert sorted(states) == sorted([TrialState.COMPLETE] * 3 + [TrialState.FAIL])
    assert all_trials[1].state is TrialState.FAIL and all_trials[2].params == all_trials[1].params, "drawn once more"
    assert [job["number"] for job in jobs(sweep(again))] == [0, 1, 2, 3]
