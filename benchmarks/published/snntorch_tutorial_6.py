"""snnTorch, tutorial 6: a convolutional network on MNIST, the loss on the spikes of every step.

The source counts iterations from 0 and tests after the update, so that its "iteration 150" is update 151; it leaves the
last 16 test images out, here all 10,000 are in.
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


class Published(Recipe):
    preset = "snntorch_tutorial_6"
    package = "snntorch"
    source = "https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html"
    task = "mnist"
    batch_size, drop_last, epochs, updates = 128, True, 1, 151
    figures: ClassVar[Mapping[str, float]] = {"": 0.9570, "max_steps=101": 0.9490, "max_steps=51": 0.9198}
    settings: ClassVar[Mapping[str, Any]] = {
        "layers": "12c5-mp2-64c5-mp2-fc10",
        "beta": 0.5,
        "surrogate": "fast_sigmoid",
        "slope": 25,
        "steps": 50,
        "optimizer": "Adam",
        "lr": 1e-2,
    }

    def __init__(self) -> None:
        def leaky(output: bool = False) -> nn.Module:
            gradient = surrogate.fast_sigmoid(slope=self.settings["slope"])
            return snntorch.Leaky(beta=self.settings["beta"], spike_grad=gradient, init_hidden=True, output=output)

        first = (nn.Conv2d(1, 12, 5), nn.MaxPool2d(2), leaky())
        second = (nn.Conv2d(12, 64, 5), nn.MaxPool2d(2), leaky())
        self.network = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(64 * 4 * 4, 10), leaky(output=True))
        self.optimizer = Adam(self.network.parameters(), lr=self.settings["lr"], betas=(0.9, 0.999))
        self._loss = snntorch.functional.ce_rate_loss()

    def run(self, x: Tensor) -> Tensor:
        utils.reset(self.network)
        return torch.stack([self.network(image)[0] for image in x])

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self._loss(output, target)
        return loss

    def predict(self, output: Tensor) -> Tensor:
        return output.sum(0).argmax(1)
