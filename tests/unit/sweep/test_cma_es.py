"""CMA-ES: it searches better than chance, goes on with a study, and runs nothing that a study holds."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from snnrun.job.search.cma_es import GENERATION, CmaEs, _places, _value

optuna.logging.set_verbosity(optuna.logging.ERROR)


def sphere(trial: Any) -> float:
    """Least at a = 0.3 and b = 1e-2."""
    a, b = trial.suggest_float("a", -1, 1), trial.suggest_float("b", 1e-4, 1, log=True)
    return float((a - 0.3) ** 2 + (b / 1e-2 - 1) ** 2 * 1e-4)


def study(sampler: Any, storage: str | None = None) -> optuna.Study:
    return optuna.create_study(sampler=sampler, storage=storage, study_name="search", load_if_exists=True)


@pytest.mark.parametrize("options", [{}, {"use_separable_cma": True}, {"lr_adapt": True, "popsize": 8}])
def test_it_comes_nearer_with_every_generation(options: dict[str, Any]) -> None:
    search = study(CmaEs(seed=1, **options))
    search.optimize(sphere, n_trials=120)
    values = [trial.value for trial in search.trials if trial.value is not None]
    assert sum(values[-20:]) < 0.1 * sum(values[:20])
    generations = [trial.system_attrs[GENERATION] for trial in search.trials if GENERATION in trial.system_attrs]
    assert generations == sorted(generations)
    assert generations[-1] > 10


def test_the_same_seed_gives_the_same_trials() -> None:
    one, other = study(CmaEs(seed=1)), study(CmaEs(seed=1))
    for each in (one, other):
        each.optimize(sphere, n_trials=30)
    assert [trial.params for trial in one.trials] == [trial.params for trial in other.trials]


def test_a_study_goes_on_at_its_generation(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    study(CmaEs(seed=1), storage).optimize(sphere, n_trials=40)
    before = study(CmaEs(seed=1), storage).trials
    search = study(CmaEs(seed=2), storage)
    search.optimize(sphere, n_trials=10)
    last = max(trial.system_attrs.get(GENERATION, 0) for trial in before)
    assert search.trials[40].system_attrs[GENERATION] in (last, last + 1)
    assert search.trials[:40] == before


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_in_a_study_is_not_opened(tmp_path: Path) -> None:
    """Optuna's own sampler does, which is how this test knows that the study is as that sampler would have it."""
    for name, sampler in (("theirs", optuna.samplers.CmaEsSampler(seed=1)), ("ours", CmaEs(seed=1))):
        storage = f"sqlite:///{tmp_path / name}.db"
        search = study(sampler, storage)
        search.optimize(sphere, n_trials=3)
        text = pickle.dumps(Payload(tmp_path / f"{name}.ran")).hex()
        search._storage.set_study_system_attr(search._study_id, "cma:optimizer:0", text)
        trial = search.ask()
        search._storage.set_trial_system_attr(trial._trial_id, "cma:optimizer:0", text)
        search.tell(trial, sphere(trial))
        try:
            search.optimize(sphere, n_trials=3)
        except AttributeError:  # what was unpickled is no optimizer
            assert name == "theirs"
    assert (tmp_path / "theirs.ran").exists()
    assert not (tmp_path / "ours.ran").exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"sigma0": 2.0}, "sigma0"),
        ({"popsize": 1}, "popsize"),
        ({"n_startup_trials": -1}, "n_startup_trials"),
        ({"use_separable_cma": True, "lr_adapt": True}, "lr_adapt"),
    ],
)
def test_what_is_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        CmaEs(**options)


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (FloatDistribution(-1, 3), [-1.0, 0.0, 3.0]),
        (FloatDistribution(1e-4, 1, log=True), [1e-4, 1e-2, 1.0]),
        (FloatDistribution(0, 1, step=0.25), [0.0, 0.25, 1.0]),
        (IntDistribution(2, 11, step=3), [2, 5, 8, 11]),
        (IntDistribution(1, 64, log=True), [1, 8, 64]),
    ],
)
def test_a_value_and_its_place(distribution: Any, values: list[Any]) -> None:
    for value in values:
        (place,) = _places({"x": value}, {"x": distribution})
        assert 0 <= place <= 1
        assert _value(place, distribution) == pytest.approx(value)
        assert type(_value(place, distribution)) is type(value)
