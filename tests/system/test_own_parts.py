"""A neuron, a surrogate, an encoder, a loss and a task of one's own: a definition and a YAML file each."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support.forked import snnrun
from support.shell import CommandResult

PARTS = '''
"""Parts of my own."""

from dataclasses import dataclass

import torch

from snnrun.encoder import Encoder
from snnrun.loss import LabelLoss
from snnrun.neuron import Neuron
from snnrun.surrogate import Surrogate
from snnrun.task import Batch, Data, Task


class Quadratic(Neuron):
    """A quadratic neuron: the nearer to its threshold, the faster it rises."""

    def __init__(self, leak=0.2, gain=0.2, **options):
        super().__init__(**options)
        self.leak, self.gain = leak, gain

    def integrate(self, v, x):
        return v + x - self.leak * v + self.gain * v * v.clamp(-1, 1)


@dataclass(frozen=True)
class Gauss(Surrogate):
    """A bell."""

    width: float = 0.5

    def derivative(self, x):
        return torch.exp(-((x / self.width) ** 2))

    def primitive(self, x):
        return torch.special.erf(x / self.width) * self.width


@dataclass(frozen=True)
class Ramp(Encoder):
    """A current that rises over time."""

    def encode(self, x, num_steps, generator):
        return x * torch.linspace(0, 2, num_steps, device=x.device).view(-1, *[1] * (x.dim() - 1))


@dataclass(frozen=True)
class Hinge(LabelLoss):
    """The right membrane above all others by a margin."""

    margin: float = 1.0

    def __call__(self, spikes, membrane, target):
        return torch.nn.functional.multi_margin_loss(membrane.mean(0), target, margin=self.margin)


class Halves(Task):
    """Which half of eight pixels is bright."""

    input_shape = (8,)
    num_outputs = 2
    has_time = False
    has_accuracy = True

    def __init__(self, samples=200):
        self.samples = samples

    def load(self, data_dir, num_steps, device, generator):
        def part(count):
            target = torch.arange(count) % 2
            x = 0.3 * torch.rand(count, 8, generator=generator)
            x[target == 0, :4] += 0.7
            x[target == 1, 4:] += 0.7
            return Listed(x.to(device), target.to(device))

        return Data(part(self.samples), part(40), part(40), {})


class Listed:
    stream = None

    def __init__(self, x, target):
        self.x, self.target = x, target

    def __len__(self):
        return len(self.x)

    def batches(self, batch_size, generator=None):
        order = torch.arange(len(self)) if generator is None else torch.randperm(len(self), generator=generator)
        for chosen in order.split(batch_size):
            yield Batch(self.x[chosen].unsqueeze(0), self.target[chosen])
'''

FILES = {
    "my_parts_of_the_test.py": PARTS,
    "neuron/mine.yaml": "# Mine.\n_target_: my_parts_of_the_test.Quadratic\n_partial_: true\nleak: 0.1\n"
    "surrogate: ${surrogate}\nthreshold: 0.5\ndetach_reset: ${convention.detach_reset}\n",
    "surrogate/mine.yaml": "# Mine.\n_target_: my_parts_of_the_test.Gauss\nwidth: 0.7\n",
    "encoder/mine.yaml": "# Mine.\n_target_: my_parts_of_the_test.Ramp\n",
    "loss/mine.yaml": "# Mine.\n_target_: my_parts_of_the_test.Hinge\naccuracy: membrane\nmargin: 0.5\n",
    "task/mine.yaml": "# Mine.\n_target_: my_parts_of_the_test.Halves\nsamples: 160\n",
}
CHOICE = ("trust=my_parts_of_the_test", "task=mine", "encoder=mine", "neuron=mine", "surrogate=mine", "loss=mine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for name, text in FILES.items():
        path = folder / "my parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def outcome(folder: Path) -> CommandResult:
    words = ("model.hidden=[10]", "epochs=6", "batch_size=16", "num_steps=8", "optimizer.lr=0.01")
    return snnrun("--config-dir", "my parts", *CHOICE, *words, cwd=folder)


def test_all_of_them_train_together(outcome: CommandResult) -> None:
    assert outcome.code == 0, outcome.err
    result = outcome.run.result
    assert result["status"] == "finished"
    assert result["test_accuracy"] >= 0.9
    assert outcome.run.manifest["backend"] == "fused", "also that of a neuron of one's own"
    assert outcome.run.manifest["data"] == {}
    assert "Quadratic" in outcome.run.text("summary.txt")
    pictures = {path.name for path in (outcome.run.folder / "figures").iterdir()}
    assert {"loss.png", "accuracy.png", "raster.png", "membrane.png", "firing_rate.png"} <= pictures


def test_they_are_in_the_frozen_config(outcome: CommandResult) -> None:
    config = yaml.safe_load(outcome.run.text("config.yaml"))
    assert config["neuron"]["_target_"] == "my_parts_of_the_test.Quadratic"
    assert config["neuron"]["surrogate"] == {"_target_": "my_parts_of_the_test.Gauss", "width": 0.7}
    assert config["task"]["samples"] == 160


def test_they_are_checked_like_ours(folder: Path) -> None:
    words = ("--config-dir", "my parts", *CHOICE, "epochs=0", "surrogate.width=-1", "loss.accuracy=guess")
    outcome = snnrun(*words, cwd=folder / "checked" / "..")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    for message in ("surrogate.width: expected a number above 0, got -1", "loss.accuracy", "epochs: expected"):
        assert message in outcome.err
