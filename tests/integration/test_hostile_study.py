"""Studies of a stranger: what they hold is data, and what does not fit is said in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from snnrun.cli import main
from snnrun.sweep.search.study import _check_same, _release

QUIET = ("report.figures=false", "report.summary=false", "report.progress=false", "task=digits", "num_steps=2")
SEARCH = ("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(1e-4,1e-2)", "hydra.sweeper.n_trials=2")
HOSTILE: list[Any] = [
    7,
    "x",
    [1],
    {},
    {"names": 3},
    {"names": [{}], "directions": [1]},
    {"names": ["a"], "directions": []},
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_an_objective_of_any_kind_is_another_one(value: Any) -> None:
    study = optuna.create_study()
    study.set_user_attr("objective", value)
    with pytest.raises(ValueError, match="choose another study_name"):
        _check_same(study, ["validation_loss"], ["minimize"], "a storage")


@pytest.mark.parametrize("value", [7, ["x"], {"a": 1}, "/nowhere", True], ids=str)
def test_a_trial_may_have_any_text_about_its_sweep(value: Any, tmp_path: Path) -> None:
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("sweep", value)
    _release(study, tmp_path, requeue=True)
    assert study.trials[0].state is TrialState.FAIL


@pytest.mark.parametrize("value", ["text", "[1,2]", "${oc.env:HOME}"])
def test_a_value_that_does_not_fit_ends_the_search(
    value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that waits in the study is drawn first."""
    monkeypatch.chdir(tmp_path)
    study = optuna.create_study(storage="sqlite:///s.db", study_name="search", direction="maximize")
    study.enqueue_trial({"optimizer.lr": value})
    assert main([*SEARCH, *QUIET, "hydra.sweeper.storage=s.db", "hydra.sweep.dir=sweep"]) == 2
    err = capsys.readouterr().err
    assert "choose another study_name" in err
    assert not list(tmp_path.glob("sweep/*/config.yaml")), "no job began"
