"""Whole runs in this process: one that does not learn says so, what it advises helps, and one that learns is quiet."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.command import Command

QUIET = ("threads=1", "report.figures=false", "report.summary=false")


def warnings(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("warning: ")]


def accuracy(folder: str = "run") -> float:
    value = json.loads((Path(folder) / "result.json").read_text())["test_accuracy"]
    assert isinstance(value, float)
    return value


def test_a_learning_rate_that_saturates_the_output(command: Command) -> None:
    code, _, err = command(*QUIET, "optimizer.lr=0.3", "hydra.run.dir=run")
    assert code == 0 and accuracy() < 0.15
    saturation, chance = warnings(err)
    assert "'output'" in saturation and "fired at every step" in saturation
    assert int(re.findall(r"in epoch (\d+)\.", saturation)[0]) <= 6, "not only after 150 steps, in epoch 15"
    assert "no better than chance" in chance
    (remedy,) = {words for text in (saturation, chance) for words in re.findall(r"Try: (optimizer\.lr=\S+),", text)}
    code, _, err = command(*QUIET, remedy, "hydra.run.dir=again")
    assert (code, err) == (0, "") and accuracy("again") > 0.95
    page = command("show", "run").out
    layers = page.partition("\nlayers\n")[2].partition("\n\n")[0].splitlines()
    assert layers[0].split() == ["layer", "neurons", "firing", "rate", "silent", "saturated", "gradient"]
    assert [line.split()[:2] for line in layers[1:]] == [["hidden1", "100"], ["output", "10"]]
    assert chance in page and "learned parameters" not in page


def test_the_learned_parameters_of_a_run(command: Command) -> None:
    words = ("neuron.learn_beta=true", "neuron.per_neuron=true", "epochs=2", "num_steps=10", "threads=1")
    assert command(*words, "hydra.run.dir=run").code == 0
    assert (Path("run") / "figures" / "parameters.png").is_file()
    rows = command("show", "run").out.partition("learned parameters of neurons\n")[2].partition("\n\n")[0].splitlines()
    assert [row.split()[:2] for row in rows] == [["layer", "parameter"], ["hidden1", "beta"], ["output", "beta"]]
    assert command("report", "run").code == 0
    page = (Path("run") / "report.html").read_text()
    assert "Learned parameters of neurons" in page and "beta" in page
    assert command("epochs=1", "num_steps=10", "threads=1", "hydra.run.dir=fixed").code == 0
    assert not (Path("fixed") / "figures" / "parameters.png").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("ill", "remedy", "above"),
    [
        (("surrogate=heaviside",), ("surrogate=atan",), 0.95),
        (("surrogate=triangular",), ("surrogate=atan",), 0.95),
        (("neuron=klif", "neuron.beta=0.95"), ("readout=li", "loss=ce_membrane"), 0.9),
        (("neuron=liaf", "neuron.activation=relu", "seed=1"), ("readout=li", "loss=ce_membrane"), 0.9),
        (("optimizer.lr=1e-6",), ("optimizer.lr=0.001",), 0.95),
        (("optimizer.lr=0.3", "neuron.threshold=5"), ("optimizer.lr=0.001",), 0.9),
        (("neuron.threshold=100",), ("neuron.threshold=1",), 0.95),
        (("num_steps=1", "epochs=3"), ("num_steps=25",), 0.5),
        (("neuron=plif", "epochs=2"), ("epochs=20",), 0.9),
        (("loss=spike_similarity",), ("loss=ce_count",), 0.95),
        (("model.hidden=[100,100,100,100,100,100,100,100]", "epochs=10"), ("surrogate.alpha=1",), 0.7),
    ],
)
def test_a_remedy_helps(command: Command, ill: tuple[str, ...], remedy: tuple[str, ...], above: float) -> None:
    err = command(*QUIET, *ill, "hydra.run.dir=run").err
    before = accuracy()
    assert any(" ".join(remedy) in text.partition("Try: ")[2] for text in warnings(err)), err
    keys = {word.partition("=")[0] for word in remedy}
    rest = [word for word in ill if word.partition("=")[0] not in keys]
    assert command(*QUIET, *rest, *remedy, "hydra.run.dir=again").code == 0
    assert accuracy("again") > max(above, before)


def test_the_remedies_of_one_run_agree(command: Command) -> None:
    words = ("neuron=if", "num_steps=20", "model=recurrent", "optimizer.lr=0.05", "epochs=3")
    texts = warnings(command(*QUIET, *words, "hydra.run.dir=run").err)
    assert len(texts) >= 2, texts
    remedies = " ".join(text.partition("Try: ")[2] for text in texts)
    assert "optimizer.lr=0.001" in remedies and "a lower neuron.threshold" not in remedies


@pytest.mark.long
@pytest.mark.parametrize("neuron", ["synaptic", "liaf", "klif", "masked_psn", "plif", "eif", "izhikevich"])
def test_a_default_learns_and_is_quiet(command: Command, neuron: str) -> None:
    code, _, err = command(*QUIET, f"neuron={neuron}", "hydra.run.dir=run")
    assert (code, err) == (0, "")
    assert accuracy() > 0.9
