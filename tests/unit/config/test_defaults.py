"""The defaults that are read without Hydra are those that Hydra composes."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from snnrun.config import defaults
from snnrun.config.catalogue import Catalogue
from snnrun.job.compose import composer
from snnrun.system.safe_read import flatten

WORDS = [
    [],
    ["neuron=if", "surrogate=sigmoid", "encoder=latency", "optimizer=sgd", "scheduler=cosine"],
    ["task=zeros", "encoder=none"],
    ["task=zeros", "model=recurrent"],
    ["task=mnist", "model=convnet", "readout=li", "loss=ce_membrane"],
    ["regulariser=sparsity", "convention=snntorch"],
    ["experiment=snntorch_tutorial_5", "neuron=if", "surrogate=sigmoid"],
]
#: What a task and a set-up choose of other groups.
CHOICES = {
    "task=zeros": {"loss": "mean_square", "encoder": "none"},
    "experiment=snntorch_tutorial_5": {
        "task": "mnist",
        "encoder": "direct",
        "convention": "snntorch",
        "loss": "ce_membrane",
    },
}


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_they_are_those_that_hydra_composes(words: list[str]) -> None:
    with composer(Catalogue()) as hydra:
        config = OmegaConf.to_container(hydra.compose(words))
    assert isinstance(config, dict)
    values = flatten({str(key): value for key, value in config.items()})
    choices = {group: str(option) for group, option in Catalogue().defaults.items() if option is not None}
    for word in words:
        choices |= CHOICES.get(word, {})
    choices |= dict(word.split("=") for word in words)
    choices["task@_global_"] = f"{choices['task']}/{choices['model']}"
    result = defaults.defaults(choices)
    assert not result.unknown
    different = {k: (v, result.values.get(k)) for k, v in values.items() if not defaults.same(v, result.values.get(k))}
    assert different == {}


def test_simulate_starts_from_a_config_of_its_own() -> None:
    values = defaults.defaults({"neuron": "lif", "input": "ramp"}, "simulate").values
    assert values["num_neurons"] == 1
    assert "epochs" not in values


def test_parts_of_ones_own_are_unknown() -> None:
    result = defaults.defaults({"neuron": "mine", "surrogate": "../../../etc/passwd", "task@_global_": "../../x/y"})
    assert result.unknown == {"neuron", "surrogate"}


@pytest.mark.parametrize(
    ("value", "default", "equal"),
    [
        (0.001, "1e-3", True),
        ("1e-3", 0.001, True),
        (1, 1.0, True),
        (None, None, True),
        ([1, 2], [1, 2], True),
        (0.002, "1e-3", False),
        (None, "null", False),
        ("lif", "if", False),
        ([1], [2], False),
        (1 << 5000, 1, False),
    ],
    ids=range(10),
)
def test_the_same_value_in_other_words(value: object, default: object, equal: bool) -> None:
    assert defaults.same(value, default) is equal
