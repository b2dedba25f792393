"""snnTorch's tutorial on population codes: Fashion-MNIST in one time step, 50 output neurons for each class.

The source trains for 5 epochs, but prints the accuracy of the first two: its 82.69 % is that after 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import snntorch
import snntorch.functional
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks.published.recipe import Recipe

CLASSES = 10


class Published(Recipe):
    preset = "snntorch_population"
    package = "snntorch"
    source = "https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_pop.html"
    task = "fashion_mnist"
    batch_size, drop_last, epochs = 128, False, 2
    population: ClassVar[int] = 50
    figures: ClassVar[Mapping[str, float]] = {"": 0.8269, "epochs=1": 0.80501}
    settings: ClassVar[Mapping[str, Any]] = {
        "hidden": 128,
        "population": population,
        "beta": 0.9,
        "surrogate": "fast_sigmoid",
        "slope": 25,
        "steps": 1,
        "optimizer": "Adam",
        "lr": 2e-3,
    }

    def __init__(self) -> None:
        def leaky(output: bool = False) -> nn.Module:
            gradient = surrogate.fast_sigmoid(slope=self.settings["slope"])
            return snntorch.Leaky(beta=self.settings["beta"], spike_grad=gradient, init_hidden=True, output=output)

        hidden, outputs = self.settings["hidden"], CLASSES * self.population
        first, second = nn.Linear(784, hidden), nn.Linear(hidden, outputs)
        self.network = nn.Sequential(nn.Flatten(), first, leaky(), second, leaky(output=True))
        self.optimizer = Adam(self.network.parameters(), lr=self.settings["lr"], betas=(0.9, 0.999))
        code = {"population_code": True, "num_classes": CLASSES} if self.population > 1 else {}
        self._loss = snntorch.functional.mse_count_loss(correct_rate=1.0, incorrect_rate=0.0, **code)

    def run(self, x: Tensor) -> Tensor:
        utils.reset(self.network)
        return torch.stack([self.network(image)[0] for image in x])

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self._loss(output, target)
        return loss

    def predict(self, output: Tensor) -> Tensor:
        return output.sum(0).unflatten(1, (CLASSES, self.population)).sum(2).argmax(1)
