"""The words of a search: what space they make, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from snnrun.cli import main
from snnrun.config.catalogue import Catalogue
from snnrun.job.compose import composer
from snnrun.job.search.space import space_of

SEARCH = ("-m", "hydra/sweeper=optuna")


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_space_of_every_kind_of_word() -> None:
    words = {
        "neuron=if,lif": CategoricalDistribution(["if", "lif"]),
        "model.hidden=[5],[10,5]": CategoricalDistribution(["[5]", "[10,5]"]),
        "optimizer.lr=tag(log,interval(1e-4,1e-1))": FloatDistribution(1e-4, 1e-1, log=True),
        "neuron.beta=interval(0.5,0.9)": FloatDistribution(0.5, 0.9),
        "batch_size=int(interval(16,64))": IntDistribution(16, 64),
        "num_steps=tag(log,int(interval(2,50)))": IntDistribution(2, 50, log=True),
        "epochs=range(1,10,3)": IntDistribution(1, 7, step=3),
        "model.dropout=choice(0,0.5)": CategoricalDistribution(["0", "0.5"]),
    }
    with composer(Catalogue()) as hydra:
        overrides = [hydra.parser.parse_override(word) for word in [*words, "seed=0"]]
    assert list(space_of(overrides).values()) == list(words.values())


FAULTS = [
    (("optimizer.lr=tag(log,interval(0,1))",), "above 0"),
    (("optimizer.lr=interval(1,0.1)",), "from a smaller to a larger"),
    (("optimizer.lr=tag(lin,interval(0.1,1))",), "there is no tag lin"),
    (("neuron=tag(log,choice(if,lif))",), "a logarithm needs an interval"),
    (("batch_size=interval(16,32)",), "batch_size: "),
    (("optimizer.lr=interval(-1,1)",), "optimizer.lr"),
    (("neuron=if,lfi",), "did you mean neuron=lif"),
    (("seed=0,1",), "the luckiest seed"),
    (("neuron=if",), "several values"),
    (("neuron=if,lif", "hydra.sweeper.n_trials=0"), "hydra.sweeper.n_trials: expected a whole number of at least 1"),
    (("neuron=if,lif", "hydra.sweeper.n_trial=5"), "hydra.sweeper.n_trial: there is no such key"),
    (("neuron=if,lif", "hydra.sweeper.objective=test_accuracy"), "no figure of the test set"),
    (("neuron=if,lif", "hydra.sweeper.objective=layers.output.silent"), "maximize or minimize"),
    (("neuron=if,lif", "hydra.sweeper.pruner=median", "hydra.sweeper.objective=parameters"), "pruner: expected none"),
    (("neuron=if,lif", "hydra.sweeper.sampler_options={no_such: 1}"), "options that Optuna's TPESampler takes"),
    (("optimizer.lr=interval(0.1,1)", "hydra.sweeper.sampler=grid"), "a grid needs a list of values"),
    (("neuron=if,lif", "hydra.sweeper.seeds=[0,0]"), "different whole numbers"),
    (("neuron=if,lif", "seed=1", "hydra.sweeper.seeds=[0]"), "beside hydra.sweeper.seeds"),
]


@pytest.mark.long
def test_wrong_words_come_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("optimizer.lr=tag(log,interval(0,1))", "batch_size=interval(16,32)", "hydra.sweeper.pruner=medan")
    assert main([*SEARCH, *words, "seed=0,1"]) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in ("above 0", "batch_size", "hydra.sweeper.pruner", "luckiest")), err
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "message"), FAULTS, ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_a_wrong_word(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SEARCH, *words]) == 2
    err = capsys.readouterr().err
    assert message in err and "nothing was started" in err
    assert not list(tmp_path.iterdir())


def test_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("snnrun.job.search.options.is_installed", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main([*SEARCH, "neuron=if,lif"]) == 2
    assert "pip install 'snnrun[optuna]'" in capsys.readouterr().err
